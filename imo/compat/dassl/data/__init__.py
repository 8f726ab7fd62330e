"""Data sets, transforms, samplers and loaders."""

from .data_manager import DataManager, build_data_loader
from .wrapper import DatasetWrapper

__all__ = ["DataManager", "DatasetWrapper", "build_data_loader"]
