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
DEEP = 20_000


def leaves(cfg, prefix=""):
    """The dotted names of a config's settings."""
    for name, value in cfg.items():
        yield from leaves(value, f"{prefix}{name}.") if isinstance(value, dict) else (f"{prefix}{name}",)


def odd_value(rng):
    """A JSON value that nobody expects."""
    return rng.choice(
        (None, True, -1, 0, 2**70, 1e308, -0.5, float("nan"), float("inf"), "", "x", "\x1b[2J", "a\nb", "<script>", "=1+1",
         "\0", "\ud800", "x" * 3000, [], [[]], {}, {"a": 1}, [None], "../../x")
    )  # fmt: skip


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
    return rng.choice(
        (torch.zeros(()), torch.zeros(0), torch.zeros(3), torch.zeros(2, 3), torch.full((4, 4), torch.nan),
         torch.zeros(2, 2, dtype=torch.int64), torch.zeros(2, dtype=torch.complex64), torch.zeros(1, 1, 1, 1, 1),
         torch.zeros(3, dtype=torch.bool), torch.ones(2, 3).to_sparse(), None, "text", 5, [1], {}, {"a": torch.zeros(1)})
    )  # fmt: skip


def mangled_state(rng, state):
    """A state dict of tensors, changed in a place or wholly another thing."""
    how = rng.randrange(6)
    if how == 0:
        return rng.choice(([state], list(state.values()), 5, None, "text", {}, torch.zeros(2), {1: torch.zeros(2)}))
    state = dict(state)
    name = rng.choice(list(state))
    if how == 1:
        del state[name]
    elif how == 2:
        state[rng.choice((1, 2.5, "", "x.y.z", f"{name}.x", "logits", "forward"))] = odd_tensor(rng)
    elif how == 3 and torch.is_tensor(state[name]):
        value = state[name]
        state[name] = rng.choice(
            (
                value.flatten(),
                value[None],
                value.to(torch.int32),
                value.T if value.ndim == 2 else value[:1] if value.ndim else value,
            )
        )
    elif how == 4 and isinstance(state[name], dict):
        state[name] = mangled_state(rng, state[name]) if state[name] else odd_tensor(rng)
    else:
        state[name] = odd_tensor(rng)
    return state


def mangled_arrays(rng, arrays):
    """Arrays of a .npz file by name, one of them changed."""
    arrays = dict(arrays)
    name = rng.choice(list(arrays))
    odd = (
        np.zeros(0),
        np.zeros((2, 2)),
        np.array("x"),
        np.array([np.nan]),
        np.array(-1),
        np.zeros(3, bool),
        np.zeros(1, "S4"),
    )
    if rng.random() < 0.2:
        del arrays[name]
    else:
        arrays[name] = rng.choice(odd)
    return arrays


def generator(name, seed=0):
    """A source of random numbers of its own for each name."""
    return random.Random(f"{name} {seed}")
