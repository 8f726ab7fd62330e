"""The transforms that a config's node INPUT describes, as upstream Dassl's head makes them.

The stand-in's; and those of our own views on every Dassl, since older ones crop otherwise under the same options.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torchvision.transforms as T
from torchvision.transforms.functional import InterpolationMode
from yacs.config import CfgNode

from imo.compat.transform_ops import cutout, gaussian_noise, instance_normalization, random_translation

AVAI_CHOICES = [
    "random_flip",
    "random_resized_crop",
    "normalize",
    "instance_norm",
    "random_crop",
    "random_translation",
    "center_crop",  # always done for testing
    "cutout",
    "gaussian_noise",
    "colorjitter",
    "randomgrayscale",
    "gaussian_blur",
]

INTERPOLATION_MODES = {name: InterpolationMode(name) for name in ("bilinear", "bicubic", "nearest")}

Step = tuple[str, Any]  # a line to print, and the transform


def build_transform(cfg: CfgNode, is_train: bool = True, choices: Sequence[str] | None = None) -> T.Compose | None:
    """The transform for training or testing, from a PIL image to a tensor; None under INPUT.NO_TRANSFORM.

    Args:
        cfg: the configuration.
        is_train: whether for training.
        choices: names of AVAI_CHOICES; default: INPUT.TRANSFORMS.

    Raises:
        ValueError: another name.
    """
    if cfg.INPUT.NO_TRANSFORM:
        print("Note: no transform is applied!")
        return None
    if choices is None:
        choices = cfg.INPUT.TRANSFORMS
    unknown = [choice for choice in choices if choice not in AVAI_CHOICES]
    if unknown:
        raise ValueError(
            f"transforms {unknown} are not available: this stand-in for Dassl leaves out the policies of"
            f" auto-augment and rand-augment and has {AVAI_CHOICES}"
        )
    print(f"Building transform_{'train' if is_train else 'test'}")
    transforms = []
    for text, transform in (_train_steps if is_train else _test_steps)(cfg, choices):
        print(f"+ {text}")
        transforms.append(transform)
    return T.Compose(transforms)


def _train_steps(cfg: CfgNode, choices: Sequence[str]) -> Iterator[Step]:
    """The steps for training, in the order they are applied."""
    options, size = cfg.INPUT, cfg.INPUT.SIZE
    mode = INTERPOLATION_MODES[options.INTERPOLATION]
    if "random_crop" not in choices and "random_resized_crop" not in choices:
        yield f"resize to {size[0]}x{size[1]}", T.Resize(size, interpolation=mode)
    if "random_translation" in choices:
        yield "random translation", partial(random_translation, height=size[0], width=size[1])
    if "random_crop" in choices:
        padding = options.CROP_PADDING
        yield f"random crop (padding = {padding})", T.RandomCrop(size, padding=padding)
    if "random_resized_crop" in choices:
        scale = options.RRCROP_SCALE
        crop = T.RandomResizedCrop(size, scale=scale, interpolation=mode)
        yield f"random resized crop (size={size}, scale={scale})", crop
    if "random_flip" in choices:
        yield "random flip", T.RandomHorizontalFlip()
    if "colorjitter" in choices:
        b, c, s, h = options.COLORJITTER_B, options.COLORJITTER_C, options.COLORJITTER_S, options.COLORJITTER_H
        yield f"color jitter (brightness={b}, contrast={c}, saturation={s}, hue={h})", T.ColorJitter(b, c, s, h)
    if "randomgrayscale" in choices:
        yield "random gray scale", T.RandomGrayscale(p=options.RGS_P)
    if "gaussian_blur" in choices:
        blur = T.RandomApply([T.GaussianBlur(options.GB_K)], p=options.GB_P)
        yield f"gaussian blur (kernel={options.GB_K})", blur
    yield _to_tensor()
    if "cutout" in choices:
        n, length = options.CUTOUT_N, options.CUTOUT_LEN
        yield f"cutout (n_holes={n}, length={length})", partial(cutout, n_holes=n, length=length)
    if "normalize" in choices:
        yield _normalize(cfg)
    if "gaussian_noise" in choices:
        mean, std = options.GN_MEAN, options.GN_STD
        yield f"gaussian noise (mean={mean}, std={std})", partial(gaussian_noise, mean=mean, std=std)
    if "instance_norm" in choices:
        yield "instance normalization", instance_normalization


def _test_steps(cfg: CfgNode, choices: Sequence[str]) -> Iterator[Step]:
    """The steps for testing, in the order they are applied."""
    size = cfg.INPUT.SIZE
    mode = INTERPOLATION_MODES[cfg.INPUT.INTERPOLATION]
    yield f"resize the smaller edge to {max(size)}", T.Resize(max(size), interpolation=mode)
    yield f"{size[0]}x{size[1]} center crop", T.CenterCrop(size)
    yield _to_tensor()
    if "normalize" in choices:
        yield _normalize(cfg)
    if "instance_norm" in choices:
        yield "instance normalization", instance_normalization


def _to_tensor() -> Step:
    return "to torch tensor of range [0, 1]", T.ToTensor()


def _normalize(cfg: CfgNode) -> Step:
    mean, std = cfg.INPUT.PIXEL_MEAN, cfg.INPUT.PIXEL_STD
    return f"normalization (mean={mean}, std={std})", T.Normalize(mean=mean, std=std)
