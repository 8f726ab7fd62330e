import json
import os
import time

import pytest
import torch

from imo.store.features import FeatureStore, in_use
from imo.workbench import cli

SPACE = {"backbone": "abc" * 21, "adapter": None, "view": "test", "dtype": "torch.float32", "autocast": "None"}
ADAPTED = {**SPACE, "adapter": "def" * 21}


@pytest.fixture
def store(tmp_path):
    """Two spaces over six images, one of three shards."""
    made = FeatureStore(tmp_path)
    for letters, space in (("ab", SPACE), ("bcd", SPACE), ("ef", SPACE), ("ab", ADAPTED)):
        fetch(made, letters, space)
    return made


def features(letters):
    return torch.tensor([[float(ord(letter)), 1.0] for letter in letters])


def fetch(store, letters, space=SPACE):
    """Features, and how many were encoded."""

    def encode(positions, names):
        yield {"clip": features([letters[i] for i in positions])}

    found, counts = store.fetch({"clip": space}, "clip", [letter.encode() * 16 for letter in letters], encode)
    return found, counts["clip"]


def main(words):
    return cli.main(["store", *words])


def command(store, *words):
    return main([*words[:1], "--store", str(store.root), *words[1:]])


def age(path, days):
    then = time.time() - days * 24 * 3600
    os.utime(path, (then, then))


def content(store):
    return {path: path.read_bytes() for path in store.root.rglob("*") if path.is_file()}


def test_list_has_a_line_for_each_space(store, capsys):
    age(store.folder(SPACE) / "space.json", 3)
    assert command(store, "list") == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split() for line in lines] == [
        [store.folder(ADAPTED).name[:8], "abcabcabcabc", "defdef", "test", "float32", "2", "1", "0.0", "MB", "today"],
        [
            *(store.folder(SPACE).name[:8], "abcabcabcabc", "-", "test", "float32", "6", "3", "0.0", "MB"),
            *("3", "days", "ago"),
        ],
    ]


def test_list_names_the_backbone_and_what_rows_are_of(tmp_path, capsys):
    from imo.files import file_sha256
    from imo.model.assets import shipped_backbone

    sha256 = file_sha256(shipped_backbone("glyph"))
    store = FeatureStore(tmp_path)
    fetch(store, "a", {**SPACE, "backbone": sha256, "autocast": "torch.bfloat16", "rows": {"what": "maps"}})
    command(store, "list")
    line = capsys.readouterr().out.splitlines()[2]
    assert f"glyph {sha256[:6]}" in line and 'test {"what": "maps"}' in line and "bfloat16" in line


def test_prune_merges_small_files_and_loses_nothing(store, capsys):
    before = content(store)
    assert command(store, "prune", "--dry-run") == 0
    assert "3 small shards merged" in capsys.readouterr().out
    assert content(store) == before
    assert command(store, "prune") == 0
    assert len(list(store.folder(SPACE).glob("*.shard"))) == 1
    found, count = fetch(store, "fedcba")
    assert count == 0
    assert torch.equal(found, features("fedcba"))
    capsys.readouterr()
    assert command(store, "prune") == 0
    assert capsys.readouterr().out == "nothing to do\n"


def test_merging_large_shards_stops_at_a_size(store, monkeypatch):
    monkeypatch.setattr("imo.store.pruning._MERGED_ROWS", 5)  # four shards of two rows: three go together
    fetch(store, "gh")
    command(store, "prune")
    assert len(list(store.folder(SPACE).glob("*.shard"))) == 2
    assert fetch(store, "abcdefgh")[1] == 0


def test_a_reader_keeps_what_it_has_mapped_while_shards_are_merged(store):
    from imo.store.shards import Shard

    shards = [Shard(path) for path in sorted(store.folder(SPACE).glob("*.shard"))]
    command(store, "prune")
    for shard in shards:
        assert not shard.path.exists()
        assert shard.features()[:, 0].tolist() == [name[0] for name in shard.identities.tolist()]


def test_prune_removes_damaged_and_abandoned_files(store, capsys):
    folder = store.folder(ADAPTED)
    (shard,) = folder.glob("*.shard")
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    abandoned, busy = folder / ".imo-tmp.0123456789ab-elsewhere", folder / ".imo-tmp.1123456789ab-elsewhere"
    for path in (abandoned, busy):
        path.write_bytes(b"half")
    age(abandoned, 1)
    assert command(store, "prune") == 0
    out = capsys.readouterr().out
    assert str(shard) in out and str(abandoned) in out and str(busy) not in out
    assert [path.exists() for path in (shard, abandoned, busy)] == [False, False, True]
    assert fetch(store, "ab", ADAPTED)[1] == 2


@pytest.mark.parametrize(
    "options, removed",
    [
        (("--older-than", "30"), [SPACE]),
        (("--older-than", "50"), []),
        (("--older-than", "0"), [SPACE, ADAPTED]),
        (("--backbone", "abca"), [SPACE, ADAPTED]),
        (("--backbone", "abcd"), []),
        (("--adapter", "none"), [SPACE]),
        (("--adapter", "def"), [ADAPTED]),
        (("--adapter", "def", "--older-than", "30"), []),
    ],
)
def test_prune_removes_the_spaces_that_meet_all_conditions(store, options, removed):
    age(store.folder(SPACE) / "space.json", 40)
    before = content(store)
    command(store, "prune", *options, "--dry-run")
    assert content(store) == before
    assert command(store, "prune", *options) == 0
    assert [space for space in (SPACE, ADAPTED) if not store.folder(space).exists()] == removed
    assert fetch(store, "a")[1] == (SPACE in removed)


def test_prune_leaves_alone_what_a_process_is_using(store, capsys):
    before = content(store)
    with in_use(store.folder(SPACE)):
        assert command(store, "prune", "--older-than", "0") == 0
    assert f"{store.folder(SPACE)}: left alone" in capsys.readouterr().out
    assert content(store).items() <= before.items() and (store.folder(SPACE) / "space.json").exists()
    assert not store.folder(ADAPTED).exists()
    seen = []

    def encode(positions, names):
        seen.append(command(store, "prune", "--older-than", "0"))
        yield {"clip": features("x")}
        seen.append(command(store, "prune", "--older-than", "0"))

    store.fetch({"clip": SPACE}, "clip", [b"x" * 16], encode)
    assert seen == [0, 0] and fetch(store, "x")[1] == 0


@pytest.mark.parametrize("text", ["[]", '{"view": 3}', "[" * 100_000, '{"backbone": ["a"]}'])
def test_a_description_of_another_kind_is_as_if_lost(store, capsys, text):
    (store.folder(SPACE) / "space.json").write_text(text)
    assert command(store, "list") == 0 and command(store, "prune", "--backbone", "abc") == 0
    assert "?" in capsys.readouterr().out and store.folder(SPACE).exists()


def test_use_is_remembered(store):
    age(store.folder(SPACE) / "space.json", 40)
    fetch(store, "a")
    command(store, "prune", "--older-than", "30")
    assert store.folder(SPACE).exists()


def test_prune_touches_nothing_that_is_not_the_stores(store):
    for path in (store.root / "notes.txt", store.root / "other" / "a.shard", store.folder(SPACE) / "mine.txt"):
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    command(store, "prune", "--older-than", "0")
    assert sorted(path.name for path in store.root.rglob("*") if path.is_file()) == ["a.shard", "mine.txt", "notes.txt"]


def test_a_lost_description_is_written_again(store, capsys):
    (store.folder(SPACE) / "space.json").write_text("{")
    assert command(store, "list") == 0
    assert "?" in capsys.readouterr().out
    (store.folder(SPACE) / "space.json").unlink()
    fetch(store, "z")
    assert json.loads((store.folder(SPACE) / "space.json").read_text()) == SPACE


def test_errors_are_one_line(tmp_path, capsys):
    assert main(["list", "--store", str(tmp_path / "nowhere")]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1 and captured.err.startswith("error: ")
    assert "nowhere" in captured.err and "--store" in captured.err
    for words in (["prune", "--older-than", "-1"], ["prune", "--older-than", "nan"], []):
        with pytest.raises(SystemExit) as stopped:
            main(words)
        assert stopped.value.code == 2


def test_an_empty_store_is_listed(tmp_path):
    assert main(["list", "--store", str(tmp_path)]) == 0
    assert main(["prune", "--store", str(tmp_path)]) == 0
