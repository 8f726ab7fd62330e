"""What values of settings fit a rule, and what is said of those that do not."""

import re

import pytest

import imo
from imo.rules import FLAG, PATH, TEXT, check, either, like, number, one_of, several, whole


@pytest.mark.parametrize(
    "rule, fits, others",
    [
        (whole(1, 5), (1, 5), (0, 6, 2**70, 1.0, "1", None, True, [1])),
        (whole(), (-3, 0), (10**10, 0.5, None)),
        (number(0, 1), (0, 1, 0.5), (-0.1, 1.1, float("nan"), float("inf"), 10**400, "0.5", None, False)),
        (number(0, above=True), (1e-9,), (0, 0.0, -1)),
        (one_of(("a", "b")), ("a",), ("c", "", None, ["a"])),
        (one_of((False,)), (False,), (True, 0, None)),
        (one_of(()), ("whatever",), (None, 3)),
        (several(whole(1), 2, 2), ((1, 2), [1, 2]), ((1,), (1, 2, 3), (1, None), 5, None, "12")),
        (several(TEXT), ((), ("a",)), ([None], "a")),
        (either(several(TEXT), TEXT), ("a", ["a"]), (None, [1])),
        (TEXT, ("", "a", "ä"), ("a\0", "\udcff", None, b"a")),
        (PATH, ("a", "\udcff"), ("a\0", None)),
        (FLAG, (True, False), (1, None, "True")),
        (like(4), (7,), (None, 0.5)),
        (like(0.5), (7, 0.1), (None, float("inf"))),
        (like((0.1,)), ((), [0.5, 1.0]), (None, ["a"], 0.5)),
        (like("grid"), ("x",), (None, 1)),
    ],
)
def test_what_fits(rule, fits, others):
    for value in fits:
        check({"A": {"B": value}}, {"A.B": rule})
    for value in others:
        with pytest.raises(imo.InputError, match=rf"^A\.B: expected {re.escape(rule.expected)}, got "):
            check({"A": {"B": value}}, {"A.B": rule})


def test_the_message_is_short_whatever_the_value():
    with pytest.raises(
        imo.InputError, match=r"^A: expected a whole number of at least 1 and at most 5, got '"
    ) as error:
        check({"A": "x\n" * 5000}, {"A": whole(1, 5)})
    assert len(str(error.value)) < 200 and "\n" not in str(error.value)


def test_a_setting_that_is_not_there_is_passed_over():
    for cfg in ({}, {"A": 3}, {"A": {}}, {"A": {"C": 1}}):
        check(cfg, {"A.B": whole()})
