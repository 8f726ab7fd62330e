#!/usr/bin/env bash
# Intra-modal overlap of a dataset under each correction: measures with intervals, histograms, confused classes.
#
#   bash scripts/overlap.sh DATASET [CFG]        e.g. bash scripts/overlap.sh colored_digits
#
# DATASET is a file of configs/datasets, CFG one of configs/trainers/TipAdapter. Measures validation images, or those of
# SPLIT=test. The table is printed; overlap.json and pictures go to $OUTPUT/overlap/DATASET, where report.sh finds them.
# From the environment: DATA, OUTPUT, ADAPTER, BACKBONE (see scripts/_env.sh), SPLIT, CORRECTIONS (words; default: all).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 1 "$@"
# Words are split on purpose.
# shellcheck disable=SC2046,SC2086
find_python $NEEDED_BY_PICTURES $(needed_by "$1")
# shellcheck disable=SC2086
run_imo overlap --dataset "$1" --cfg "${2:-}" --split "${SPLIT:-val}" \
    --corrections ${CORRECTIONS:-} --data "$DATA" --output "$OUTPUT" --adapter "$ADAPTER" --backbone "$BACKBONE"
