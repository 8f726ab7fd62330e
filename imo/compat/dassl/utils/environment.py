"""Random seeds, and the versions of what a run depends on."""

from __future__ import annotations

import platform
import random

import numpy as np
import PIL
import torch
import torchvision


def set_random_seed(seed: int) -> None:
    """Seed Python, NumPy and PyTorch on all devices."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # of all devices


def collect_env_info() -> str:
    """Lines that name the system, the versions of packages, and the GPUs."""
    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    facts = {
        "OS": platform.platform(),
        "Python": platform.python_version(),
        "PyTorch": torch.__version__,
        "torchvision": torchvision.__version__,
        "NumPy": np.__version__,
        "Pillow": PIL.__version__,
        "CUDA": torch.version.cuda or "none",
        "GPU": ", ".join(gpus) or "none",
    }
    return "\n".join(f"{name}: {value}" for name, value in facts.items())
