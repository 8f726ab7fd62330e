"""Ctrl-C, as a terminal sends it: to a command and all its processes, in the middle of encoding."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench import ROOT, imo_command, make_dataset


@pytest.fixture
def interrupted():
    """interrupted(cue, *words): `imo` with these words in a process of its own, interrupted soon after it says the
    cue: its status, and what it says on standard error, a progress bar's states as lines."""

    def run(cue, *words):
        process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", "imo", *map(str, words)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,  # and thereby a process group
        )
        try:
            said = b""
            while cue.encode() not in said:
                read = os.read(process.stderr.fileno(), 4096)
                assert read, said.decode()
                said += read
            time.sleep(0.15)
            os.killpg(process.pid, signal.SIGINT)
            said += process.communicate(timeout=60)[1]
        finally:
            process.kill()
        return process.returncode, re.split(r"[\r\n]+", said.decode().strip())

    return run


def test_a_run_with_loading_processes(bench, interrupted):
    bench.data = bench.folder / "data"
    make_dataset(bench.data, counts={"train": 4, "val": 500, "test": 3})
    store, loading = bench.folder / "store", ("DATALOADER.TEST.BATCH_SIZE", 1, "DATALOADER.NUM_WORKERS", 2)
    argv = bench.argv("TipX", "IMO.STORE", store, "IMO.PASSES", 2, *loading)
    output = Path(argv[argv.index("--output-dir") + 1])
    status, (*bars, said) = interrupted("Encoding val", "train", *argv)
    assert status == 130
    assert said == (
        f"interrupted: features encoded so far are kept in {store}, checkpoints in {output}; the same command goes on "
        f"from them"
    )
    assert all(re.search(r"\d+%\|", bar) for bar in bars), "\n".join(bars)
    assert not (output / "results.json").exists()

    again = bench.command(argv, output)
    assert again.status == 0, again.err
    # All views of the support set were kept, and what was encoded of the validation images.
    assert 4 * 3 < again.results["images_encoded"]["clip"] <= 4 * 500 + 4 * 3


def test_a_comparison(assets, tmp_path, interrupted):
    words = ("compare", "--dataset", "digits", "--trainers", "ZeroshotCLIP", "CoOp", "--shots", 6, "--seeds", 1)
    words += ("--cfg", "glyph", "--data", assets.data, "--output", tmp_path, "--backbone", assets.backbone)
    status, (*bars, said) = interrupted("CoOp, 6 shots", *words, "--quiet")
    assert status == 130
    assert said.startswith("interrupted: finished runs and ") and f"are kept in {tmp_path};" in said
    assert all(re.search(r"\d+%\|", bar) for bar in bars), "\n".join(bars)
    assert [path.parent.parent.parent.name for path in tmp_path.rglob("results.json")] == ["ZeroshotCLIP"]
    again = imo_command(*words, folder=tmp_path)
    assert again.status == 0, again.err
    assert "1 of 2 runs are finished already and skipped" in again.out
