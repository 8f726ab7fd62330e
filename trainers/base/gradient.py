"""Methods that train a few tensors on stored features by gradient descent, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from tqdm import tqdm

from imo.errors import InputError
from imo.trainers.base.methods import Method
from imo.trainers.base.task import Queries, Task, TextClassifier

Groups = list[dict[str, Any]]  # parameter groups as PyTorch's optimisers take them


@dataclass(frozen=True)
class Training:
    """How a method is trained.

    Attributes:
        epochs: passes over the support set.
        batch_size: support images a step.
        best_epoch: whether to keep the first epoch that is best on validation images; without them, and otherwise, the
            last stays.
        optimizer: makes the optimiser of parameter groups, and its schedule, which steps once an epoch. By default
            AdamW at 0.001 with a cosine.
    """

    epochs: int = 20
    batch_size: int = 256
    best_epoch: bool = False
    optimizer: Callable[[Groups], tuple[Optimizer, LRScheduler]] | None = None

    def optimizer_of(self, groups: Groups) -> tuple[Optimizer, LRScheduler]:
        """The optimiser of these parameter groups, and its schedule."""
        if self.optimizer is not None:
            return self.optimizer(groups)
        adamw = torch.optim.AdamW(groups, lr=1e-3)
        return adamw, CosineAnnealingLR(adamw, self.epochs)


class GradientMethod(Method):
    """A method whose tensors are trained; it implements `fit`, which makes them and calls `optimise`, and `scores`.

    Args:
        training: how it is trained.
    """

    correction: ClassVar[str | None] = "none"
    training_free = False

    def __init__(self, training: Training | None = None) -> None:
        super().__init__()
        self.training_options = training or Training()

    def inputs(self, queries: Queries) -> tuple[torch.Tensor, ...]:
        """What `scores` takes of queries: tensors with N rows."""
        return (queries.features,)

    def training_inputs(self, task: Task) -> tuple[torch.Tensor, ...]:
        """The same of the support set: tensors (M, P, ...), one entry for each augmented view."""
        return (task.views,)

    def scores(self, text: TextClassifier, *inputs: torch.Tensor) -> torch.Tensor:
        """(B, C) logits, differentiable in the tensors that are trained."""
        raise NotImplementedError

    def logits(self, queries: Queries) -> torch.Tensor:
        return self.scores(queries.text, *self.inputs(queries))

    def generator(self, task: Task) -> torch.Generator:
        """A source of random numbers of the task's seed."""
        generator = torch.Generator()
        if task.seed >= 0:
            generator.manual_seed(task.seed)
        else:
            generator.seed()
        return generator

    def accuracy(self, queries: Queries) -> float:
        """Percent of the queries that are classified correctly."""
        with torch.no_grad():
            return 100.0 * (self.logits(queries).argmax(1) == queries.targets).double().mean().item()

    def epochs(self, task: Task, *names: str) -> Iterator[int]:
        """Yields the numbers of the epochs, 1 and up, in which the caller trains these tensors of the method in place.

        Where the best epoch is kept, the setting `epoch` tells which, and the tensors end as they were after it.
        """
        choosing = self.training_options.best_epoch and not task.leaves_one_out
        tensors = [getattr(self, name).requires_grad_() for name in names]
        best, best_epoch, kept = -1.0, 0, []
        if choosing:
            self.inputs(task.tuning)  # encoded before the bar of training begins
        for epoch in tqdm(range(1, self.training_options.epochs + 1), desc="Training", unit="epoch"):
            yield epoch
            if choosing and (accuracy := self.accuracy(task.tuning)) > best:
                best, best_epoch, kept = accuracy, epoch, [tensor.detach().clone() for tensor in tensors]
        for tensor in tensors:
            tensor.requires_grad_(False)
        if choosing:
            for tensor, value in zip(tensors, kept):
                tensor.copy_(value)
            self.keep(task.tuning, {"epoch": best_epoch}, best)

    def optimise(
        self, task: Task, *names: str, penalty: Callable[[], torch.Tensor] | None = None, **options: Any
    ) -> None:
        """Minimise cross-entropy, plus `penalty()` if there is one, over tensors of the method.

        An epoch takes each support image once, in batches of which the last may be smaller, as one of its augmented
        views; order and views are drawn from the task's seed. `options` go to the optimiser.
        """
        optimizer, schedule = self.training_options.optimizer_of(
            [{"params": [getattr(self, name) for name in names], **options}]
        )
        views, labels = self.training_inputs(task), task.labels
        generator = self.generator(task)
        for epoch in self.epochs(task, *names):
            numbers = torch.randint(views[0].shape[1], (len(labels),), generator=generator)
            for rows in torch.randperm(len(labels), generator=generator).split(self.training_options.batch_size):
                inputs = (view[rows, numbers[rows]] for view in views)
                loss = F.cross_entropy(self.scores(task.text, *inputs), labels[rows])
                if penalty is not None:
                    loss = loss + penalty()
                if not torch.isfinite(loss):
                    group = optimizer.param_groups[0]
                    raise InputError(
                        f"OPTIM.LR: the loss is infinite or NaN in epoch {epoch} at "
                        f"{group.get('initial_lr', group['lr']):g}; lower it"
                    )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
