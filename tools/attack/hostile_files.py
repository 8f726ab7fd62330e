"""Small files that stand for gigabytes or for hours of work, and the commands that read them: see __main__.py."""

from __future__ import annotations

import functools
import io
import json
import shutil
import struct
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from process import ROOT, begin

SECONDS = 30.0  # that a refusal may take, and
MEMORY = 3 << 30  # bytes
DATUM = b"cdassl.data.datasets.base_dataset\nDatum\n)\x81"
Files = dict[str, bytes]


def text(value: str) -> bytes:
    """A text in a pickle."""
    return b"X" + struct.pack("<I", len(value)) + value.encode()


TWICE = b"K\x01" + b"2\x86" * 60  # a tuple that holds another twice, which holds another twice, ...
DEEP = b")" + b"\x85" * 100_000  # a tuple in a tuple in a tuple ...
SUBSET = "data/digits/split_fewshot/shot_4-seed_1"
SPLIT = "data/digits/split.json"


def subset(impath: bytes, label: bytes = b"K\x00") -> bytes:
    """CoOp's pickle of one image."""
    state = b"}" + text("_impath") + impath + b"s" + text("_label") + label + b"s"
    return b"\x80\x04}" + text("train") + b"]" + DATUM + state + b"bas."


def zipped(**parts: bytes) -> bytes:
    """A zip file as PyTorch reads it; `data` is its pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            stored = zipfile.ZIP_STORED if name in ("data", "version") else zipfile.ZIP_DEFLATED
            archive.writestr(f"archive/{name}{'' if name in ('version', 'byteorder') else '.pkl'}", content, stored)
    return out.getvalue()


def saved(content: Any) -> bytes:
    """What torch.save writes."""
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def deflated(content: bytes, added: int) -> bytes:
    """A file of torch.save, compressed, with one more part of zeros."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            new.writestr(part.filename, old.read(part))
        new.writestr("archive/data/999", bytes(added))
    return out.getvalue()


def header(settings: str) -> bytes:
    """A safetensors file without tensors, whose settings are this text."""
    head = json.dumps({"__metadata__": {"imo-adapter-1": settings}}).encode()
    return struct.pack("<Q", len(head)) + head


def picture(side: int) -> bytes:
    """A black image of side x side pixels."""
    out = io.BytesIO()
    Image.new("1", (side, side)).save(out, "PNG")
    return out.getvalue()


def folder_config(template: str) -> bytes:
    """The config of a dataset of one's own."""
    options = {"PATH": "digits/images", "TEMPLATE": template}
    return json.dumps({"DATASET": {"NAME": "Folder", "FOLDER": options}}).encode()


def alias_bomb() -> bytes:
    lines = ["a0: &a0 [1, 1]", *(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 40))]
    return ("DATASET: {NAME: Digits}\n" + "\n".join(lines) + "\n").encode()


@functools.cache
def cases() -> dict[str, tuple[Files, str]]:
    """{name: (files to write, option that must name the last one, if it is not read anyway)}."""
    deep = b"[" * 100_000
    label = json.dumps({"train": [["0/train_0.png", 1e999, "a"]], "val": [], "test": []}).encode()
    claims = {"visual.proj": torch.zeros(1).expand(100_000, 100_000)}
    wide = {"visual.proj": torch.zeros(4, 4), "ln_final.weight": torch.zeros(30_000)}
    table = b"path,label,split\n0/train_0.png," + b"x" * 200_000 + b",train\n"
    listed = folder_config("a {}.").replace(b'"TEMPLATE"', b'"CSV": "list.csv", "TEMPLATE"')
    config, backbone = "dataset.yaml", "MODEL.BACKBONE.NAME"
    return {
        "pickle, doubled": ({f"{SUBSET}.pkl": subset(TWICE)}, ""),
        "pickle, doubled label": ({f"{SUBSET}.pkl": subset(text("a"), TWICE)}, ""),
        "pickle, doubled key": ({f"{SUBSET}.pkl": b"\x80\x04}" + TWICE + b"K\x01s."}, ""),
        "pickle, deep key": ({f"{SUBSET}.pkl": b"\x80\x04}" + DEEP + b"K\x01s."}, ""),
        "pickle, far place": ({f"{SUBSET}.pkl": b"\x80\x04}r\xff\xff\xff\xff."}, ""),
        "pickle, long text": ({f"{SUBSET}.pkl": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 50) + b"."}, ""),
        "pickle, path of slashes": ({f"{SUBSET}.pkl": subset(text("/" * 1_000_000))}, ""),
        "JSON subset, deep": ({f"{SUBSET}-full.json": deep}, ""),
        "JSON split, deep": ({SPLIT: deep}, ""),
        "JSON split, infinite label": ({SPLIT: label}, ""),
        "template, wide": ({config: folder_config("{:>1000000000} {}")}, "template"),
        "template, wide alone": ({config: folder_config("{:>1000000000}")}, "template"),
        "template, attribute": ({config: folder_config("{} {.__class__}")}, "template"),
        "template, long": ({config: folder_config("{}" + "x" * 50_000)}, "template"),
        "YAML, aliases": ({config: alias_bomb()}, config),
        "YAML, deep": ({config: b"A: " + deep[:50_000]}, config),
        "YAML, long number": ({config: b"SEED: " + b"9" * 50_000}, config),
        "CSV, long field": ({config: listed, "data/digits/images/list.csv": table}, ""),
        "image, huge": ({"data/digits/images/0/test_0.png": picture(20_000)}, ""),
        "image, large": ({"data/digits/images/0/test_0.png": picture(10_000)}, ""),
        "weights, claimed by strides": ({"w.pt": saved(claims)}, backbone),
        "weights, wide": ({"w.pt": saved(wide)}, backbone),
        "weights, deflated": ({"w.pt": deflated(saved(wide), 270 << 20)}, backbone),
        "weights, doubled key": ({"w.pt": zipped(data=b"\x80\x02}" + TWICE + b"K\x01s.", version=b"3\n")}, backbone),
        "weights, old kind, doubled key": ({"w.pt": b"\x80\x02}" + TWICE + b"K\x01s."}, backbone),
        "TorchScript, doubled key": (
            {"w.pt": zipped(data=b"\x80\x02}" + TWICE + b"K\x01s.", constants=b"\x80\x02).")}, backbone
        ),
        "weights, header of 2^60 bytes": ({"w.safetensors": struct.pack("<Q", 1 << 60) + b"{}"}, backbone),
        "adapter, deep settings": ({"a.safetensors": header("[" * 100_000)}, "IMO.ADAPTER"),
        "adapter, doubled key": (
            {"a.pt": zipped(data=b"\x80\x02}" + TWICE + b"K\x01s.", version=b"3\n")}, "IMO.ADAPTER"
        ),
        "checkpoint, doubled epoch": (
            {"m/cache/model-best.pth.tar": zipped(data=b"\x80\x02}" + text("epoch") + TWICE + b"s.", version=b"3\n")},
            "--model-dir",
        ),
        "results, deep": ({"out/digits/TipX/glyph_4shots/seed1/results.json": deep}, ""),
    }  # fmt: skip


def prepare(folder: Path) -> None:
    """The data and weights that the commands read beside the files."""
    from bench import make_dataset
    from clip.model import CLIP

    import imo.workbench.plan  # noqa: F401  # before processes are forked

    torch.set_num_threads(1)
    torch.manual_seed(0)
    make_dataset(folder / "clean")
    torch.save(CLIP(32, 24, 2, 64, 8, 77, 49408, 64, 1, 1).state_dict(), folder / "tiny.pt")


def refusal(name: str, folder: Path) -> str:
    """Give a command a case's files; what was wrong with how it refused them, or nothing."""
    files, option = cases()[name]
    place = folder / name.replace(" ", "-").replace(",", "")
    shutil.copytree(folder / "clean", place / "data")
    for path, content in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(content)
    begun = time.monotonic()
    read = begin(words(option, folder, place, path), place / "said", MEMORY)
    read.join(SECONDS)
    if read.is_alive():
        read.kill()
        return f"{name}: not refused in {SECONDS} seconds"
    said = [line for line in (place / "said").read_text().splitlines() if line.startswith("error: ")]
    seconds = time.monotonic() - begun
    named = option if option == "template" else Path(path).parent.parent.name if option == "--model-dir" else path
    rest = (place / "said").read_text()
    fits = read.exitcode == 2 and len(said) == 1 and Path(named).name in said[0] and "Traceback" not in rest
    return "" if fits else f"{name}: status {read.exitcode} after {seconds:.0f} s: {said or rest[-500:]}"


def words(option: str, folder: Path, place: Path, path: str) -> list[str]:
    """The command that reads the last of the files."""
    config = place / "dataset.yaml" if (place / "dataset.yaml").exists() else ROOT / "configs/datasets/digits.yaml"
    options = {"MODEL.BACKBONE.NAME": folder / "tiny.pt", "IMO.STORE": place / "store", "DATASET.NUM_SHOTS": 4}
    options |= {option: place / path} if "." in option and option.isupper() else {}
    trainer = "TipXPP" if option == "IMO.ADAPTER" else "TipX"
    said: list[object] = ["train", "--root", place / "data", "--trainer", trainer, "--seed", 1]
    if path.startswith("out/"):
        said = ["compare", "--dataset", "digits", "--trainers", "TipX", "--shots", 4, "--seeds", 1, "--cfg", "glyph"]
        said += ["--data", place / "data", "--output", place / "out", "--backbone", folder / "tiny.pt"]
        return list(map(str, said))
    said += ["--output-dir", place / "o", "--config-file", ROOT / "configs/backbones/glyph.yaml"]
    said += ["--dataset-config-file", config]
    said += ["--eval-only", "--model-dir", place / Path(path).parts[0]] if option == "--model-dir" else []
    return [str(word) for word in (*said, *(word for pair in options.items() for word in pair))]


def attack(folder: Path) -> list[str]:
    """All cases; returns what was wrong."""
    prepare(folder)
    wrong = [fault for name in cases() if (fault := refusal(name, folder))]
    print(f"{len(cases())} files that mean harm, {len(wrong)} not refused in one line")
    return wrong
