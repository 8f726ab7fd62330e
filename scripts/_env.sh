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
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
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

NEEDED="torch torchvision clip yacs tabulate tqdm numpy safetensors sklearn mlxtend matplotlib skimage"

# Whether interpreter $1 has all modules that follow; looks for them without importing, so it takes no time.
has_modules() {
    "$1" - "${@:2}" 2>/dev/null <<'PY'
import importlib.util, sys
good = (3, 9) <= sys.version_info < (3, 14)
sys.exit(not good or any(importlib.util.find_spec(name) is None for name in sys.argv[1:]))
PY
}

# Sets PYTHON: the active interpreter if it has what is needed, else .venv, filled once.
find_python() {
    local candidate base="" stamp="$ROOT/.venv/.filled" wanted
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
    for candidate in python3 python3.13 python3.12 python3.11 python3.10 python3.9 python; do
        if command -v "$candidate" >/dev/null && has_modules "$candidate" venv; then
            base="$candidate"
            break
        fi
    done
    if [ -z "$base" ]; then
        echo "error: no Python 3.9 to 3.13 with the module venv found; install one (Debian: apt install python3-venv)" >&2
        exit 2
    fi
    echo "No active Python has what is needed. Filling .venv once with $("$base" --version) (about 6 GB, a few minutes) ..."
    [ -x "$PYTHON" ] || "$base" -m venv "$ROOT/.venv"
    "$PYTHON" -m pip install --quiet --disable-pip-version-check -e "$ROOT[demo,test]"
    if ! "$PYTHON" -W ignore -c "import torchvision" 2>/dev/null; then
        echo "error: torch and torchvision in .venv do not fit each other; mend them with:" >&2
        echo "  $PYTHON -m pip install --upgrade --force-reinstall torch torchvision" >&2
        exit 2
    fi
    echo "$wanted" > "$stamp"
    echo "Done: $ROOT/.venv"
}

# Runs trainers (words, $1) on datasets (words, $2) with shots (words, $3) and config $4, the rest as above.
run_trainers() {
    find_python
    # The words are split on purpose.
    # shellcheck disable=SC2086
    exec "$PYTHON" -W ignore -m imo compare --trainers $1 --corrections ${CORRECTIONS:-none} --dataset $2 \
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
