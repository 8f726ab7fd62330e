"""What a training-free method keeps."""

import hashlib

import torch
from torch import nn


class State(nn.Module):
    """Tensors that a training-free method keeps, set as attributes; saved and loaded by Dassl's checkpoint calls.

    A 0-dimensional tensor is a hyper-parameter.
    """

    def __setattr__(self, name, value):
        if torch.is_tensor(value) and name not in self._buffers:
            self.register_buffer(name, value)
        else:
            super().__setattr__(name, value)

    def set(self, **numbers):
        """Keep numbers as hyper-parameters."""
        for name, value in numbers.items():
            setattr(self, name, torch.tensor(float(value), dtype=torch.float64))

    def settings(self):
        """Hyper-parameters by name."""
        return {name: float(value) for name, value in self.named_buffers() if value.ndim == 0}

    def load_state_dict(self, state_dict, strict=True):
        """Takes whatever was saved: a cache has as many keys as its support set had images."""
        for name, value in state_dict.items():
            setattr(self, name, value)


def digest(words):
    """A tensor that tells one list of words from another."""
    return torch.tensor(list(hashlib.blake2b("\n".join(words).encode(), digest_size=16).digest()))
