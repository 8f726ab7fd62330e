"""On what a run chose its hyper-parameters: one object, and the only place that puts it into words."""

from __future__ import annotations

from dataclasses import dataclass, replace

VALIDATIONS = ("full", "few", "paper", "support")  # values of DATASET.VALIDATION


@dataclass(frozen=True)
class Protocol:
    """On what hyper-parameters are chosen.

    Attributes:
        validation: the option DATASET.VALIDATION; empty for a dataset of another project, which has no such option.
        images: "val", "held-out train" (training images in place of a missing validation split), "test", "support", or
            "nothing" where no setting and no epoch is chosen.
        by: how the images serve, where not simply as validation images: "leave-one-out" or "cross-validation" over the
            support set; "one shot" where the support set has nothing to leave out and a fixed setting is taken.
    """

    validation: str
    images: str
    by: str = ""

    def nothing(self, by: str = "") -> Protocol:
        """The same run with nothing chosen."""
        return replace(self, images="nothing", by=by)

    def on_support(self, by: str) -> Protocol:
        """The same run with settings chosen on its support set."""
        return replace(self, images="support", by=by)

    def __str__(self) -> str:
        """The words that logs, tables and `tuned_on` in results use."""
        if self.images == "nothing":
            return f"nothing (support, {self.by})" if self.by else "nothing"
        if self.images == "val":
            return f"val ({'few' if self.validation == 'few' else 'full'})" if self.validation else "val"
        return f"{self.images} ({self.by})" if self.by else self.images
