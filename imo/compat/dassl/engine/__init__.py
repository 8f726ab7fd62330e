"""Trainers: the loop over epochs and batches."""

from .base import TrainerBase
from .build import TRAINER_REGISTRY, build_trainer
from .simple import SimpleTrainer
from .trainer import TrainerX, TrainerXU

__all__ = ["TRAINER_REGISTRY", "SimpleTrainer", "TrainerBase", "TrainerX", "TrainerXU", "build_trainer"]
