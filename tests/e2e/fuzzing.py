"""Makes bad input by a seeded generator: values of options, JSON of other shapes, tensors of other kinds, cut bytes."""

import copy
import json
import random

import numpy as np
import torch

# As words of a command line. None of them makes a run long.
WORDS = (
    "None", "True", "-1", "0", "3", str(2**70), str(-(2**70)), "1000000000", "1e400", "-1e400", "nan", "-0.5", "2.5",
    "1e38", "''", "nonesuch", "()", "(24,)", "(0, 0)", "(1, 2, 3)", "('a', 'b')", "[None]", "{}", "{'a': 1}", "[[]]",
    "\x1b[31m", "a\nb", "9" * 5000, "x" * 3000, "../..", "~nobody/x", "{name}", "é±→", "\udcff", "a b",
)  # fmt: skip
OF_KIND = {
    bool: ("True", "False", "None"),
    int: ("-1", "0", "3", "None", str(2**70), str(-(2**70)), "1000000000"),
    float: ("-0.5", "0.0", "2.5", "1e400", "-1e400", "1e38", "1e-40", "None"),
    str: ("''", "nonesuch", "x" * 3000, "\x1b[31m", "a\nb", "../..", "~nobody/x", "{name}", "é±→", "\udcff", "None"),
    tuple: ("()", "(24,)", "(0, 0)", "(1, 2, 3)", "(0.5, 0.1)", "('a', 'b')", "[None]", "[[]]", "None"),
}
DEEP = 20_000


def word_for(rng, value):
    """A word of a command line for a setting with such a value: of its type, or of any."""
    kind = tuple if isinstance(value, list) else type(value)
    return rng.choice(OF_KIND.get(kind, WORDS) if rng.random() < 0.7 else WORDS)


def leaves(cfg, prefix=""):
    """The settings of a config, as (dotted name, value)."""
    for name, value in cfg.items():
        yield from leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else [(f"{prefix}{name}", value)]


def odd_value(rng):
    """A JSON value that nobody expects."""
    numbers = (-1, 0, 2**70, 1e308, -0.5, float("nan"), float("inf"), True, None)
    texts = ("", "x", "\x1b[2J", "a\nb", "<script>", "=1+1", "\0", "\ud800", "x" * 3000, "../../x", "{}")
    return rng.choice((*numbers, *texts, [], [[]], {}, {"a": 1}, [None]))


def mangled_json(rng, content):
    """Bytes of a JSON file like `content` (parsed JSON), with a place changed, or cut, or nested deeply."""
    content = copy.deepcopy(content)
    how = rng.randrange(10)
    if how == 0:
        text = json.dumps(content)
        return text[: rng.randrange(len(text))].encode()
    if how == 1:
        return json.dumps(odd_value(rng)).encode()
    if how == 2:
        return rng.choice((b"[", b'{"a":')) * DEEP
    if how == 3:
        return rng.randbytes(rng.randrange(1, 100))
    place = _a_place(rng, content)
    if place is None:
        return json.dumps(odd_value(rng)).encode()
    node, key = place
    if how == 4:
        del node[key]
    elif how == 5:
        text = json.dumps(content | {"deep": None} if isinstance(content, dict) else content)
        return text.replace("null", "[" * DEEP + "]" * DEEP, 1).encode()
    else:
        node[key] = odd_value(rng)
    return json.dumps(content).encode()


def _a_place(rng, content):
    """A random (container, key) anywhere in parsed JSON; None where there is none."""
    found = []
    todo = [content]
    while todo:
        node = todo.pop()
        keys = list(node) if isinstance(node, dict) else list(range(len(node))) if isinstance(node, list) else []
        found += [(node, key) for key in keys]
        todo += [node[key] for key in keys]
    return rng.choice(found) if found else None


def mangled_bytes(rng, content):
    """Bytes, cut, changed in places, repeated, or replaced."""
    content = bytearray(content)
    how = rng.randrange(4)
    if how == 0:
        return bytes(content[: rng.randrange(len(content) + 1)])
    if how == 1:
        for _ in range(rng.randrange(1, 20)):
            content[rng.randrange(min(len(content), rng.choice((200, len(content)))))] = rng.randrange(256)
        return bytes(content)
    if how == 2:
        return bytes(content + content)
    return rng.choice((b"", b"\0" * 100, b"PK\x03\x04", rng.randbytes(64), b"\x80\x02]q\x00.", b"\xff\xfe"))


def odd_tensor(rng):
    """What no weight is like."""
    shapes = ((), (0,), (3,), (2, 3), (1, 1, 1, 1, 1))
    kinds = (torch.float32, torch.float16, torch.int64, torch.bool, torch.complex64)
    other = (
        torch.full((4, 4), torch.nan),
        torch.ones(2, 3).to_sparse(),
        None,
        "text",
        5,
        [1],
        {},
        {"a": torch.ones(1)},
    )
    return rng.choice((torch.zeros(rng.choice(shapes), dtype=rng.choice(kinds)), rng.choice(other)))


def mangled_state(rng, state):
    """A dictionary of tensors and other dictionaries, changed in a place; or wholly another thing."""
    how = rng.randrange(8)
    if how == 0:
        return rng.choice(([state], list(state.values()), 5, None, "text", {}, torch.zeros(2), {1: torch.zeros(2)}))
    state = dict(state)
    inner = [name for name, value in state.items() if isinstance(value, dict) and value]
    if inner and how < 6:
        name = "state_dict" if "state_dict" in inner and how < 4 else rng.choice(inner)
        state[name] = mangled_state(rng, state[name])
        return state
    name = rng.choice(list(state))
    value = state[name]
    if how == 1:
        del state[name]
    elif how == 2:
        state[rng.choice((1, 2.5, "", "x.y.z", f"{name}.x", "logits", "forward"))] = odd_tensor(rng)
    elif how < 6 and torch.is_tensor(value):
        state[name] = rng.choice(
            (value.flatten(), value[None], value.to(torch.int32), value[:1] if value.ndim else value)
        )
    else:
        state[name] = odd_tensor(rng)
    return state


def mangled_arrays(rng, arrays):
    """Arrays of a .npz file by name, one of them changed or left out."""
    arrays = dict(arrays)
    name = rng.choice(list(arrays))
    odd = [np.zeros(0), np.zeros((2, 2)), np.array("x"), np.array([np.nan]), np.array(-1), np.zeros(3, bool)]
    if rng.random() < 0.2:
        del arrays[name]
    else:
        arrays[name] = rng.choice(odd)
    return arrays


def generator(name, seed=0):
    """A source of random numbers of its own for each name."""
    return random.Random(f"{name} {seed}")
