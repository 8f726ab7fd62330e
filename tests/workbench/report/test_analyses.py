"""The schema of overlap.json."""

import copy
import json

import msgspec
import pytest
from reporting import make_analysis

from imo.errors import InputError
from imo.workbench.report.analyses import Analysis, read_analysis, refuse_other_data, write_analysis


def test_an_analysis_comes_back_as_written(tmp_path):
    analysis = msgspec.convert(make_analysis(), Analysis)
    path = write_analysis(tmp_path / "overlap" / "birds", analysis)
    assert path.name == "overlap.json" and read_analysis(path) == analysis
    assert json.loads(path.read_text()) == make_analysis()


def change(content, *keys, to):
    content = copy.deepcopy(content)
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = to
    return content


IMAGE = ("corrections", "none", "image")


@pytest.mark.parametrize(
    "keys, value, words",
    [
        (("schema_version",), 2, "schema_version"),
        (("corrections",), {}, "no corrections"),
        ((*IMAGE, "paired"), [0.5, 0.5], "2 bins of paired, 200 of unpaired"),
        ((*IMAGE, "paired"), ["many"], "paired"),
        ((*IMAGE, "report", "area"), None, "area"),
        ((*IMAGE, "report", "interval"), [0.5], "interval"),
        ((*IMAGE, "confused"), [{"class": "owl", "with": "hawk", "share": 1.5}], "share"),
        (("split",), 3, "split"),
    ],
)
def test_what_is_none_is_named_in_one_line(tmp_path, keys, value, words):
    path = tmp_path / "overlap.json"
    path.write_text(json.dumps(change(make_analysis(), *keys, to=value)))
    with pytest.raises(InputError, match=rf"overlap\.json: not an overlap analysis .*{words}") as error:
        read_analysis(path)
    assert "\n" not in str(error.value)


def test_what_makes_no_sense_is_not_written(tmp_path):
    analysis = msgspec.structs.replace(msgspec.convert(make_analysis(), Analysis), split=3)
    with pytest.raises(msgspec.ValidationError, match="split"):
        write_analysis(tmp_path, analysis)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent\.json: cannot be read"):
        read_analysis(tmp_path / "absent.json")


def test_an_analysis_of_other_images_of_the_same_name_is_kept(tmp_path):
    mine, other = (msgspec.convert({**make_analysis(), "data": data}, Analysis) for data in ("ab", "cd"))
    refuse_other_data(tmp_path, mine)
    path = write_analysis(tmp_path, mine)
    refuse_other_data(tmp_path, mine)
    with pytest.raises(InputError, match=rf"^{path}: of other images under the name Birds; rename"):
        refuse_other_data(tmp_path, other)
    path.write_text("{")
    refuse_other_data(tmp_path, other)
