"""Features and overlap of images under the adapters in training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from imo.measure.overlap import OverlapReport, overlap
from imo.model.encode import encode_images
from imo.trainers.adapter.objectives import Objective
from imo.trainers.base import distributed


@torch.no_grad()
def encode(
    model: nn.Module, loader: Iterable[dict[str, Any]], corrections: Sequence[str]
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Encode all images of a Dassl data loader, without dropout.

    Args:
        model: CLIP with adapters.
        corrections: "none" for the features without adapters, "adapter" for those with.

    Returns:
        {correction: (N, d) float32} and labels (N,) int64, on the CPU.
    """
    model.eval()
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in corrections}
    labels = []
    for batch in tqdm(loader, disable=None):
        images = batch["img"].to(next(model.parameters()).device)
        for name in corrections:
            parts[name].append(encode_images(model, images, corrected=name == "adapter").cpu())
        labels.append(batch["label"])
    return {name: torch.cat(features) for name, features in parts.items()}, torch.cat(labels)


def validate(
    model: nn.Module, objective: Objective, loader: Iterable[dict[str, Any]]
) -> tuple[float, float, dict[str, torch.Tensor]]:
    """Measure the overlap of a loader's images under the adapters that the run would save now.

    Returns:
        Area and separation (see `imo.overlap`), the same in all processes; and, in the first process alone, a copy of
        the state of `objective.used`.
    """
    found, state = torch.zeros(2), {}
    if distributed.rank() == 0:
        with objective.deployed():
            features, labels = encode(model, loader, ["adapter"])
            report = overlap(features["adapter"], labels)
            state = {name: value.clone() for name, value in objective.used.state_dict().items()}
        found = torch.tensor([report.area, report.separation])
    area, separation = distributed.from_first(found).tolist()
    return area, separation, state


def test(
    model: nn.Module, objective: Objective, loader: Iterable[dict[str, Any]], held_out: Sequence[int], evaluator: Any
) -> tuple[dict[str, OverlapReport], int]:
    """Give an objective's scores of a loader's images, but those of the held-out classes, to a Dassl evaluator.

    Returns:
        The overlap of all images by correction ("none", "adapter"), and the number of images that were evaluated.
    """
    features, labels = encode(model, loader, ["none", "adapter"])
    rows = (~torch.isin(labels, torch.tensor(held_out, dtype=labels.dtype))).nonzero().flatten()
    device = next(model.parameters()).device
    corrected, targets = features["adapter"].to(device), labels.to(device)
    for chunk in rows.to(device).split(1024):
        evaluator.process(objective.scores(corrected, targets, chunk), targets[chunk])
    return {name: overlap(part, labels) for name, part in features.items()}, len(rows)
