#!/usr/bin/env bash
# Zero-shot CLIP with several prompts.
#
#   bash scripts/zeroshot_clip2.sh DATASET [CFG]        e.g. bash scripts/zeroshot_clip2.sh colored_digits; more: scripts/run.sh
source "$(dirname "${BASH_SOURCE[0]}")/run.sh" ZeroshotCLIP2 ${1:+"$1" 0 "${@:2}"}
