"""The log of a run."""

import pytest

import imo
from imo.workbench import train


def test_a_log_is_not_written_through_a_link_whatever_the_logger(tmp_path, monkeypatch):
    """Upstream Dassl's logger opens log.txt as it finds it."""
    asked = []
    monkeypatch.setattr(train, "setup_logger", asked.append)
    (tmp_path / "log.txt").symlink_to(tmp_path / "target")
    with pytest.raises(imo.InputError, match=rf"^{tmp_path}/log\.txt: a link to"), train.logged(str(tmp_path)):
        pass
    assert asked == [] and not (tmp_path / "target").exists()
