#!/usr/bin/env bash
# Distribution shift: build the cache on one dataset, then test it on shifted ones, per seed.
#
#   bash scripts/shift.sh "TRAINER ..." SHOTS SOURCE [TARGET ...]
#   bash scripts/shift.sh "TipAdapter TipAdapterPP" 16 digits mnist5k gaussian_noise-3 inverse-5
#
# A TARGET is a file of configs/datasets with the same classes, or a corruption <name>-<severity> of the source's test
# images. Without TARGET: every corruption at severity 3. Finished runs are skipped.
# From the environment: DATA, OUTPUT, SEEDS, ADAPTER, CFG (see scripts/_env.sh).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 3 "$@"
TRAINERS="$1" SHOTS="$2" SOURCE="$3"
shift 3
TARGETS="${*:-gaussian_noise-3 gaussian_blur-3 inverse-3 affine-3 occlusion-3 colour-3}"
# shellcheck disable=SC2086
run_trainers "$TRAINERS" "$SOURCE" "$SHOTS" "${CFG:-}" --quiet --targets $TARGETS
