#!/usr/bin/env bash
# Every training-free trainer side by side: mean and standard deviation over seeds, and the gain of each ++.
#
#   bash scripts/compare.sh DATASET [SHOTS ...]        e.g. bash scripts/compare.sh colored_digits 1 2 4 8 16
#
# Without SHOTS: 1 2 4 8 16. The table is printed and written to $OUTPUT/DATASET/compare.csv and .md.
# Finished runs are skipped. From the environment: DATA, OUTPUT, SEEDS, ADAPTER, CFG (see scripts/_env.sh).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 1 "$@"
DATASET="$1"
shift
run_trainers "ZeroshotCLIP TipAdapter TipAdapterPP TipX TipXPP" "$DATASET" "${*:-1 2 4 8 16}" "${CFG:-}" --quiet
