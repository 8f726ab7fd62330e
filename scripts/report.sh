#!/usr/bin/env bash
# Tables, curves and one self-contained page from the finished runs of $OUTPUT.
#
#   bash scripts/report.sh [--methods METHOD ...]        writes $OUTPUT/report/report.html, tables and pictures
#   bash scripts/report.sh --against CSV ...             says which figures differ from stored ones
#
# For example bash scripts/report.sh --against expected/*.csv. Reads results.json files, the search surfaces beside them
# and what overlap.sh left; runs nothing. From the environment: OUTPUT (see scripts/_env.sh).
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
case "${1:-}" in -h | --help) usage_unless "$0" 0 "$@" ;; esac
# shellcheck disable=SC2086  # words
find_python $NEEDED_BY_REPORT
run_imo report "$OUTPUT" "$@"
