import pytest

from imo.protocol import Protocol


@pytest.mark.parametrize(
    "protocol, words",
    [
        (Protocol("full", "val"), "val (full)"),
        (Protocol("few", "val"), "val (few)"),
        (Protocol("paper", "val"), "val (full)"),
        (Protocol("", "val"), "val"),
        (Protocol("paper", "test"), "test"),
        (Protocol("full", "held-out train"), "held-out train"),
        (Protocol("full", "nothing"), "nothing"),
    ],
)
def test_words(protocol, words):
    assert str(protocol) == words


def test_what_a_method_without_choice_makes_of_the_run():
    run = Protocol("few", "val")
    assert run.nothing() == Protocol("few", "nothing")
    assert str(run.nothing()) == "nothing"


def test_the_support_set_serves_in_several_ways():
    run = Protocol("support", "support")
    assert str(run.on_support("leave-one-out")) == "support (leave-one-out)"
    assert str(run.on_support("cross-validation")) == "support (cross-validation)"
    assert str(run.nothing("one shot")) == "nothing (support, one shot)"


def test_protocols_of_two_options_differ():
    assert Protocol("full", "nothing") != Protocol("few", "nothing")
    assert len({Protocol("full", "val"), Protocol("full", "val"), Protocol("full", "test")}) == 2
