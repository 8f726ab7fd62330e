#!/usr/bin/env bash
# Distribution shift: build the cache on one dataset, then test it on shifted ones, per seed.
#
#   bash scripts/shift.sh "TRAINER ..." SHOTS [SOURCE [TARGET ...]]
#   bash scripts/shift.sh TipXPP 16
#   bash scripts/shift.sh "TipAdapter TipAdapterPP" 16 digits mnist5k gaussian_noise-3 inverse-5
#
# Without SOURCE: imagenet. A TARGET is a file of configs/datasets with the same classes (or, among ImageNet's variants,
# some of them), or a corruption <name>-<severity> of the source's test images. Without TARGET: the source's
# DATASET.SHIFTS, which are V2, Sketch, A and R for imagenet, for handwriting the other source and every corruption at
# severity 3, and else those corruptions. The last row of the table is the average over targets. Finished runs are skipped.
# From the environment: DATA, OUTPUT, SEEDS, ADAPTER, CFG (see scripts/_env.sh).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 2 "$@"
TRAINERS="$1" SHOTS="$2" SOURCE="${3:-imagenet}"
shift "$(($# < 3 ? $# : 3))"
# Without a target, handwriting is tested on the other source, too.
case "$# $SOURCE" in "0 "*digits | "0 "*mnist*) ALSO="digits mnist5k" ;; esac
run_trainers "$TRAINERS" "$SOURCE" "$SHOTS" "${CFG:-}" --quiet --targets "$@"
