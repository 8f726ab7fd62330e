#!/usr/bin/env bash
# Zero-shot CLIP.
#
#   bash scripts/zeroshot_clip.sh DATASET [CFG]        e.g. bash scripts/zeroshot_clip.sh colored_digits
#
# DATASET is a file of configs/datasets, CFG one of configs/trainers/ZeroshotCLIP.
# From the environment: DATA, OUTPUT (see scripts/_env.sh).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 1 "$@"
run_trainers ZeroshotCLIP "$1" 0 "${2:-}"
