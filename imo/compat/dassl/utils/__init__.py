"""Helpers that know nothing of data sets or trainers."""

from .checkpoint import load_checkpoint, load_pretrained_weights, resume_from_checkpoint, save_checkpoint
from .environment import collect_env_info, set_random_seed
from .files import check_isfile, listdir_nohidden, mkdir_if_missing, read_image, read_json, write_json
from .layers import count_num_param
from .logger import Logger, setup_logger
from .meters import AverageMeter, MetricMeter
from .names import check_availability, get_most_similar_str_to_a_from_b, tolist_if_not
from .registry import Registry

__all__ = [
    "AverageMeter",
    "Logger",
    "MetricMeter",
    "Registry",
    "check_availability",
    "check_isfile",
    "collect_env_info",
    "count_num_param",
    "get_most_similar_str_to_a_from_b",
    "listdir_nohidden",
    "load_checkpoint",
    "load_pretrained_weights",
    "mkdir_if_missing",
    "read_image",
    "read_json",
    "resume_from_checkpoint",
    "save_checkpoint",
    "set_random_seed",
    "setup_logger",
    "tolist_if_not",
    "write_json",
]
