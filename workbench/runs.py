"""Does planned runs in this process, one after the other, and passes over those that are finished."""

from __future__ import annotations

import contextlib
import io
import os
import traceback
from collections.abc import Iterator, Sequence

from tqdm import tqdm

from imo.errors import InputError, explain
from imo.workbench import train
from imo.workbench.plan import Request, Run, plan, unfinished


class Failures(dict[str, str]):
    """{dataset: reason}: errors that belong to one dataset, where others can go on.

    Args:
        keep_going: False to collect nothing, and let errors through.
    """

    def __init__(self, keep_going: bool) -> None:
        super().__init__()
        self.keep_going = keep_going

    @contextlib.contextmanager
    def of(self, dataset: str) -> Iterator[None]:
        """What fails in the block is the dataset's failure."""
        try:
            yield
        except Exception as error:
            if not self.keep_going:
                raise
            self[dataset] = explain(error) if isinstance(error, InputError | OSError) else traceback.format_exc()


def execute(request: Request, datasets: Sequence[str], quiet: bool, failures: Failures) -> list[Run]:
    """Do all runs that are not finished. Returns those of datasets that did not fail, done or finished before.

    Args:
        quiet: the runs' logs go to their log.txt alone, and a progress bar tells how far they are.
    """
    runs: list[Run] = []
    todo: list[Run] = []
    for dataset in datasets:
        with failures.of(dataset):
            planned = plan(request, dataset)
            todo += unfinished(planned)
            runs += planned
    if len(todo) < len(runs):
        print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished already and skipped")
    bar = tqdm(todo, disable=not quiet or not todo, unit="run")
    for run in bar:
        if run.dataset in failures:
            continue
        bar.set_description(str(run))
        if not quiet:
            print(f"\n=== {run}: {run.folder}", flush=True)
        with failures.of(run.dataset):
            _run(run, quiet)
    return [run for run in runs if run.dataset not in failures]


def _run(run: Run, quiet: bool) -> None:
    """One run; what it prints goes to its log.txt, and to the screen unless quiet."""
    (run.folder / "log.txt").unlink(missing_ok=True)  # a half-done run's: the log of this one takes its name
    with contextlib.ExitStack() as stack:
        if quiet:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
        train.run(train.parser().parse_args(run.argv))
