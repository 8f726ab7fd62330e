"""IsoCLIP: image features without the directions that serve the alignment of images with texts only.

Source: "IsoCLIP: Decomposing CLIP Projectors for Efficient Intra-modal Alignment", CVPR 2026,
https://arxiv.org/abs/2603.19862.

The last step of CLIP's image encoder is a linear projector W (v, e): features are `f = h W`, where f and h are rows.
With the text encoder's projector T (t, e), let U be the left singular vectors of `W T^T` (v, t). IsoCLIP drops the
first `top` and the last `bottom` columns of U, and projects by `U_k U_k^T W` with the others, U_k, in place of W.

Columns of U with a singular value above 0 lie in the column space of W, so that `h U_k = f W^+ U_k`: corrected features
are a linear map of CLIP's own, and no image has to be encoded again.
"""

from __future__ import annotations

import torch

from imo.checks import check_matrix
from imo.errors import InputError


class IsoClip:
    """The correction of one CLIP's image features.

    Args:
        visual_projector: W, (v, e) floating.
        text_projector: T, (t, e) floating.

    Attributes:
        rank: number of singular values of `W T^T` above 0, at most min(v, t, e). `bottom` counts from the last of
            these. The directions of the other singular values are never part of a corrected feature.

    Raises:
        InputError: wrong shapes, NaN.
    """

    def __init__(self, visual_projector: torch.Tensor, text_projector: torch.Tensor) -> None:
        check_matrix("visual_projector", visual_projector)
        check_matrix("text_projector", text_projector, visual_projector.shape[1])
        self._visual = visual_projector.double().cpu()
        left, values, _ = torch.linalg.svd(self._visual @ text_projector.double().cpu().T, full_matrices=False)
        tolerance = values[0] * max(len(visual_projector), len(text_projector)) * torch.finfo(torch.float32).eps
        self.rank = int((values > tolerance).sum())
        self._directions = left[:, : self.rank]
        self._inverse = torch.linalg.pinv(self._visual)

    def map(self, top: int, bottom: int) -> torch.Tensor:
        """Matrix M (e, e) float32 with which `features @ M` are the corrected features; `features` un-normalised.

        Args:
            top: number of singular directions to drop, from the first.
            bottom: number of singular directions to drop, from the last.

        Raises:
            InputError: a number is negative, or no direction is left.
        """
        if top < 0 or bottom < 0 or top + bottom >= self.rank:
            raise InputError(
                f"IMO.ISOCLIP: cannot drop the first {top} and the last {bottom} of {self.rank} singular directions; "
                f"TOP and BOTTOM must be 0 or more (-1 to have them chosen), and together less than {self.rank}"
            )
        kept = self._directions[:, top : self.rank - bottom]
        corrected: torch.Tensor = self._inverse @ kept @ (kept.T @ self._visual)
        return corrected.float()
