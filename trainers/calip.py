"""CALIP: zero-shot CLIP whose image and text features look at each other."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from imo.model.patches import encode_patches
from imo.trainers.base import Method, Queries, Task, method

TEXT_WEIGHTS = tuple(np.linspace(0, 2, 41).tolist())
IMAGE_WEIGHTS = tuple(np.linspace(0, 0.1, 21).tolist())
SHARPNESS = 2.0  # factor on the similarities before softmax, the authors'


@method
class CALIP(Method):
    """Parameter-free attention between patches and text: `Z + alpha f T_a^T + gamma v_a W^T`, times CLIP's scale.

    Guo et al., "CALIP: Zero-Shot Enhancement of CLIP with Parameter-free Attention", AAAI 2023,
    https://arxiv.org/abs/2209.14169. With patch features V and `A = 2 V W^T`, text looks at patches,
    `T_a = softmax(A over patches)^T V`, and patches look at text, `V_a = softmax(A over classes) W`, pooled as
    mean + maximum to v_a. alpha and gamma are chosen on tuning images, for which alone a support set is used. For ViT,
    patches go through the same layer norm and projector as the class token.

    Deviation: the grid has 41 x 21 values in the authors' ranges (0 to 2 and 0 to 0.1) where theirs has 200 x 200.
    """

    correction = "none"

    def fit(self, task: Task) -> None:
        # There are no keys, so a support image can be tuned on as well as any other, with one shot too.
        queries = task.tuning
        zero_shot, (by_text, by_patches) = queries.zero_shot_logits(), self.attention_logits(queries)
        self.choose(
            queries,
            (
                ({"alpha": alpha, "gamma": gamma}, zero_shot + alpha * by_text + gamma * by_patches)
                for alpha in TEXT_WEIGHTS
                for gamma in IMAGE_WEIGHTS
            ),
        )

    def logits(self, queries: Queries) -> torch.Tensor:
        by_text, by_patches = self.attention_logits(queries)
        return queries.zero_shot_logits() + self.settings["alpha"] * by_text + self.settings["gamma"] * by_patches

    def attention_logits(self, queries: Queries) -> tuple[torch.Tensor, ...]:
        """Two (N, C) terms: text over patches, patches over text."""
        weights = queries.text.weights
        name = hashlib.blake2b(weights.numpy().tobytes(), digest_size=16).hexdigest()
        key = {"method": "CALIP", "classifier": name, "sharpness": SHARPNESS}

        def attend(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
            """(B, 2 C) both terms, side by side."""
            features, patches = (F.normalize(rows, dim=-1) for rows in encode_patches(model, images))
            text = weights.to(features.device)
            similarity = SHARPNESS * patches @ text.T  # (B, P, C)
            seen_by_text = similarity.softmax(1).transpose(1, 2) @ patches  # (B, C, d)
            seen_by_patches = similarity.softmax(2) @ text  # (B, P, d)
            pooled = seen_by_patches.mean(1) + seen_by_patches.amax(1)
            return torch.cat([torch.einsum("bd,bcd->bc", features, seen_by_text), pooled @ text.T], dim=1)

        return (queries.text.logit_scale * queries.computed(key, attend)).chunk(2, dim=1)

    def restrict(self, classes: torch.Tensor) -> None:
        """There is nothing to restrict."""
