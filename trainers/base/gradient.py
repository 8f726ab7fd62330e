"""Training of a few tensors on stored features."""

import warnings

import torch
import torch.nn.functional as F
from dassl.optim import build_optimizer
from tqdm import tqdm

from imo.errors import InputError
from imo.model.encode import encode_texts
from imo.trainers.base.schedule import build_schedule
from imo.trainers.base.training_free import TrainingFreeTrainer


class GradientTrainer(TrainingFreeTrainer):
    """Trains tensors of `self.state` by gradient descent on stored features, in seconds.

    A method gives `fit()`, which makes the tensors and calls `optimise`, and `scores(*inputs)`.

    OPTIM.MAX_EPOCH is the number of epochs. TEST.FINAL_MODEL is Dassl's: "last_step", or "best_val" for the first epoch
    that is best on validation images; where there are none (protocol `support`), the last stays.
    """

    correction = "none"
    training_free = False

    def build_model(self):
        super().build_model()
        self.max_epoch = 1  # of Dassl's loop, which fits, saves and tests; OPTIM.MAX_EPOCH is for `epochs`

    # What a method is written with.

    def inputs(self, split):
        """What `scores` takes of a split: a tuple of tensors with N rows."""
        return (self.features(split),)

    def training_inputs(self):
        """The same of the support set: a tuple of tensors (M, passes, ...)."""
        return (self.support_views("clip"),)

    def scores(self, *inputs):
        """(B, C) logits, differentiable in the tensors that are trained."""
        raise NotImplementedError

    def logits(self, split):
        return self.scores(*self.inputs(split))

    def text_features(self):
        """(C, d) mean over templates of CLIP's text features, not normalised: published step sizes fit their norms."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said when the classifier was built
            return encode_texts(self.clip_model, self.dm.dataset.classnames, self.templates).mean(1).cpu()

    def generator(self):
        """A source of random numbers of the run's seed."""
        generator = torch.Generator()
        if self.cfg.SEED >= 0:
            generator.manual_seed(self.cfg.SEED)
        else:
            generator.seed()
        return generator

    def accuracy(self, split):
        """Percent."""
        with torch.no_grad():
            return 100.0 * (self.logits(split).argmax(1) == self.targets(split)).double().mean().item()

    def epochs(self, *names):
        """Yields the numbers of the epochs, 1 and up, in which a method trains these tensors of the state, in place.

        Where the epoch is chosen on validation, sets `val_accuracy` and the setting `epoch`, and leaves the tensors as
        they were after it.
        """
        choosing = self.cfg.TEST.FINAL_MODEL == "best_val" and self.tuning_split == "val"
        tensors = [getattr(self.state, name).requires_grad_() for name in names]
        best, best_epoch, kept = -1.0, 0, []
        if choosing:
            self.inputs("val")  # encoded before the clock of training starts
        with self.stage("train"):
            for epoch in tqdm(range(1, self.cfg.OPTIM.MAX_EPOCH + 1), desc="Training", unit="epoch"):
                yield epoch
                if choosing and (accuracy := self.accuracy("val")) > best:
                    best, best_epoch, kept = accuracy, epoch, [tensor.detach().clone() for tensor in tensors]
        for tensor in tensors:
            tensor.requires_grad_(False)
        if choosing:
            for tensor, value in zip(tensors, kept):
                tensor.copy_(value)
            self.val_accuracy = best
            self.state.set(epoch=best_epoch)
            print(f"Best epoch on validation: {best_epoch} of {epoch}, accuracy {best:.2f}%")

    def optimise(self, *names, penalty=None, **options):
        """Minimise cross-entropy, plus `penalty()` if there is one, over tensors of the state.

        An epoch takes each support image once, in batches of DATALOADER.TRAIN_X.BATCH_SIZE of which the last may be
        smaller, as one of its stored augmented views; order and views are drawn from the seed. OPTIM is Dassl's, the
        schedule steps once an epoch; `options` go to the optimiser beside it.
        """
        cfg = self.cfg
        optim = build_optimizer([{"params": [getattr(self.state, name) for name in names], **options}], cfg.OPTIM)
        sched = build_schedule(optim, cfg.OPTIM)
        views, labels = self.training_inputs(), self.support_labels()
        generator, size = self.generator(), cfg.DATALOADER.TRAIN_X.BATCH_SIZE
        for epoch in self.epochs(*names):
            numbers = torch.randint(views[0].shape[1], (len(labels),), generator=generator)
            for rows in torch.randperm(len(labels), generator=generator).split(size):
                loss = F.cross_entropy(self.scores(*(view[rows, numbers[rows]] for view in views)), labels[rows])
                if penalty is not None:
                    loss = loss + penalty()
                self.check_loss(loss, epoch)
                optim.zero_grad()
                loss.backward()
                optim.step()
            sched.step()

    def check_loss(self, loss, epoch):
        """Refuse to go on with a loss that is not a number."""
        if not torch.isfinite(loss):
            raise InputError(
                f"OPTIM.LR: the loss is infinite or NaN in epoch {epoch} at {self.cfg.OPTIM.LR:g}; lower it"
            )

    def after_epoch(self):
        if self.val_accuracy is None:
            self.tuned_on = "nothing"
        super().after_epoch()
