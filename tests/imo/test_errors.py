"""What errors say, in one line."""

import pytest

from imo.errors import InputError, explain, reading, reason, shown, visible


@pytest.mark.parametrize(
    "text, seen",
    [
        ("plain é ±", "plain é ±"), ("\x1b[2J", r"\x1b[2J"), ("a\nb\r\t\0", r"a\nb\r\t\x00"),
        ("\u202ex\udcff", r"\u202ex\udcff"),
    ],
)  # fmt: skip
def test_control_characters_are_seen(text, seen):
    assert visible(text) == seen == shown([{text: (text)}])[0][seen]
    assert explain(InputError(text)) == seen.strip()


def test_of_a_traceback_of_a_worker_our_line_is_told():
    told = 'Caught InputError in worker\nTraceback:\n  File "x"\nimo.errors.InputError: a\nb.png: gone\n'
    assert explain(InputError(told)) == r"a\nb.png: gone"


@pytest.mark.parametrize(
    "error, words",
    [
        (
            RuntimeError("Error(s) in loading state_dict for CLIP:\n\tMissing key(s): 'a'."),
            "CLIP: Missing key(s): 'a'.",
        ),
        (KeyError("alphas"), "no 'alphas'"),
        (FileNotFoundError(2, "No such file", "/x/y"), "No such file: /x/y"),
        (EOFError(), "EOFError"),
    ],
)
def test_a_reason_has_all_lines(error, words):
    assert reason(error).endswith(words) and "\n" not in reason(error)


def test_whatever_a_parser_raises_names_the_file():
    remedy = "copy it again"
    for error in (RecursionError("deep"), AttributeError("x"), ZeroDivisionError(), OSError("gone")):
        with pytest.raises(InputError, match=r"^a: damaged \(.+\); copy it again$"), reading("a: damaged", remedy):
            raise error
    with pytest.raises(InputError, match=r"^ours$"), reading("a", remedy):
        raise InputError("ours")
    with pytest.raises(KeyboardInterrupt), reading("a", remedy):
        raise KeyboardInterrupt
    assert len(reason(RuntimeError("x" * 10_000))) < 600
