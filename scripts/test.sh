#!/usr/bin/env bash
# The tests, with the checks of style, types and imports.
#
#   bash scripts/test.sh [PYTEST ARGUMENT ...]             e.g. bash scripts/test.sh -k search
#   bash scripts/test.sh --oldest [PYTEST ARGUMENT ...]    the tests alone, on the lowest versions that setup.py allows
#
# --oldest takes the oldest Python there is and makes .venv-oldest.
#
#   DASSL    source folder of upstream Dassl, for the tests to run on it instead of the stand-in imo/compat
source "$(dirname "${BASH_SOURCE[0]}")/_env.sh"
usage_unless "$0" 0 "${1:-}"

# Sets PYTHON: that of .venv-oldest, filled anew where setup.py has changed.
find_oldest() {
    local base folder="$ROOT/.venv-oldest" wanted
    PYTHON="$folder/bin/python"
    wanted="$(cksum < "$ROOT/setup.py")"
    if [ -x "$PYTHON" ] && [ "$(cat "$folder/.filled" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    base="$(first_python python3.10 python3.11 python3.12 python3.13 python3.14 python3 python)"
    echo "Filling .venv-oldest once with $("$base" --version) (about 6 GB, a few minutes) ..."
    "$base" -I -m venv --clear "$folder"
    "$PYTHON" -I -m pip install --quiet --disable-pip-version-check packaging
    "$PYTHON" -I -m pip install --quiet --disable-pip-version-check --no-deps -e "$ROOT"
    "$PYTHON" -I - > "$folder/lowest.txt" <<'PY'
from importlib.metadata import requires
from packaging.requirements import Requirement
for need in map(Requirement, requires("clip-imo")):
    print(*(f"{need.name}=={bound.version}" for bound in need.specifier if bound.operator == ">="), sep="\n")
PY
    "$PYTHON" -I -m pip install --quiet --disable-pip-version-check -e "$ROOT[test]" --constraint "$folder/lowest.txt"
    echo "$wanted" > "$folder/.filled"
}

DASSL="${DASSL:-}"
if [ -n "$DASSL" ] && [ ! -f "$DASSL/dassl/__init__.py" ]; then
    echo "error: DASSL: $DASSL has no dassl/__init__.py; give the source folder of Dassl.pytorch" >&2
    exit 2
fi
DASSL="${DASSL:+$(cd "$DASSL" && pwd)}"
cd "$ROOT"  # before Python runs: it imports from the current folder
CHECKS="yes"
if [ "${1:-}" = --oldest ]; then
    shift
    CHECKS=""  # their results are those of the newest versions
    find_oldest
else
    # shellcheck disable=SC2086  # words
    find_python $NEEDED_BY_TESTS
fi
if [ -n "$DASSL" ]; then
    if ! said="$(PYTHONPATH="$DASSL:$PYTHONPATH" "$PYTHON" -W ignore -c "import dassl.engine" 2>&1)"; then
        echo "error: DASSL: $DASSL cannot be imported (${said##*$'\n'}); install its requirements" >&2
        exit 2
    fi
fi
if [ -n "$CHECKS" ]; then
    "$PYTHON" -m ruff check .
    "$PYTHON" -m ruff format --check .
    "$PYTHON" tools/check_types_and_imports.py
fi
export PYTHONPATH="${DASSL:+$DASSL:}$PYTHONPATH"
if [ "$#" -eq 0 ]; then  # all tests: on all cores, a file's in one process
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
    set -- --numprocesses auto --maxprocesses 4 --dist loadfile
fi
exec "$PYTHON" -m pytest "$@"
