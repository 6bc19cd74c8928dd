"""One reader and one writer for each format: errors say the file, the place and what to do."""

import json

import pytest

from leia.base.errors import InputError
from leia.base.text import (
    latex_table,
    markdown_table,
    read_json,
    read_json_lines,
    read_pairs,
    read_yaml,
    to_json,
    to_json_lines,
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1', "f: is not valid JSON, perhaps cut off .*; run it again"),
        (b'{"a": "\xff"}', "f: is not valid JSON"),
        (b"[1]", "f: expected a JSON object, found a list; run it again"),
    ],
)
def test_a_file_that_is_not_a_json_object_is_refused(tmp_path, content, message):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_json(tmp_path / "f", "run it again")


@pytest.mark.parametrize("content", [b"a: [1", b"- 1", b"", b"\xff: 1"])
def test_a_file_that_is_not_a_yaml_mapping_is_refused(tmp_path, content):
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(InputError, match=r"(?s)f: .*see the examples"):
        read_yaml(tmp_path / "f", "see the examples")


@pytest.mark.parametrize("line", [b"{", b"{}", b"[]", b"\xff"])
def test_a_json_line_in_error_is_named_by_its_number(tmp_path, line):
    (tmp_path / "f").write_bytes(b'{"id": "a"}\n' + line + b"\n")
    with pytest.raises(InputError, match=r"f:2: expected an item with an id, found .*; fix it"):
        read_json_lines(tmp_path / "f", lambda row: row["id"], "an item with an id", "fix it")


def test_what_is_written_is_read_back(tmp_path):
    rows = [{"id": "a\u2028b\n"}, {"id": "日本"}]
    (tmp_path / "lines").write_text(to_json_lines(rows), encoding="utf-8")
    assert read_json_lines(tmp_path / "lines", lambda row: row, "", "") == rows
    (tmp_path / "json").write_text(to_json(rows[0]), encoding="utf-8")
    assert read_json(tmp_path / "json", "") == rows[0] == json.loads(to_json(rows[0]))
    (tmp_path / "pairs").write_text("a\tb\u2028\nc\td\te\n", encoding="utf-8")
    assert list(read_pairs(tmp_path / "pairs", "", "")) == [("a", "b\u2028"), ("c", "d\te")]


def test_tables():
    assert markdown_table(["", "n"], [["es", "1"]]) == "| | n |\n| --- | --- |\n| es | 1 |\n"
    assert markdown_table(["", "n"], [["es", "1"]], numbers=True).splitlines()[1] == "| --- | ---: |"
    table = latex_table(["", "n"], [["es", "1"]])
    assert table.startswith("\\begin{tabular}{lr}\n\\toprule\n & n \\\\\n\\midrule\nes & 1 \\\\\n\\bottomrule")
