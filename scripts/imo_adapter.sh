#!/usr/bin/env bash
# Train the adapters that reduce intra-modal overlap, on a generic labelled set.
#
#   bash scripts/imo_adapter.sh DATASET [SHOTS] [CFG]        e.g. bash scripts/imo_adapter.sh glyphs
#
# DATASET is a file of configs/datasets, SHOTS images a class (default 200), CFG one of configs/trainers/IMOAdapter.
# Leaves adapter.safetensors in the run's folder; give it to the ++ scripts as ADAPTER=<that file>.
# From the environment: DATA, OUTPUT, SEEDS (default here: 1).
SEEDS="${SEEDS:-1}"
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 1 "$@"
run_trainers IMOAdapter "$1" "${2:-200}" "${3:-}"
