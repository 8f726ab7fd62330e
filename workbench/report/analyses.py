"""overlap.json: what `imo overlap` measures of a dataset under each correction, typed and versioned.

`workbench.overlap` writes it, reports and pictures read it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec

from imo.errors import InputError, reading, shown
from imo.files import read_json, write_json
from imo.measure.overlap import OverlapReport, SimilarityReport

FILE_NAME = "overlap.json"
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
AnyReport = TypeVar("AnyReport", OverlapReport, SimilarityReport)


class ClassOverlap(msgspec.Struct, frozen=True):
    """Overlap over the pairs whose first image is of one class; attributes as in `imo.measure.overlap`."""

    name: str = msgspec.field(name="class")
    images: int
    area: float
    separation: float


class Confused(msgspec.Struct, frozen=True):
    """The share of a class's images that are more similar to another class than to their own."""

    name: str = msgspec.field(name="class")
    other: str = msgspec.field(name="with")
    share: Share


class Measured(msgspec.Struct, Generic[AnyReport], frozen=True, kw_only=True):
    """Similarities of images among themselves, or of images and class texts, under one correction.

    Attributes:
        report: of all pairs.
        added_separation: what the correction adds to the separation under the first one, and the ends of the change's
            95 % interval.
        paired, unpaired: shares of the similarities in equal bins of [-1, 1].
        classes: the overlap of each class.
        confused: the classes taken for each other, worst first.
    """

    report: AnyReport
    added_separation: tuple[float, float, float]
    paired: list[Share]
    unpaired: list[Share]
    classes: list[ClassOverlap]
    confused: list[Confused]

    def __post_init__(self) -> None:
        if not self.paired or len(self.paired) != len(self.unpaired):
            raise ValueError(f"{len(self.paired)} bins of paired, {len(self.unpaired)} of unpaired similarities")

    def exceedance(self) -> str:
        """P(unpaired > paired), which is 1 - separation, with its interval, as tables show it."""
        low, high = self.report.interval
        return f"{1 - self.report.separation:.3f} [{1 - high:.3f}, {1 - low:.3f}]"

    def exceedance_change(self) -> str:
        """Its change from the first correction, with its interval, as tables show it."""
        added, low, high = self.added_separation
        return f"{-added:+.3f} [{-high:+.3f}, {-low:+.3f}]"


class Correction(msgspec.Struct, frozen=True, kw_only=True):
    """One correction's similarities; the adapter's sha256, where it has one."""

    image: Measured[OverlapReport]
    text: Measured[SimilarityReport]
    adapter_sha256: str | None = None


class Analysis(msgspec.Struct, frozen=True, kw_only=True):
    """The content of overlap.json.

    Attributes:
        data: digest of the dataset's test images, as in results; empty in analyses of before.
        split: the images that were measured, in the words of `imo.protocol`, or "test".
        templates: prompts of the class texts.
        corrections: by name; changes are relative to the first.
    """

    schema_version: Literal[1] = 1
    dataset: str
    data: str = ""
    split: str
    backbone: str
    backbone_sha256: str
    templates: list[str]
    corrections: dict[str, Correction]
    versions: dict[str, str] = {}

    def __post_init__(self) -> None:
        if not self.corrections:
            raise ValueError("no corrections")


def refuse_other_data(folder: str | Path, analysis: Analysis) -> None:
    """Raise InputError if a folder holds the overlap.json of another dataset of the same name."""
    path = Path(folder) / FILE_NAME
    try:
        before = read_analysis(path).data
    except InputError:
        return  # none, or one that is to be replaced
    if before and before != analysis.data:
        raise InputError(
            f"{path}: of other images under the name {analysis.dataset}; rename the dataset's YAML, or set OUTPUT to "
            f"another folder"
        )


def write_analysis(folder: str | Path, analysis: Analysis) -> Path:
    """Write overlap.json into a folder; returns its path.

    Raises:
        msgspec.ValidationError: a field has another type or range than `Analysis` says; nothing is written.
    """
    return write_json(Path(folder) / FILE_NAME, analysis, indent=1)


def read_analysis(path: str | Path) -> Analysis:
    """An overlap.json.

    Raises:
        InputError: it cannot be read, or is no analysis.
    """
    remedy = "run scripts/overlap.sh again"
    found = read_json(path, dict[str, Any], "not an overlap analysis", remedy)
    with reading(f"{path}: not an overlap analysis", remedy):
        return msgspec.convert(shown(found), Analysis)
