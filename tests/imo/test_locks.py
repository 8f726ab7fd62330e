import multiprocessing
import os

import pytest

from imo.locks import holding

FORK = multiprocessing.get_context("fork")


def hold(path, shared, ready, leave):
    with holding(path, shared=shared):
        ready.set()
        leave.wait(60)


@pytest.fixture
def other(tmp_path):
    """other(shared): a process that has the lock on tmp_path/lock."""
    begun = []

    def start(shared=False):
        ready, leave = FORK.Event(), FORK.Event()
        begun.append(FORK.Process(target=hold, args=(tmp_path / "lock", shared, ready, leave)))
        begun[-1].start()
        assert ready.wait(60)
        return begun[-1], leave

    yield start
    for process in begun:
        process.kill()


@pytest.mark.parametrize("theirs, ours, free", [(0, 0, False), (0, 1, False), (1, 0, False), (1, 1, True)])
def test_shared_locks_go_together(tmp_path, other, theirs, ours, free):
    other(bool(theirs))
    with holding(tmp_path / "lock", shared=bool(ours)) as handle:
        assert (handle is not None) == free


def test_a_lock_ends_with_its_process(tmp_path, other):
    process, _ = other()
    process.kill()
    process.join()
    with holding(tmp_path / "lock") as handle:
        assert handle is not None


def test_one_that_waits_for_a_removed_file_takes_the_new_one(tmp_path, other):
    """Else it would hold a lock that nobody else sees."""
    _, leave = other()
    waiting = FORK.Process(target=hold_with_company, args=(tmp_path / "lock",))
    waiting.start()
    (tmp_path / "lock").unlink()
    leave.set()
    waiting.join(60)
    assert waiting.exitcode == 0


def hold_with_company(path):
    with holding(path, wait=True) as handle:
        assert os.path.samestat(os.fstat(handle), os.stat(path))


def test_links_are_refused(tmp_path):
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), holding(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()
