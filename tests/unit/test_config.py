"""Settings that are taken, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from audit.config import AuditConfig, load_config, make_config, unknown_name
from audit.errors import InputError
from audit.sources import Format


def test_settings_have_their_defaults() -> None:
    assert make_config({"data": "a.jsonl"}) == AuditConfig(
        data="a.jsonl",
        input_format=None,
        columns={},
        limit=None,
        select=(),
        ignore=(),
        checks={},
        encoder="all-MiniLM-L6-v2",
        group_column=None,
    )


def test_a_configuration_survives_its_file(tmp_path: Path) -> None:
    config = make_config(
        {
            "data": "söme.jsonl",
            "input_format": "sharegpt",
            "columns": {"prompt": "q"},
            "limit": 3,
            "select": ["DUP"],
            "ignore": ["DUP003"],
            "checks": {"DUP002": {"min_jaccard": 0.9}},
            "group_column": "topic",
        }
    )
    assert config.input_format is Format.SHAREGPT
    (tmp_path / "config.yaml").write_bytes(config.to_yaml())
    assert make_config(load_config(tmp_path / "config.yaml")) == config


@pytest.mark.parametrize(
    ("name", "nearest"), [("selct", "select"), ("column", "columns"), ("Limit", "limit"), ("input_fromat", "input_format")]
)
def test_an_unknown_setting_names_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(InputError, match=f"audit.yaml: unknown setting '{name}'; did you mean '{nearest}'"):
        make_config({"data": "a", name: 1}, "audit.yaml")


def test_a_setting_that_is_near_to_none_lists_all() -> None:
    with pytest.raises(InputError, match="unknown setting 'zzz'; known: data, input_format, columns"):
        make_config({"data": "a", "zzz": 1})


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"options": {}}, "^unknown setting 'options'; it is called 'checks'$"),
        ({"from": "run"}, "^unknown setting 'from'; it is called 'previous'$"),
        ({"fail_on": "error"}, "^'fail_on' is no setting; give --fail-on on the command line$"),
        ({"suppress": [{"out": "run"}]}, "^unknown setting 'out'; known: codes, rows"),
        ({"select": {"DUP": 1}}, "^setting 'select': a list is expected, such as "),
        ({"checks": ["DUP"]}, "^setting 'checks': names and values are expected"),
    ],
)
def test_what_stands_elsewhere_or_is_of_the_wrong_kind_is_put_right(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        make_config({"data": "a", **settings})


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "data"),
        ({"data": 7}, "data"),
        ({"data": "a", "limit": "ten"}, "limit"),
        ({"data": "a", "limit": 0}, "limit"),
        ({"data": "a", "limit": 1.5}, "limit"),
        ({"data": "a", "select": 7}, "select"),
        ({"data": "a", "select": [1]}, "select.0"),
        ({"data": "a", "columns": ["prompt"]}, "columns"),
        ({"data": "a", "columns": {"prompt": 1}}, "columns.prompt"),
        ({"data": "a", "checks": {"DUP002": 0.9}}, "checks.DUP002"),
        ({"data": "a", "input_format": "xml"}, "input_format"),
        ({"data": "a", "encoder": None}, "encoder"),
    ],
)
def test_a_value_of_the_wrong_kind_names_its_setting(settings: dict[str, Any], name: str) -> None:
    with pytest.raises(InputError, match=f"^setting '{name}': ") as caught:
        make_config(settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no settings"),
        (b"- a\n- b\n", "holds no settings"),
        (b"just text", "holds no settings"),
        (b"data: a\nselect: [DUP\n", r"config\.yaml:3: is no readable YAML"),
        (b"data: \xff\n", "is no readable YAML"),
        (b"data: !!python/object/apply:os.system ['true']\n", "is no readable YAML"),
        (b"[" * 5000, "is no readable YAML"),
    ],
)
def test_a_file_without_settings_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_config(tmp_path / "config.yaml")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file; check the path given with --config"):
        load_config(tmp_path / "nowhere.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_config(tmp_path)


def test_names_of_settings_are_text(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"data: a\n7: b\n")
    assert load_config(tmp_path / "config.yaml") == {"data": "a", "7": "b"}


def test_the_nearest_name_is_suggested() -> None:
    assert str(unknown_name("check", "DUP02", ["DUP002", "TXT001"])) == "unknown check 'DUP02'; did you mean 'DUP002'?"
    assert str(unknown_name("check", "x", ["DUP002", "TXT001"])) == "unknown check 'x'; known: DUP002, TXT001"


def test_one_name_stands_for_a_list_of_them() -> None:
    config = make_config({"data": "a", "select": "DUP, TXT001", "ignore": "DUP003"})
    assert (config.select, config.ignore) == (("DUP", "TXT001"), ("DUP003",))


def test_one_name_may_stand_where_a_list_is_meant_and_may_hold_commas() -> None:
    rule = {"codes": "DUP, TXT", "rows": "a, b.jsonl#3"}
    config = make_config({"data": "a", "evaluation": "exam, part 2.jsonl", "suppress": [rule]})
    assert config.evaluation == ("exam, part 2.jsonl",)
    assert (config.suppress[0].codes, config.suppress[0].rows) == (("DUP", "TXT"), ("a, b.jsonl#3",))
