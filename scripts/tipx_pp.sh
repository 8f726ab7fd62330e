#!/usr/bin/env bash
# Tip-X++: Tip-X on IMO-corrected features.
#
#   bash scripts/tipx_pp.sh DATASET SHOTS [CFG]        e.g. bash scripts/tipx_pp.sh colored_digits 16
#
# DATASET is a file of configs/datasets, CFG one of configs/trainers/TipXPP. Finished runs are skipped.
# From the environment: DATA, OUTPUT, SEEDS, ADAPTER (see scripts/_env.sh).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 2 "$@"
run_trainers TipXPP "$1" "$2" "${3:-}"
