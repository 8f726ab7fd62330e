"""What the settings of Dassl and of the node IMO may be, for our trainers. Dassl's own trainers take what Dassl takes.

What a name may be (of an optimiser, a sampler, ...) the Dassl that is there knows.
"""

from __future__ import annotations

import importlib
from typing import Any

from imo.compat.transforms import AVAI_CHOICES
from imo.rules import FLAG, PATH, SHARE, TEXT, Rule, either, number, one_of, several, whole
from imo.trainers.base.corrections import ENCODERS

_COUNT = whole(1, 10**6)
_RATE = number(0)
_RANGE = Rule(
    "two numbers above 0, the smaller one first",
    lambda value: several(number(0, above=True), 2, 2).fits(value) and value[0] <= value[1],
)
_SAMPLERS = ("RandomSampler", "SequentialSampler", "RandomDomainSampler", "SeqDomainSampler", "RandomClassSampler")


def shared_rules() -> dict[str, Rule]:
    """By dotted name, the rules for all settings that every trainer has."""
    transforms = _named("dassl.data.transforms", "AVAI_CHOICES") or _named(
        "dassl.data.transforms.transforms", "AVAI_CHOICES"
    )
    samplers = one_of(_named("dassl.data.samplers", "AVAI_SAMPLERS") or _SAMPLERS)
    loader = {"SAMPLER": samplers, "BATCH_SIZE": _COUNT, "N_DOMAIN": whole(0), "N_INS": _COUNT}
    nodes: dict[str, dict[str, Rule]] = {
        "": {
            "OUTPUT_DIR": TEXT, "RESUME": TEXT, "SEED": whole(most=2**32 - 1), "USE_CUDA": FLAG, "VERBOSE": FLAG,
        },
        "INPUT.": {
            "SIZE": several(whole(1, 10_000), 2, 2),
            "INTERPOLATION": one_of(("bilinear", "bicubic", "nearest")),
            "TRANSFORMS": several(one_of(dict.fromkeys((*AVAI_CHOICES, *transforms)))),
            "NO_TRANSFORM": one_of((False,)),
            "PIXEL_MEAN": several(number(), 3, 3), "PIXEL_STD": several(number(0, above=True), 3, 3),
            "CROP_PADDING": whole(0, 10_000), "RRCROP_SCALE": _RANGE,
            "CUTOUT_N": whole(0, 10_000), "CUTOUT_LEN": whole(0, 10_000),
            "GN_MEAN": number(), "GN_STD": _RATE,
            "RANDAUGMENT_N": whole(0, 1000), "RANDAUGMENT_M": whole(0, 1000),
            "COLORJITTER_B": _RATE, "COLORJITTER_C": _RATE, "COLORJITTER_S": _RATE, "COLORJITTER_H": number(0, 0.5),
            "RGS_P": SHARE, "GB_P": SHARE,
            "GB_K": Rule("an odd whole number of at least 1", lambda value: whole(1).fits(value) and value % 2 == 1),
        },
        "DATASET.": {
            "ROOT": PATH, "NAME": TEXT, "SOURCE_DOMAINS": several(TEXT), "TARGET_DOMAINS": several(TEXT),
            "NUM_LABELED": whole(), "NUM_SHOTS": whole(-1), "VAL_PERCENT": SHARE, "STL10_FOLD": whole(),
            "CIFAR_C_TYPE": TEXT, "CIFAR_C_LEVEL": whole(), "ALL_AS_UNLABELED": FLAG,
        },
        "DATALOADER.": {"NUM_WORKERS": whole(0, 256), "K_TRANSFORMS": whole(1, 1000), "RETURN_IMG0": FLAG},
        "DATALOADER.TRAIN_X.": loader,
        "DATALOADER.TRAIN_U.": {"SAME_AS_X": FLAG, **loader},
        "DATALOADER.TEST.": {"SAMPLER": samplers, "BATCH_SIZE": _COUNT},
        "MODEL.": {"INIT_WEIGHTS": TEXT, "BACKBONE.NAME": TEXT, "BACKBONE.PRETRAINED": FLAG},
        "MODEL.HEAD.": {
            "NAME": TEXT, "HIDDEN_LAYERS": several(_COUNT), "ACTIVATION": TEXT, "BN": FLAG, "DROPOUT": SHARE,
        },
        "OPTIM.": {
            "NAME": one_of(_named("dassl.optim.optimizer", "AVAI_OPTIMS")),
            "LR": _RATE, "WEIGHT_DECAY": _RATE, "MOMENTUM": _RATE, "SGD_DAMPNING": SHARE, "SGD_NESTEROV": FLAG,
            "RMSPROP_ALPHA": _RATE,
            "ADAM_BETA1": number(0, 1 - 1e-12), "ADAM_BETA2": number(0, 1 - 1e-12),
            "STAGED_LR": FLAG, "NEW_LAYERS": either(several(TEXT), TEXT), "BASE_LR_MULT": _RATE,
            "LR_SCHEDULER": one_of(_named("dassl.optim.lr_scheduler", "AVAI_SCHEDS")),
            "STEPSIZE": either(several(whole(), 1), whole()), "GAMMA": _RATE,
            "MAX_EPOCH": _COUNT, "WARMUP_EPOCH": whole(most=10**6),
            "WARMUP_TYPE": one_of(("linear", "constant")),
            "WARMUP_CONS_LR": _RATE, "WARMUP_MIN_LR": _RATE, "WARMUP_RECOUNT": FLAG,
        },
        "TRAIN.": {
            "CHECKPOINT_FREQ": whole(), "PRINT_FREQ": whole(1),
            "COUNT_ITER": one_of(("train_x", "train_u", "smaller_one")),
        },
        "TEST.": {
            "EVALUATOR": one_of(_evaluators()),
            "PER_CLASS_RESULT": FLAG, "COMPUTE_CMAT": FLAG, "NO_TEST": FLAG,
            "SPLIT": one_of(("val", "test")), "FINAL_MODEL": one_of(("last_step", "best_val")),
        },
        "TRAINER.": {"NAME": TEXT},
        "IMO.": {
            "CFG": TEXT, "ADAPTER": TEXT, "STORE": TEXT, "REDO": FLAG, "PASSES": whole(1, 10_000),
            "ISOCLIP.TOP": whole(-1, 10**6), "ISOCLIP.BOTTOM": whole(-1, 10**6),
            "CORRECTION": one_of(ENCODERS), "PRECISION": one_of(("auto", "fp32", "bf16")),
            "SEARCH": one_of(("grid", "exact")), "PHI": one_of(("paper", "inductive")),
        },
    }  # fmt: skip
    return {f"{node}{name}": rule for node, rules in nodes.items() for name, rule in rules.items()}


def _named(module: str, name: str) -> tuple[str, ...]:
    """A list of names in one of Dassl's modules; empty where this Dassl has none."""
    try:
        found: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return ()
    return tuple(found)


def _evaluators() -> tuple[str, ...]:
    from dassl.evaluation import EVALUATOR_REGISTRY

    return tuple(EVALUATOR_REGISTRY.registered_names())
