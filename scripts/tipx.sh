#!/usr/bin/env bash
# Tip-X, training-free.
#
#   bash scripts/tipx.sh DATASET SHOTS [CFG]        e.g. bash scripts/tipx.sh colored_digits 16
#
# DATASET is a file of configs/datasets, CFG one of configs/trainers/TipX. Finished runs are skipped.
# From the environment: DATA, OUTPUT, SEEDS, ADAPTER (see scripts/_env.sh).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 2 "$@"
run_trainers TipX "$1" "$2" "${3:-}"
