"""Wikidata ids: the JSON dump and the SQL table give the same rows, and what is dropped is counted by its reason."""

import bz2
import gzip
import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leia.base.errors import InputError
from leia.base.step import Counts
from leia.corpus import dumps
from leia.corpus.id_files import read_ids, read_titles, write_id_files
from leia.corpus.titles import normalize_title
from leia.corpus.wikidata import read_json_sitelinks, read_sql_sitelinks


def item(number, **titles):
    sitelinks = {site: {"site": site, "title": title, "badges": []} for site, title in titles.items()}
    return {"type": "item", "id": f"Q{number}", "labels": {}, "sitelinks": sitelinks}


def json_dump(tmp_path, lines, end="]\n", name="wikidata-all.json.bz2"):
    path = tmp_path / name
    text = ("[\n" + ",\n".join(lines) + "\n" + end).encode("utf-8", "surrogatepass")
    path.write_bytes(bz2.compress(text) if path.suffix == ".bz2" else text)
    return path


def as_text(batches):
    """The sitelinks of all batches, in text: by site, those of a site in the order of the dump."""
    rows = [(site, row.decode("utf-8", "surrogatepass")) for batch in batches for site in batch for row in batch[site]]
    return sorted(((site, *row.rsplit("\t", 1)) for site, row in rows), key=lambda link: link[0])


def read_json(path, sites=("enwiki", "jawiki"), **options):
    counts = Counts()
    return as_text(read_json_sitelinks(path, sites, counts, **options)), counts.count("entities")


def test_items_give_their_sitelinks_and_all_else_is_counted_by_reason(tmp_path):
    entities = [
        item(1, enwiki="Universe", jawiki="宇宙", dewiki="Universum"),
        item(2, dewiki="Erde"),
        {"type": "item", "id": "Q3", "sitelinks": []},
        {"type": "property", "id": "P31"},
        {"type": "lexeme", "id": "L1", "sitelinks": item(9, enwiki="no")["sitelinks"]},
        {"type": "item", "id": "kittens", "sitelinks": item(9, enwiki="no")["sitelinks"]},
        item(4, enwiki='He said "Hi\\"'),
    ]
    found, tally = read_json(json_dump(tmp_path, map(json.dumps, entities)))
    assert found == [
        ("enwiki", "Universe", "Q1"),
        ("enwiki", 'He said "Hi\\"', "Q4"),
        ("jawiki", "宇宙", "Q1"),
    ]
    assert tally.as_dict() == {
        "read": 7,
        "kept": 2,
        "dropped": {
            "not an item (property, lexeme)": 2,
            "id is not a QID": 1,
            "no sitelink to the languages asked for": 1,
            "no sitelinks": 1,
        },
    }


def test_a_broken_line_stops_by_default_and_is_passed_over_on_request(tmp_path):
    path = json_dump(tmp_path, [json.dumps(item(1, enwiki="A")), '{"type":"item",', json.dumps(item(2, enwiki="B"))])
    with pytest.raises(InputError, match=r"line 3: is not JSON .*--max_errors"):
        read_json(path)
    found, tally = read_json(path, max_errors=1)
    assert [qid for _, _, qid in found] == ["Q1", "Q2"]
    assert tally.dropped["line is not JSON"] == 1


@pytest.mark.parametrize(
    "line",
    [
        "7",
        '"x"',
        "[]",
        '{"type":"item","id":"Q1","sitelinks":7}',
        '{"type":"item","id":"Q1","sitelinks":{"enwiki":7}}',
        '{"type":"item","id":"Q1","sitelinks":{"enwiki":{}}}',
        "[" * 100_000,
    ],
)
def test_json_of_another_shape_is_a_broken_line(tmp_path, line):
    with pytest.raises(InputError, match="line 2"):
        read_json(json_dump(tmp_path, [line]))


def test_bytes_that_are_not_utf8_make_a_broken_line_wherever_they_stand(tmp_path):
    path = tmp_path / "wikidata-all.json"
    whole = json.dumps(item(1, enwiki="A")).encode()
    path.write_bytes(b"[\n" + whole + b',\n{"labels":{"x":"\xff"},' + whole[1:] + b"\n]\n")
    found, tally = read_json(path, max_errors=1)
    assert [qid for _, _, qid in found] == ["Q1"] and tally.dropped == {"line is not JSON": 1}


@pytest.mark.parametrize("sitelinks", ["{}", "[]", "{ }", "[  ]"])
def test_an_item_without_sitelinks_is_told_from_one_with_others(tmp_path, sitelinks):
    other = '{"type":"item","id":"Q2","sitelinks":{"dewiki":{"title":"A"}}}'
    _, tally = read_json(json_dump(tmp_path, [f'{{"type":"item","id":"Q1","sitelinks":{sitelinks}}}', other]))
    assert tally.dropped == {"no sitelinks": 1, "no sitelink to the languages asked for": 1}


def test_a_lone_surrogate_costs_only_the_title_it_stands_in(tmp_path):
    lines = [
        json.dumps(item(1, enwiki="\ud800", jawiki="宇宙")),
        '{"type":"item","id":"Q2","labels":{"x":"\\udfff"},"sitelinks":{"enwiki":{"title":"B"}}}',
    ]
    path = json_dump(tmp_path, lines)
    paths = {"enwiki": tmp_path / "en.tsv", "jawiki": tmp_path / "ja.tsv"}
    counts = Counts()
    assert write_id_files(read_json_sitelinks(path, list(paths), counts), paths, counts) == []
    assert paths["enwiki"].read_text(encoding="utf-8") == "B\tQ2\n"
    assert paths["jawiki"].read_text(encoding="utf-8") == "宇宙\tQ1\n"
    assert counts.count("enwiki titles").dropped == {"title is not valid Unicode": 1}


def test_a_title_that_would_break_the_file_is_dropped(tmp_path):
    batch = {"enwiki": [b"a\tb\tQ1", b"c\tQ2", b"d\tQ3"]}
    counts = Counts()
    write_id_files([batch], {"enwiki": tmp_path / "en.tsv"}, counts)
    assert (tmp_path / "en.tsv").read_text() == "c\tQ2\nd\tQ3\n"
    assert counts.count("enwiki titles").dropped.total() == 1


def test_a_dump_that_breaks_off_is_an_error_or_used_as_far_as_it_goes(tmp_path):
    path = json_dump(tmp_path, [json.dumps(item(1, enwiki="A")), '{"type":"item","id":"Q2","sitel'], end="")
    with pytest.raises(InputError, match=r"Q1.*--allow_truncated|--max_errors"):
        read_json(path)
    with pytest.raises(InputError, match="none of its lines was used; download"):
        read_json(json_dump(tmp_path, [], end="", name="nothing.json"))
    path = json_dump(tmp_path, [json.dumps(item(1, enwiki="A")) + ","], end="")
    with pytest.raises(InputError, match=r"without the closing \].*Q1"):
        read_json(path)
    found, tally = read_json(path, allow_truncated=True)
    assert found == [("enwiki", "A", "Q1")]
    assert any("after the break" in reason for reason in tally.dropped)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
SITES = st.sampled_from(["enwiki", "jawiki", "dewiki", "enwikiquote"])
NEAR_ENTITY = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["item", "property"]) | JSON,
        "id": st.sampled_from(["Q1", "Q42", "P1", "Q0"]) | JSON,
        "labels": JSON | st.just({"en": {"value": '"sitelinks":{"enwiki":{"title":"no"}}'}}),
        "sitelinks": st.dictionaries(SITES, st.fixed_dictionaries({"title": st.text(max_size=8)}) | JSON) | JSON,
        "claims": JSON | st.just({"sitelinks": {"enwiki": {"title": "no"}}}),
    },
)


@given(NEAR_ENTITY, st.booleans())
def test_a_line_is_read_as_pythons_json_reads_it(scratch, entity, ascii_only):
    line = json.dumps(entity, ensure_ascii=ascii_only)
    path = json_dump(scratch, [line], name="wikidata-all.json")
    expected = []
    if isinstance(entity.get("sitelinks"), dict) and entity.get("type") == "item" and entity.get("id") in ("Q1", "Q42"):
        for site in ("enwiki", "jawiki"):
            sitelink = entity["sitelinks"].get(site)
            if site in entity["sitelinks"] and not (isinstance(sitelink, dict) and "title" in sitelink):
                return  # counted as broken, shown by another test
            if sitelink:
                expected.append((site, sitelink["title"], entity["id"]))
    found, tally = read_json(path, max_errors=1)
    assert found == expected or tally.dropped["line is not JSON"]
    assert tally.read == 1


TITLES = st.text(
    st.sampled_from("ab'\"\\,()日`;- ") | st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10
)


def sql_dump(path, rows, one_a_line=False, doubled_quotes=False):
    def quote(value):
        for plain, escaped in (
            ("\\", "\\\\"),
            ("'", "''" if doubled_quotes else "\\'"),
            ('"', '\\"'),
            ("\0", "\\0"),
            ("\n", "\\n"),
            ("\r", "\\r"),
            ("\x1a", "\\Z"),
        ):
            value = value.replace(plain, escaped)
        return f"'{value}'"

    values = [f"({number},{qid[1:]},{quote(site)},{quote(title)})" for number, (site, title, qid) in enumerate(rows)]
    separator = ",\n" if one_a_line else ","
    statement = f"INSERT INTO `wb_items_per_site` VALUES {separator.join(values)};\n" if values else ""
    text = (
        f"-- MySQL dump\nCREATE TABLE `wb_items_per_site` (x);\n{statement}\n-- Dump completed on 2024-03-01  8:02:11\n"
    )
    path.write_bytes(gzip.compress(text.encode()))
    return path


@given(
    st.lists(st.tuples(SITES, TITLES, st.integers(1, 999).map("Q{}".format)), max_size=12), st.booleans(), st.booleans()
)
def test_sql_rows_come_back_whatever_their_titles_hold(scratch, rows, one_a_line, doubled_quotes):
    path = sql_dump(scratch / "wb_items_per_site.sql.gz", rows, one_a_line, doubled_quotes)
    counts = Counts()
    found = as_text(read_sql_sitelinks(path, ["enwiki", "jawiki"], counts))
    assert found == [row for site in ("enwiki", "jawiki") for row in rows if row[0] == site]
    assert counts.count("table rows of these Wikipedias").kept == len(found)


def test_an_sql_dump_whose_last_line_begins_a_block_is_complete(tmp_path, monkeypatch):
    text = "-- wb_items_per_site\nINSERT INTO t VALUES (1,2,'enwiki','x');\n-- Dump completed on 2024-03-01\n"
    (tmp_path / "d.sql").write_text(text)
    monkeypatch.setattr(dumps, "_CHUNK_BYTES", text.index("-- Dump completed"))
    assert as_text(read_sql_sitelinks(tmp_path / "d.sql", ["enwiki"], Counts())) == [("enwiki", "x", "Q2")]


def test_an_sql_dump_of_another_table_layout_or_cut_off_is_an_error(tmp_path):
    path = tmp_path / "d.sql"
    path.write_text("-- wb_items_per_site\nINSERT INTO t VALUES (1,'2','enwiki','x');\n-- Dump completed\n")
    with pytest.raises(InputError, match="unknown layout"):
        list(read_sql_sitelinks(path, ["enwiki"], Counts()))
    path.write_text("-- wb_items_per_site\nINSERT INTO t VALUES (1,2,'enwiki','x');\nINSERT INTO t VALUES (1,2,'enw")
    with pytest.raises(InputError, match="Dump completed"):
        list(read_sql_sitelinks(path, ["enwiki"], Counts()))
    path.write_text("-- page\n")
    with pytest.raises(InputError, match="something else"):
        list(read_sql_sitelinks(path, ["enwiki"], Counts()))


def test_id_files_are_read_by_normalised_title_and_by_the_ids_asked_for(tmp_path):
    path = tmp_path / "en-wikidata-ids.tsv"
    path.write_text("Fire\tQ1\niPad\tQ2\n", encoding="utf-8")
    counts = Counts()
    assert read_ids(path, partial(normalize_title, language="en"), counts) == {"Fire": "Q1", "IPad": "Q2"}
    assert read_titles(path, {"Q2", "Q7"}, counts) == {"Q2": "iPad"}
    assert [tally.kept for tally in counts.tallies.values()] == [2, 1]
    path.write_text("Fire\tQ1\nFire\n")
    with pytest.raises(InputError, match=r"ids\.tsv:2: expected title<TAB>QID"):
        read_ids(path, partial(normalize_title, language="en"), Counts())
