"""One optimiser step of adapter training: precision, pieces of a batch, several processes, and numbers that fail."""

import math

import torch
from torch.nn.utils import clip_grad_norm_, parameters_to_vector, vector_to_parameters

from imo.errors import InputError
from imo.trainers.base import distributed as _distributed

PRECISIONS = {"fp32": None, "amp": torch.float16, "bf16": torch.bfloat16}
SCHEDULES = ("constant", "cosine")


def learning_rate(cfg, step, steps, steps_an_epoch):
    """Of a step, counted from 0, among `steps`: linear warm-up, then constant or a cosine to zero."""
    options = cfg.TRAINER.IMOADAPTER
    warm = options.WARMUP_EPOCHS * steps_an_epoch
    if step < warm:
        return cfg.OPTIM.LR * (step + 1) / warm
    if options.SCHEDULE == "constant":
        return cfg.OPTIM.LR
    return cfg.OPTIM.LR * 0.5 * (1 + math.cos(math.pi * (step - warm) / (steps - warm)))


class Stepper:
    """Makes the steps of one training.

    A step's batch is DATALOADER.TRAIN_X.BATCH_SIZE images, over all processes and pieces (ACCUMULATE) together: how it
    is divided changes memory and speed, but neither the gradient nor the schedule. Dropout alone draws other masks.
    """

    def __init__(self, cfg, objective, visual, optim, device):
        self.cfg, self.objective, self.visual, self.optim, self.device = cfg, objective, visual, optim, device
        self.parameters = [p for p in objective.student.parameters() if p.requires_grad]
        precision = cfg.TRAINER.IMOADAPTER.PREC
        self.dtype = PRECISIONS[precision]
        scaler = getattr(torch.amp, "GradScaler", None)  # torch < 2.3 has it elsewhere
        enabled = precision == "amp"
        self.scaler = scaler(device.type, enabled=enabled) if scaler else torch.cuda.amp.GradScaler(enabled=enabled)

    def __call__(self, views, labels, epoch, batch, done):
        """Make a step. Returns the mean loss and the objective's other numbers, over the whole batch.

        Args:
            views: list of this process' (B, 3, h, w).
            labels: this process' (B,) int64.
            epoch, batch: where in the training this is, counted from 0.
            done: the part of the training that lies behind after this step, 0 to 1.
        """
        self._where = f"epoch {epoch + 1}, batch {batch + 1}"
        self.optim.zero_grad()
        numbers = {}
        for rows in torch.arange(len(labels), device=self.device).chunk(self.cfg.TRAINER.IMOADAPTER.ACCUMULATE):
            with torch.autocast(self.device.type, self.dtype or torch.bfloat16, enabled=self.dtype is not None):
                found = self.objective.loss(self.visual, [view[rows] for view in views], labels[rows], epoch)
            loss, share = found[0], len(rows) / len(labels)
            self._check("loss", loss)
            self.scaler.scale(loss * share).backward()
            for name, value in {"loss": loss, **found[1]}.items():
                numbers[name] = numbers.get(name, 0.0) + share * value.detach()
        numbers = self._over_processes(numbers, len(labels))
        self.objective.before_step(epoch)
        self.scaler.unscale_(self.optim)
        norm = clip_grad_norm_(self.parameters, self.cfg.TRAINER.IMOADAPTER.CLIP_GRADIENT or math.inf)
        if not self.scaler.is_enabled() or self.scaler.get_scale() < 1:  # the scaler skips such steps, for a while
            self._check("gradient", norm)
        self.scaler.step(self.optim)
        self.scaler.update()
        self._check("weight", torch.stack([parameter.detach().abs().max() for parameter in self.parameters]))
        self.objective.after_step(done)
        return {name: float(value) for name, value in numbers.items()}

    def _over_processes(self, numbers, count):
        """Average gradients and numbers over processes, by images."""
        if _distributed.world_size() == 1:
            return numbers
        gradients = [parameter.grad for parameter in self.parameters]
        mine = torch.cat([parameters_to_vector(gradients), torch.stack(list(numbers.values()))])
        mean = _distributed.weighted_mean(mine, count)
        vector_to_parameters(mean[: -len(numbers)], gradients)
        return dict(zip(numbers, mean[-len(numbers) :]))

    def _check(self, what, value):
        if not torch.isfinite(value).all():
            raise InputError(
                f"OPTIM.LR: the {what} is infinite or NaN in {self._where}; lower the learning rate, or check the "
                f"weights of backbone '{self.cfg.MODEL.BACKBONE.NAME}'"
            )
