#!/usr/bin/env bash
# Trainers side by side: mean and sample standard deviation over seeds (CoOp's parse_test_res.py gives the population's),
# the gain of each correction, and the time of each.
#
#   bash scripts/compare.sh DATASET [SHOTS ...]        e.g. bash scripts/compare.sh colored_digits 1 2 4 8 16
#   CORRECTIONS="none adapter isoclip" TRAINERS="TipAdapter APE" bash scripts/compare.sh colored_digits 16
#
# Without SHOTS: 1 2 4 8 16. Without TRAINERS: all training-free ones. Without CORRECTIONS: none and adapter.
# The table is printed and written to $OUTPUT/DATASET/compare.csv and .md. Finished runs are skipped.
# From the environment, too: DATA, OUTPUT, SEEDS, ADAPTER, BACKBONE, VALIDATION, CFG (see scripts/_env.sh).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 1 "$@"
CORRECTIONS="${CORRECTIONS:-none adapter}"
DATASET="$1"
shift
run_trainers "${TRAINERS:-}" "$DATASET" "${*:-1 2 4 8 16}" "${CFG:-}" --quiet
