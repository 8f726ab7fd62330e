#!/usr/bin/env bash
# Zero-shot CLIP with one prompt.
#
#   bash scripts/zeroshot_clip.sh DATASET [CFG]        e.g. bash scripts/zeroshot_clip.sh colored_digits; more: scripts/run.sh
source "$(dirname "${BASH_SOURCE[0]}")/run.sh" ZeroshotCLIP ${1:+"$1" 0 "${@:2}"}
