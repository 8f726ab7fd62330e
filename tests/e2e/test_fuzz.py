"""Bad input of every kind, made by a seeded generator: it is taken, or refused in one line, and never a traceback.

--slow makes twenty times as much of it.
"""

import re
import shutil
import traceback

import pytest
from fuzzing import (
    WORDS,
    generator,
    leaves,
)

TRAINERS = (
    "TipXPP",
    "CLIPAdapter",
    "TaskRes",
    "TipAdapterF",
    "CoOp",
    "CoCoOp",
    "IMOAdapter",
    "LinearProbe",
    "ZeroshotCLIP",
)
QUICK = ("OPTIM.MAX_EPOCH", 1, "IMO.PASSES", 2, "DATALOADER.NUM_WORKERS", 0)


@pytest.fixture
def times(request):
    """times(count): so many, and with --slow twenty times as many."""
    return lambda count: range(count * 20 if request.config.getoption("--slow") else count)


class Tally:
    """What became of all cases. A case that was neither taken nor refused in one line is kept, to be told at the end."""

    def __init__(self, folder):
        self.folder, self.refused, self.count, self.faults = folder, 0, 0, []

    def add(self, case, command, statuses=(0, 2)):
        """Run a command; returns whether it refused."""
        before, self.count, run = self.files(), self.count + 1, None
        try:
            run = command()
            assert run.status in statuses, run.err
            if run.status == 2:
                lines = [
                    line for line in re.split(r"[\r\n]+", run.err) if line.strip() and not re.search(r"\d+%\|", line)
                ]
                assert len(lines) == 1 and lines[0].startswith("error: ") and lines[0].isprintable(), run.err
                assert self.files() == before, sorted(self.files() - before)
        except (Exception, SystemExit) as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            self.faults.append(f"{case}: {type(error).__name__} {str(error)[-600:]} ({last.filename}:{last.lineno})")
            return False
        self.refused += run.status == 2
        return run.status == 2

    def files(self):
        return {path for path in self.folder.rglob("*") if path.is_file()}

    def close(self, least):
        """Fail if there were faults, or fewer refused than this share, which is a sign that nothing is tried."""
        print(f"{self.count} cases, {self.refused} refused, {len(self.faults)} faults")
        assert not self.faults, f"{len(self.faults)} of {self.count}:\n" + "\n\n".join(self.faults)
        assert self.refused >= least * self.count


@pytest.fixture
def tally(bench, monkeypatch):
    monkeypatch.chdir(bench.folder)
    return Tally(bench.folder)


def test_options(bench, times, tally):
    from imo.workbench import train

    rng = generator("options")
    names = {
        trainer: list(leaves(train.setup_cfg(train.parser().parse_args(bench.argv(trainer))))) for trainer in TRAINERS
    }
    for i in times(40):
        trainer = TRAINERS[i % len(TRAINERS)]
        own = [name for name in names[trainer] if not name.startswith("TRAINER.") or trainer.upper() in name]
        options = [word for name in rng.sample(own, rng.choice((1, 1, 2))) for word in (name, rng.choice(WORDS))]
        tally.add((trainer, options), lambda: bench.main(trainer, *QUICK, *options))
        shutil.rmtree(bench.folder / trainer, ignore_errors=True)
    tally.close(0.5)
