"""What the values of settings may be, and one check of a config against it.

A table of rules, by the settings' dotted names, is declared where the settings are: by trainers and by datasets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from imo.errors import InputError

_MOST = 10**9  # of whole numbers: nothing that is counted here has more
_FINITE = 1e38  # of other numbers: what float32 holds


class Rule(NamedTuple):
    """Attributes:
    expected: what fits, in words.
    fits: whether a value does.
    """

    expected: str
    fits: Callable[[Any], bool]


def whole(least: int = -_MOST, most: int = _MOST) -> Rule:
    """A whole number in a range, both ends included."""
    return Rule(
        "a whole number" + _range(least, most, _MOST),
        lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most,
    )


def number(least: float = -_FINITE, most: float = _FINITE, above: bool = False) -> Rule:
    """A finite number in a range, both ends included; without the lower one where it must be `above` it."""
    return Rule(
        "a number" + _range(least, most, _FINITE).replace("of at least", "above" if above else "of at least"),
        lambda value: (
            isinstance(value, (int, float))
            and not isinstance(value, bool)
            and least <= value <= most
            and not (above and value == least)
        ),
    )


def _range(least: float, most: float, unlimited: float) -> str:
    words = [f"of at least {least:g}"] * (least > -unlimited) + [f"at most {most:g}"] * (most < unlimited)
    return " " + " and ".join(words) if words else ""


def one_of(names: Iterable[Any]) -> Rule:
    """One of these; any text where there are none, which is where nobody says what there is."""
    names = tuple(names)
    if not names:
        return TEXT
    return Rule(
        f"one of {', '.join(map(str, names))}", lambda value: any(type(value) is type(n) and value == n for n in names)
    )


def several(rule: Rule, least: int = 0, most: int = 10_000) -> Rule:
    """A list or tuple of values that fit a rule."""
    count = f"{least} " if least == most else f"{least} or more " if least else ""
    return Rule(
        f"a list of {count}values, each {rule.expected}",
        lambda value: (
            isinstance(value, (list, tuple)) and least <= len(value) <= most and all(rule.fits(part) for part in value)
        ),
    )


def either(*rules: Rule) -> Rule:
    """What fits one of these rules."""
    return Rule(" or ".join(rule.expected for rule in rules), lambda value: any(rule.fits(value) for rule in rules))


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and b"\0" not in value.encode()
    except UnicodeEncodeError:  # bytes of a command line that are no UTF-8, which no JSON takes
        return False


TEXT = Rule("a text in UTF-8 without null characters", _is_text)
PATH = Rule("a path without null characters", lambda value: isinstance(value, str) and "\0" not in value)
FLAG = Rule("True or False", lambda value: isinstance(value, bool))
SHARE = number(0, 1)


def like(default: Any) -> Rule:
    """A value of the kind of a default: True or False, a number, a text, or a list of what is like its first entry."""
    if isinstance(default, (list, tuple)):
        return several(like(default[0]) if default else TEXT)
    kinds: dict[type, Rule] = {bool: FLAG, int: whole(), float: number()}
    return kinds.get(type(default), TEXT)


def check(cfg: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Check a config's settings against rules. A setting that the config does not have is passed over: in a checkout of
    another project, nodes may be somebody else's.

    Raises:
        InputError: a value does not fit; the text names the setting.
    """
    for name, rule in rules.items():
        value: Any = cfg
        for part in name.split("."):
            value = value.get(part, _ABSENT) if isinstance(value, Mapping) else _ABSENT
        if value is not _ABSENT and not rule.fits(value):
            shown = repr(value)
            raise InputError(
                f"{name}: expected {rule.expected}, got {shown if len(shown) < 100 else shown[:97] + '...'}"
            )


_ABSENT = object()
