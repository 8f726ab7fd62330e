"""What a resumed run needs beside weights and optimiser, so that it ends as an uninterrupted one does."""

import random

import numpy as np
import torch
from torch import nn

from imo.errors import InputError


class Progress(nn.Module):
    """Travels in the checkpoint as part of a module's state.

    Attributes:
        settings: fingerprint of the run's options.
        curve: [step, mean loss since the entry before] pairs.
        validation: one dict an epoch, where overlap is validated.
        best: the adapters of the epoch with the least overlap, by name; empty where it is not validated.
        scaler: state of the gradient scaler.
        seconds: of training so far.
    """

    _KEPT = ("settings", "curve", "validation", "best", "scaler", "seconds")

    def __init__(self, settings):
        super().__init__()
        self.settings, self.curve, self.validation, self.best, self.scaler = settings, [], [], {}, {}
        self.seconds = 0.0
        self._pending, self._found = [], None

    def get_extra_state(self):
        return {**{name: getattr(self, name) for name in self._KEPT}, "random": random_states()}

    def set_extra_state(self, state):
        for name in self._KEPT[1:]:
            setattr(self, name, state[name])
        self._found = state

    def resume(self, directory):
        """Go on from the checkpoint that was loaded: set the generators as they were when it was written.

        Raises:
            InputError: it is of a run with other options.
        """
        if self._found["settings"] != self.settings:
            raise InputError(
                f"{directory}: holds a half-done run with other settings or weights; remove it, or choose another "
                f"--output-dir (OUTPUT for scripts)"
            )
        set_random_states(self._found["random"])

    def record(self, step, loss, last):
        """Add a step's loss to the curve, which gets an entry when `last` says so."""
        self._pending.append(loss)
        if last:
            self.curve.append([step, sum(self._pending) / len(self._pending)])
            self._pending = []


def random_states():
    """The states of all global generators, as tensors and built-in types."""
    name, keys, position, has_gauss, gauss = np.random.get_state()
    return {
        "random": random.getstate(),
        "numpy": (name, torch.from_numpy(keys.astype(np.int64)), position, has_gauss, gauss),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
    }


def set_random_states(states):
    """Undo of `random_states`."""
    random.setstate(states["random"])
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, keys.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"].cpu())
