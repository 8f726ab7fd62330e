"""Corrections of the image features that a cache method reads, by their name in IMO.CORRECTION.

A correction is an encoder and a linear map on its un-normalised features. Zero-shot logits and Tip-X's KL keep CLIP's
own features whatever the correction.
"""

import torch
import torch.nn.functional as F

from imo.classify.isoclip import IsoClip
from imo.errors import InputError

ENCODERS = {"none": "clip", "adapter": "adapter", "isoclip": "clip"}

# Shares of the rank that are tried, after the published choice for ViT-B/16's classification: the first 200 and the
# last 50 of 512.
TOPS = (0, 25 / 512, 50 / 512, 100 / 512, 200 / 512)
BOTTOMS = (0, 25 / 512, 50 / 512)


def isoclip_of(model, name, options):
    """The `IsoClip` of a CLIP model's projectors; refuses ranges in the options (IMO.ISOCLIP) that leave nothing."""
    projector = getattr(model.visual, "proj", None)
    if not torch.is_tensor(projector):
        raise InputError(
            f"IMO.CORRECTION: isoclip needs a visual encoder that ends in a linear projector, and that of '{name}' is "
            f"a {type(model.visual).__name__}; choose a ViT backbone, or another correction"
        )
    isoclip = IsoClip(projector.data, model.text_projection.data)
    isoclip.map(*isoclip_ranges(options, isoclip.rank)[0])
    return isoclip


def isoclip_ranges(options, rank):
    """[(top, bottom)] to choose from, fewest dropped first; one pair where the options fix both."""
    tops = sorted({round(share * rank) for share in TOPS}) if options.TOP == -1 else [options.TOP]
    bottoms = sorted({round(share * rank) for share in BOTTOMS}) if options.BOTTOM == -1 else [options.BOTTOM]
    pairs = sorted(((top, bottom) for top in tops for bottom in bottoms), key=lambda pair: (sum(pair), pair))
    return [pair for pair in pairs if sum(pair) < rank] or pairs


def choose_isoclip(trainer):
    """(top, bottom) under which most tuning images are nearest, by mean affinity, to the support images of their class;
    the first such pair in the order of `isoclip_ranges`. The published shares where there is nothing to tune on."""
    isoclip = trainer.isoclip
    pairs = isoclip_ranges(trainer.cfg.IMO.ISOCLIP, isoclip.rank)
    if len(pairs) == 1 or not trainer.tunable:
        return pairs[-1]
    split = trainer.tuning_split
    queries, keys = trainer.features(split), trainer.support_features()
    labels, targets, own_keys = trainer.support_labels(), trainer.targets(split), trainer.own_keys(split)

    def right(pair):
        corrected = isoclip.map(*pair)
        affinity = mean_affinity(queries @ corrected, keys @ corrected, labels, trainer.num_classes, own_keys)
        return int((affinity.argmax(1) == targets).sum())

    return max(pairs, key=right)


def mean_affinity(queries, keys, labels, num_classes, own_keys=None):
    """(N, C) mean cosine similarity of each query to the keys of each class, without its own key; -inf for no keys."""
    queries, keys = F.normalize(queries, dim=-1), F.normalize(keys, dim=-1)
    one_hot = F.one_hot(labels, num_classes).to(keys.dtype)
    sums, counts = queries @ (one_hot.T @ keys).T, one_hot.sum(0).expand(len(queries), -1)
    if own_keys is not None:
        sums = sums - (queries * keys[own_keys]).sum(1, keepdim=True) * one_hot[own_keys]
        counts = counts - one_hot[own_keys]
    return torch.where(counts > 0, sums / counts, -torch.inf)
