"""The command `imo`. Finds the module of a sub-command, and turns what a user can mend into one line.

A sub-command is a module of `imo.workbench.commands` with
    its docstring: a line for `imo --help`, then examples,
    add_arguments(parser),
    run(args) -> exit status,
    kept(args) -> after Ctrl-C, what is kept and how to go on,
    MENDABLE, optionally: the errors that become one line, where not InputError and OSError.
It imports what it alone needs inside of these functions, so that other commands start without.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from types import FrameType, TracebackType
from typing import NoReturn

from imo.errors import InputError, explain, visible
from imo.workbench.terminal import streams

COMMANDS = ("train", "compare", "sweep", "overlap", "report", "run", "store", "datasets", "adapter")
MENDABLE = (InputError, OSError)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `imo` with these words, by default those of the process.

    Returns:
        The exit status: the command's own; 2 after an error that the user can mend, 130 after Ctrl-C, each with one
        line on standard error; 141 where nobody reads the output any more, as after `| head`.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    with streams(), _workers_leave_interrupts_to_us():
        try:
            if not words or words[0] in ("-h", "--help"):
                print(overview())
                return 0
            return call(words[0], words[1:])
        except KeyboardInterrupt as interrupt:
            said = f"interrupted: {interrupt.args[0] if interrupt.args else 'nothing was begun'}"
        gc.collect()  # progress bars that the exception held end their line
        print(visible(said), file=sys.stderr)
        return 130


def start(*command: str) -> NoReturn:
    """Be `imo COMMAND` with the words of the process, and end it."""
    sys.exit(main([*command, *sys.argv[1:]]))


def run_main() -> int:
    """The command `imo-run`, which is `imo run`."""
    return main(["run", *sys.argv[1:]])


def call(name: str, words: Sequence[str]) -> int:
    """Run one sub-command; see `main`. A KeyboardInterrupt leaves it with what is kept as its argument."""
    try:
        if name not in COMMANDS:
            raise InputError(f"{name}: no such command; there are {', '.join(COMMANDS)}")
        module = importlib.import_module(f"imo.workbench.commands.{name}")
        parser = argparse.ArgumentParser(
            prog=f"imo {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(parser)
        args = parser.parse_args(words)
    except InputError as error:
        return _refused(error)
    try:
        status: int = module.run(args)
        sys.stdout.flush()
        return status
    except getattr(module, "MENDABLE", MENDABLE) as error:
        return _refused(error)
    except KeyboardInterrupt as interrupt:
        try:
            said = module.kept(args)
        except InputError:  # the command would have refused
            raise interrupt from None
        raise KeyboardInterrupt(said) from interrupt


def overview() -> str:
    """The text of `imo --help`."""
    modules = [importlib.import_module(f"imo.workbench.commands.{name}") for name in COMMANDS]
    lines = [f"  {name:10}{(module.__doc__ or '').splitlines()[0]}" for name, module in zip(COMMANDS, modules)]
    head = ("usage: imo COMMAND ...", "", "CLIP from a few labelled images, and intra-modal overlap reduction.", "")
    return "\n".join((*head, *lines, "", "imo COMMAND --help tells more."))


def _refused(error: InputError | OSError) -> int:
    print(f"error: {explain(error)}", file=sys.stderr)
    return 2


@contextlib.contextmanager
def _workers_leave_interrupts_to_us() -> Iterator[None]:
    """Ctrl-C in a terminal reaches the processes that load images, too. Those forked from this one pass over it, and
    over the loss of this one that may follow: they would print a traceback each, and this one ends them."""
    own, hook, before = os.getpid(), sys.excepthook, signal.getsignal(signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() == own:
            signal.default_int_handler(number, frame)

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if os.getpid() == own or not issubclass(kind, ConnectionError | EOFError):
            hook(kind, error, trace)

    # Not where a parent has us ignore it, nor in a thread, which may not.
    handles = before is signal.default_int_handler and threading.current_thread() is threading.main_thread()
    try:
        sys.excepthook = report
        if handles:
            signal.signal(signal.SIGINT, interrupt)
        yield
    finally:
        sys.excepthook = hook
        if handles:
            signal.signal(signal.SIGINT, before)
