"""IsoCLIP: image features without the directions of the projectors that serve image-text alignment alone.

"IsoCLIP: Decomposing CLIP Projectors for Efficient Intra-modal Alignment", CVPR 2026,
https://arxiv.org/abs/2603.19862. CLIP's last visual step is a linear projector; features being rows, `f = h W` with h
(v) and f (e). With the text projector T (t x e), take the left singular vectors U of Psi = W T^T (v x t), drop the
first `top` and the last `bottom` of them, and project by `U_k U_k^T W` in place of W.

The columns of U with a singular value above 0 lie in the column space of W, so that `h U_k = f W^+ U_k`: the corrected
features are a linear map of the stored ones, and no image is encoded again.
"""

from __future__ import annotations

import torch

from imo.checks import check_matrix
from imo.errors import InputError


class IsoClip:
    """The singular directions that two projectors share.

    Args:
        visual_projector: (v, e) floating.
        text_projector: (t, e) floating.

    Attributes:
        rank: number of singular values above 0, at most min(v, t, e). "The last" directions are the last of these; the
            rest of the space of h, of which text knows nothing, is left out of every corrected feature.

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
        """(e, e) float32 M: `features @ M` are the corrected features of un-normalised ones.

        Args:
            top: number of first singular directions to drop.
            bottom: number of last ones to drop.

        Raises:
            InputError: negative numbers, or nothing is left.
        """
        if top < 0 or bottom < 0 or top + bottom >= self.rank:
            raise InputError(
                f"IMO.ISOCLIP: cannot drop the first {top} and the last {bottom} of {self.rank} singular directions; "
                f"TOP and BOTTOM must be 0 or more (-1 to have them chosen), and together less than {self.rank}"
            )
        kept = self._directions[:, top : self.rank - bottom]
        corrected: torch.Tensor = self._inverse @ kept @ (kept.T @ self._visual)
        return corrected.float()
