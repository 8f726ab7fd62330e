"""Bottleneck adapters in CLIP's visual transformer: attaching, switching on and off, saving and loading."""

from imo.model.adapter.blocks import Adapter, adapters_of, adapters_switched, attach_adapters, blocks_of, check_clip
from imo.model.adapter.files import adapters_sha256, load_adapters, save_adapters

__all__ = [
    "Adapter",
    "adapters_of",
    "adapters_sha256",
    "adapters_switched",
    "attach_adapters",
    "blocks_of",
    "check_clip",
    "load_adapters",
    "save_adapters",
]
