"""Adapters outside a model, and the file that holds them: safetensors with the settings in its metadata."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save

from imo.errors import reading

_FORMAT = "imo-adapter-1"
PARTS = ("down.weight", "down.bias", "up.weight", "up.bias")


@dataclass(frozen=True)
class StoredAdapters:
    """The weights and settings of adapters, as a file holds them.

    Attributes:
        states: for each block down.weight (b, w), down.bias (b,), up.weight (w, b) and up.bias (w,).
        scale, dropout: see `imo.attach_adapters`.
        backbone_sha256: sha256 of the weights file of the CLIP that they were trained in; empty if unknown.
        frozen: weights of the visual tower that they were trained in, by name; empty if the file has none.

    Raises:
        ValueError: a part is missing, sizes differ between blocks, or a setting is impossible or a number not finite.
    """

    states: list[dict[str, torch.Tensor]]
    scale: float
    dropout: float
    backbone_sha256: str = ""
    frozen: dict[str, torch.Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.states or any({*state} != {*PARTS} for state in self.states):
            raise ValueError("not down and up with weight and bias for each block")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout {self.dropout}")
        if self.states[0]["down.weight"].ndim != 2:
            raise ValueError(f"down.weight of shape {tuple(self.states[0]['down.weight'].shape)}")
        shapes = [(self.bottleneck, self.width), (self.bottleneck,), (self.width, self.bottleneck), (self.width,)]
        if any([tuple(state[part].shape) for part in PARTS] != shapes for state in self.states):
            raise ValueError("sizes differ between blocks")
        if not math.isfinite(self.scale) or not all(
            value.isfinite().all() for state in self.states for value in state.values()
        ):
            raise ValueError("scale or weights hold NaN or infinity")

    @property
    def bottleneck(self) -> int:
        """Size b of the hidden layer."""
        return self.states[0]["down.weight"].shape[0]

    @property
    def width(self) -> int:
        """Width w of the visual tower."""
        return self.states[0]["down.weight"].shape[1]

    def to_bytes(self) -> bytes:
        """Content of a file with these adapters, as float32, without `frozen`. Equal adapters give equal bytes."""
        tensors = {
            f"resblocks.{i}.{name}": value.detach().float().cpu().contiguous()
            for i, state in enumerate(self.states)
            for name, value in state.items()
        }
        # All settings in one entry of the metadata, as safetensors writes several entries in changing order.
        settings = {"scale": self.scale, "dropout": self.dropout, "backbone_sha256": self.backbone_sha256}
        return save(tensors, {_FORMAT: json.dumps(settings)})

    @classmethod
    def read(cls, path: Path) -> StoredAdapters:
        """Read a file that holds the content that `to_bytes` gives.

        Raises:
            InputError: the file is damaged or of another kind.
        """
        with reading(f"{path}: damaged, or not an adapter file", "train or copy it again"):
            with safe_open(path, framework="pt") as file:
                settings = json.loads((file.metadata() or {})[_FORMAT])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
            states = [
                {part: tensors.pop(f"resblocks.{i}.{part}") for part in PARTS}
                for i in range(len(tensors) // len(PARTS))
            ]
            if tensors:
                raise ValueError(f"holds {', '.join(tensors)}")
            scale, dropout = float(settings["scale"]), float(settings["dropout"])
            return cls(states, scale, dropout, str(settings["backbone_sha256"]))
