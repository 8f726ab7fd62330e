#!/usr/bin/env bash
# The tests, with ruff and mypy.
#
#   bash scripts/test.sh [PYTEST ARGUMENT ...]        e.g. bash scripts/test.sh -k search
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
find_python pytest ruff mypy
cd "$ROOT"
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check .
"$PYTHON" -m mypy
(cd imo/compat && "$PYTHON" -m mypy --config-file "$ROOT/pyproject.toml" --explicit-package-bases dassl)
exec "$PYTHON" -m pytest "$@"
