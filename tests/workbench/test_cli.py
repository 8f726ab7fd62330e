"""The command `imo`: its sub-commands, and what becomes one line."""

import argparse
import importlib
import os
import runpy
import signal
import subprocess
import sys
import types
from pathlib import Path

import pytest

from imo.errors import InputError
from imo.workbench import cli

ROOT = Path(__file__).resolve().parents[2]
# `imo` as a bare package, without the public names for which its __init__ imports PyTorch.
BARE = f"""
import sys, types
imo = types.ModuleType("imo")
imo.__path__ = [{str(ROOT / "imo")!r}, {str(ROOT)!r}]
sys.modules["imo"] = imo
from imo.workbench import cli
"""


def python(code, **more):
    return subprocess.run([sys.executable, "-c", BARE + code], capture_output=True, text=True, **more)


@pytest.fixture
def command(monkeypatch):
    """command(run): has `imo trial FILE` call it."""

    def make(run, **more):
        module = types.ModuleType("imo.workbench.commands.trial", "A trial.")
        module.add_arguments = lambda parser: parser.add_argument("file")
        module.run, module.kept = run, lambda args: f"{args.file} is kept; start again"
        vars(module).update(more)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        monkeypatch.setattr(cli, "COMMANDS", (*cli.COMMANDS, "trial"))

    return make


def raising(error):
    def run(args):
        raise error

    return run


# Which commands there are.


def test_every_module_is_a_command_and_the_help_lists_it(capsys):
    modules = {path.stem for path in (ROOT / "workbench/commands").glob("[!_]*.py")}
    assert {*cli.COMMANDS} == modules
    for argv in ([], ["--help"], ["-h"]):
        assert cli.main(argv) == 0
        lines = capsys.readouterr().out.splitlines()
        assert {*modules} <= {line.split()[0] for line in lines if line.startswith("  ")}
        assert max(map(len, lines)) <= 120


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_help_of_a_command_has_examples(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([name, "--help"])
    assert stopped.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: imo {name}")
    assert f"\n    imo {name} " in out or (name == "run" and "\n    imo-run " in out)


def test_help_imports_nothing_slow():
    done = python("cli.main(['--help']); print({'torch', 'dassl', 'matplotlib', 'scipy'} & {*sys.modules})")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "set()"


def test_an_unknown_command_is_one_line_with_those_there_are(capsys):
    assert cli.main(["nonesuch", "--flag"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: nonesuch: ") and err.count("\n") == 1
    assert all(name in err for name in cli.COMMANDS)


@pytest.mark.parametrize("name", ("run", "sweep", "report", "store", "adapter", "datasets"))
def test_a_documented_module_is_the_command(name, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    package = importlib.util.find_spec(f"imo.{name}").submodule_search_locations
    for module in [f"imo.{name}.__main__" if package else f"imo.{name}"]:
        monkeypatch.delitem(sys.modules, module, raising=False)
        with pytest.raises(SystemExit) as stopped:
            runpy.run_module(module, run_name="__main__")
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: imo {name}")


@pytest.mark.parametrize(
    "place, argv, usage", [("train.py", ["--help"], "imo train"), ("workbench/aliases/__main__.py", [], "imo COMMAND")]
)
def test_a_documented_file_is_the_command(place, argv, usage, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", [place, *argv])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(ROOT / place), run_name="__main__")
    assert stopped.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: {usage}")


def test_imo_run_is_imo_run(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["imo-run", "no/such.py", "--list"])
    assert cli.run_main() == 2
    assert "no/such.py: no such script" in capsys.readouterr().err


# What becomes one line.


@pytest.mark.parametrize(
    "error, words",
    [
        (InputError("data: gone; bring it back"), "error: data: gone; bring it back\n"),
        (FileNotFoundError(2, "No such file or directory", "/x/y"), "error: /x/y: No such file or directory; check"),
        (OSError(28, "No space left on device"), "No space left on device"),
    ],
)
def test_what_a_user_can_mend(command, capsys, error, words):
    command(raising(error))
    assert cli.main(["trial", "a"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and words in err and err.startswith("error: ") and err.count("\n") == 1


def test_faults_of_our_own_go_through(command):
    command(raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        cli.main(["trial", "a"])
    command(raising(FileNotFoundError()), MENDABLE=(InputError,))
    with pytest.raises(FileNotFoundError):
        cli.main(["trial", "a"])


def test_a_command_s_status_is_the_command_s(command):
    command(lambda args: 1)
    assert cli.main(["trial", "a"]) == 1


# Interruption.


@pytest.fixture(autouse=True)
def handler():
    """The handler of Ctrl-C is as it was, whatever happened."""
    before = signal.getsignal(signal.SIGINT)
    yield
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_says_what_is_kept(command, capsys):
    command(lambda args: os.kill(os.getpid(), signal.SIGINT))
    assert cli.main(["trial", "mine"]) == 130
    assert capsys.readouterr() == ("", "interrupted: mine is kept; start again\n")


def test_ctrl_c_before_anything_was_begun(command, capsys):
    command(None, add_arguments=raising(KeyboardInterrupt()))
    assert cli.main(["trial", "mine"]) == 130
    assert capsys.readouterr() == ("", "interrupted: nothing was begun\n")


def test_ctrl_c_before_what_would_have_been_refused(command, capsys):
    command(lambda args: os.kill(os.getpid(), signal.SIGINT), kept=raising(InputError("no such option")))
    assert cli.main(["trial", "mine"]) == 130
    assert capsys.readouterr() == ("", "interrupted: nothing was begun\n")


@pytest.mark.parametrize(
    "argv, words",
    [
        ("train --output-dir o IMO.STORE s", ("kept in s,", "in o;")),
        ("compare --dataset digits --shots 1 --output o", ("runs", "kept in o;")),
        ("sweep --dataset digits --shots 1 --output o", ("runs", "kept in o;")),
        ("sweep --dataset digits --shots 1 --output o --executor slurm", ("submitit",)),
        ("overlap --dataset digits --output o", ("kept in o/features;",)),
        ("report o", ("runs in o are as they were",)),
        ("run train.py --trainer TipX", ("IMO.STORE",)),
        ("run --list", ("start it again",)),
        ("store prune --store s", ("s is whole",)),
        ("datasets prepare digits --root d", ("kept in d,",)),
        ("datasets check digits --root d", ("nothing was changed",)),
        ("adapter convert s t", ("s is as it was", "t was not written")),
    ],
)
def test_every_command_has_its_words(argv, words):
    name, *rest = argv.split()
    module, parser = importlib.import_module(f"imo.workbench.commands.{name}"), argparse.ArgumentParser()
    module.add_arguments(parser)
    if name == "train":
        rest = ["--trainer", "TipX", *rest, "DATASET.NAME", "Digits"]
    said = module.kept(parser.parse_args(rest))
    assert all(word in said for word in words) and "\n" not in said


def test_processes_forked_from_ours_pass_over_ctrl_c():
    done = python("""
import os, signal
with cli._workers_leave_interrupts_to_us():
    child = os.fork()
    if not child:
        os.kill(os.getpid(), signal.SIGINT)
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted")
""")
    assert (done.stdout, done.stderr) == ("7\ninterrupted\n", "")


def test_an_ignored_ctrl_c_stays_ignored():
    done = python("""
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
with cli._workers_leave_interrupts_to_us():
    os.kill(os.getpid(), signal.SIGINT)
print("went on")
""")
    assert (done.stdout, done.stderr) == ("went on\n", "")


@pytest.mark.parametrize(
    "run", ["print('x')", "exec('try: print(1)\\nexcept OSError: raise InputError(1)')", "print('x', file=sys.stderr)"]
)
def test_a_reader_that_goes_away_is_no_error_of_a_file(run):
    reading, writing = os.pipe()
    os.close(reading)
    code = f"""
from imo.errors import InputError
cli.call = lambda name, words: {run}
sys.exit(cli.main(["trial"]))
"""
    done = subprocess.run([sys.executable, "-c", BARE + code], stdout=writing, stderr=writing)
    os.close(writing)
    assert done.returncode == 141


def test_no_output_at_all():
    done = python("sys.stdout = None; sys.exit(cli.main(['--help']))")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_terminal_without_our_signs():
    code = "cli.call = lambda name, words: print('91.2 ± 0.3 → é') or 0; sys.exit(cli.main(['trial']))"
    for encoding, shown in (("ascii", b"91.2 +/- 0.3 -> \\xe9\n"), ("utf-8", "91.2 ± 0.3 → é\n".encode())):
        env = {**os.environ, "PYTHONIOENCODING": encoding}
        done = subprocess.run([sys.executable, "-c", BARE + code], capture_output=True, env=env)
        assert (done.returncode, done.stdout, done.stderr) == (0, shown, b"")


def test_a_reader_that_goes_away_is_no_fault():
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", BARE + "sys.exit(cli.main(['--help']))"], stdout=writing, stderr=subprocess.PIPE
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")
