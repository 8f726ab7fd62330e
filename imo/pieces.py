"""Computes rows in pieces of one size, so that a row has the same bits whatever stands beside it.

A matrix product rounds differently where it has another shape: in a batch of one image, or in the small rest at the end
of a data set.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

ENCODED = 32  # images or texts that an encoder sees at once
MULTIPLIED = 128  # rows of a product of feature matrices; with 32 it takes half as long again, with 256 a quarter less


def in_pieces(function: Callable[[torch.Tensor], torch.Tensor], rows: torch.Tensor, size: int) -> torch.Tensor:
    """`function(rows)`, computed `size` rows at a time. The last piece is filled up with copies of its last row.

    Args:
        function: computes each row of its result from the same row of its argument: (size, ...) -> (size, ...).
        rows: (N, ...), N at least 1.
        size: of a piece; another size may give other last bits.
    """
    parts = []
    for part in rows.split(size):
        count = len(part)
        filler = part[-1:].expand(size - count, *part.shape[1:])
        parts.append(function(torch.cat([part, filler]) if count < size else part)[:count])
    return torch.cat(parts)
