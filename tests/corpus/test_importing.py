"""Texts from elsewhere become articles: our own articles come back byte for byte, names stay, and what is no text or no
span is one line that says where, or is counted."""

import gzip
import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import ROOT, run_here
from datasets import Dataset, DatasetDict, load_from_disk

from leia.base.datasets import NAMED_SCHEMA, PREPROCESSED_SCHEMA
from leia.base.errors import DropReason
from leia.base.text import to_json_lines

DATA = "data-00000-of-00001.arrow"


def zstd(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def write(rows, path):
    """The rows in the kind of file that the name says."""
    content = to_json_lines(rows).encode()
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=7)
    else:
        path.write_bytes({".gz": gzip.compress, ".zst": zstd}.get(path.suffix, bytes)(content))
    return path


def run_import(rows, folder, *options, name="texts.jsonl", language="es"):
    file = write(rows, folder / name)
    given = ["--text_files", file, "--language", language, "--output_dir", folder / "out", *options]
    return run_here("import_articles.py", *given)


def imported(rows, folder, *options, **settings):
    result = run_import(rows, folder, *options, **settings)
    assert result.exit_code == 0, result.stderr
    return load_from_disk(folder / "out").to_list()


def refused(rows, folder, *options, **settings):
    """The one line that an import says to these rows; the progress bar stands before it."""
    result = run_import(rows, folder, *options, **settings)
    assert result.exit_code and not (folder / "out").exists()
    return result.stderr.splitlines()[-1]


def manifest(folder):
    return json.loads((folder / "out/manifest.json").read_text("utf-8"))


def span(start, end, **what):
    return {"start": start, "end": end, **what}


@pytest.mark.parametrize("name", ["texts.jsonl", "texts.jsonl.gz", "texts.jsonl.zst", "texts.parquet"])
@pytest.mark.parametrize("language", ["es", "ja"])
def test_our_own_articles_come_back_byte_for_byte(sample_corpus, tmp_path, language, name):
    wiki = sample_corpus.wikis[language]
    rows = [
        {"title": row["title"], "text": row["text"], "spans": [
            {key: anchor[key] for key in ("title", "start", "end")} for anchor in reversed(row["anchors"])]}
        for row in load_from_disk(wiki.preprocessed)
    ]  # fmt: skip
    files = ["--redirect_file", wiki.redirects, "--wikidata_id_file", wiki.ids]
    result = run_import(rows, tmp_path, *files, name=name, language=language)
    assert result.exit_code == 0, result.stderr
    for made in (DATA, "dataset_info.json", "state.json"):
        assert (tmp_path / "out" / made).read_bytes() == (wiki.preprocessed / made).read_bytes()
    if name == "texts.jsonl":
        options = ["--model_name", sample_corpus.tiny_model, "--preprocessed_dataset_dir", tmp_path / "out"]
        options += ["--wikidata_id_file", sample_corpus.pivot_ids, "--output_dir", tmp_path / "dataset"]
        assert run_here("build_wikipedia_dataset.py", *options, "--num_workers", 1).exit_code == 0
        assert (tmp_path / "dataset" / DATA).read_bytes() == (wiki.dataset / DATA).read_bytes()


def test_preprocessed_anchors_keep_their_titles_and_ids_without_any_file(tmp_path):
    anchors = [span(0, 2, title="no such page", wikidata_id="Q5"), span(3, 5, wikidata_id="Q6", title=None)]
    (row,) = imported([{"text": "ab cd", "anchors": anchors}], tmp_path, "--spans_column", "anchors")
    assert [(anchor["title"], anchor["wikidata_id"]) for anchor in row["anchors"]] == [
        ("no such page", "Q5"),
        (None, "Q6"),
    ]


def test_a_title_is_found_as_a_link_of_the_dump_is(tmp_path):
    (tmp_path / "r.tsv").write_text("Rey\tMonarca\n", "utf-8")
    (tmp_path / "i.tsv").write_text("Monarca\tQ1\nÉl\tQ2\nCategoría:Reyes\tQ3\n", "utf-8")
    titles = ["rey", "monarca", "_él_", "%C3%89l", "Nadie", "Categoría:Reyes"]
    spans = [span(k, k + 1, title=title) for k, title in enumerate(titles)]
    files = ["--redirect_file", tmp_path / "r.tsv", "--wikidata_id_file", tmp_path / "i.tsv"]
    (row,) = imported([{"text": "abcdef", "spans": spans}], tmp_path, *files)
    assert [(anchor["title"], anchor["wikidata_id"]) for anchor in row["anchors"]] == [
        *(("Monarca", "Q1"), ("Monarca", "Q1"), ("Él", "Q2"), ("Él", "Q2"), ("Nadie", None)),
        ("Categoría:Reyes", "Q3"),
    ]


def test_plain_text_needs_no_wikipedia_and_has_the_columns_of_every_article(tmp_path):
    rows = imported([{"text": "Uno."}, {"text": "  "}, {"text": "Dos.", "title": "B"}], tmp_path)
    assert [(row["title"], row["language"], row["text"], row["anchors"]) for row in rows] == [
        ("texts.jsonl:1", "es", "Uno.", []),
        ("B", "es", "Dos.", []),
    ]
    assert load_from_disk(tmp_path / "out").data.table.schema.remove_metadata() == PREPROCESSED_SCHEMA
    assert manifest(tmp_path)["tally"]["articles"] == {"read": 3, "kept": 2, "dropped": {DropReason.NO_TEXT: 1}}


def test_batches_are_of_one_size_and_without_names_have_the_schema_of_wikipedia(tmp_path):
    imported([{"text": "a", "spans": [span(0, 1, wikidata_id="Q1")]}] * 401, tmp_path)
    with pa.ipc.open_stream(tmp_path / "out" / DATA) as stream:
        assert stream.schema == PREPROCESSED_SCHEMA
        assert [batch.num_rows for batch in stream] == [200, 200, 1]


@pytest.mark.parametrize("before", [0, 1, 200, 399, 400, 401])
def test_a_name_gives_every_row_the_field_wherever_it_stands_first(tmp_path, before):
    rows = [{"text": "ab", "title": str(k), "spans": [span(0, 1, wikidata_id="Q1")]} for k in range(before)]
    named = {"text": "日本語", "spans": [span(2, 3, wikidata_id="Q7"), span(0, 2, name="Japan")]}
    found = imported([*rows, named, {"text": "fin"}], tmp_path, language="ja")
    assert load_from_disk(tmp_path / "out").data.table.schema.remove_metadata() == NAMED_SCHEMA
    plain = {"title": None, "wikidata_id": "Q1", "name": None}
    assert [row["anchors"] for row in found[:before]] == [[span(0, 1, **plain)]] * before
    assert [row["title"] for row in found[:before]] == [row["title"] for row in rows]
    assert found[before]["anchors"] == [
        span(0, 2, title=None, wikidata_id=None, name="Japan"),
        span(2, 3, title=None, wikidata_id="Q7", name=None),
    ]
    assert found[before + 1]["anchors"] == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *(DATA, "dataset_info.json", "state.json", "manifest.json")
    }


BAD_SPANS = [
    (span(0, 6, name="A"), DropReason.OUTSIDE_TEXT, "within the 5 characters of the text, found start 0, end 6"),
    (span(-1, 3, name="A"), DropReason.OUTSIDE_TEXT, "found start -1, end 3"),
    (span(2, 2, name="A"), DropReason.EMPTY_SPAN, "a start before its end, found start 2, end 2"),
    (span(3, 1, name="A"), DropReason.EMPTY_SPAN, "found start 3, end 1"),
    (span("0", 2, name="A"), DropReason.NOT_A_SPAN, "whole numbers start and end, found start '0', end 2"),
    (span(0, 2.0, name="A"), DropReason.NOT_A_SPAN, "found start 0, end 2.0"),
    (span(False, 2, name="A"), DropReason.NOT_A_SPAN, "found start False, end 2"),
    (span(False, True, name="A"), DropReason.NOT_A_SPAN, "found start False, end True"),
    ({"end": 2, "name": "A"}, DropReason.NOT_A_SPAN, "found start None, end 2"),
    ([0, 2, "A"], DropReason.NOT_A_SPAN, "an object with start and end, found [0, 2, 'A']"),
    (span(0, 2), DropReason.NOT_A_SPAN, "or a name alone, found none of them"),
    (span(0, 2, name="A", title="B"), DropReason.NOT_A_SPAN, "found title and name"),
    (span(0, 2, name="A", wikidata_id="Q1"), DropReason.NOT_A_SPAN, "found wikidata_id and name"),
    (span(0, 2, name=" "), DropReason.NOT_A_SPAN, "words as its name, found ' '"),
    (span(0, 2, title=7), DropReason.NOT_A_SPAN, "words as its title, found 7"),
    (span(0, 2, wikidata_id="Q01"), DropReason.NOT_A_QID, "a Wikidata id such as Q42, found 'Q01'"),
    (span(0, 2, wikidata_id="P1"), DropReason.NOT_A_QID, "found 'P1'"),
    (span(4, 5, name="A"), DropReason.OVERLAPPING_SPAN, "found one from 4 to 5 after one from 3 to 5"),
]  # fmt: skip


@pytest.mark.parametrize(("bad", "reason", "message"), BAD_SPANS)
def test_a_bad_span_is_one_line_with_its_place_or_is_counted(tmp_path, bad, reason, message):
    rows = [{"text": "fine"}, {"text": "ab cd", "spans": [span(3, 5, name="CD"), bad]}]
    line = refused(rows, tmp_path)
    assert line.startswith(f"error: {tmp_path}/texts.jsonl:2: spans[1]: expected ") and message in line
    assert "--drop_bad_spans" in line
    found = imported(rows, tmp_path, "--drop_bad_spans")
    assert [(anchor["start"], anchor["name"]) for anchor in found[1]["anchors"]] == [(3, "CD")]
    assert manifest(tmp_path)["tally"]["spans"] == {"read": 2, "kept": 1, "dropped": {reason: 1}}


def test_of_spans_that_begin_together_the_longer_stays(tmp_path):
    spans = [span(0, 1, name="A"), span(0, 3, name="B"), span(2, 4, name="C"), span(3, 4, name="D")]
    (row,) = imported([{"text": "abcd", "spans": spans}], tmp_path, "--drop_bad_spans")
    assert [anchor["name"] for anchor in row["anchors"]] == ["B", "D"]


BAD_TEXTS = [
    (b'{"text": "a"}\n{"text": null}\n', "texts:2: text: expected a text, found null"),
    (b'{"text": ["a"]}\n', "texts:1: text: expected a text, found list"),
    (b'{"text": "a", "title": 1}\n', "texts:1: title: expected a title, found int '1'"),
    (b'{"text": "a", "spans": {"start": [0]}}\n', "texts:1: spans: expected a list of spans, found"),
    (b'{"text": "a"}\n{"id": 1, "body": "a"}\n', "texts:2: expected a column 'text', found id, body; name the text's"),
    (b'{"text": "a"}\n\n["a"]\n', "texts:3: expected a JSON object with a text on each line, or a Parquet file, found"),
    (b'{"text": "a"}\n{"text": "b', "texts:2: expected a JSON object with a text"),
    (b'{"text": "a\\ud83d b"}\n', "texts:1: expected a JSON object with a text"),
    (b'{"text": "a\xff"}\n', "texts:1: expected a JSON object with a text"),
    (b"title,text\n", "texts:1: expected a JSON object with a text"),
    (b'{"text": " "}\n', "texts: expected texts, found 1 rows without one"),
    (b"", "texts: expected texts, found no row"),
    (gzip.compress(b'{"text": "a"}\n' * 999, mtime=0)[:-9], "texts: breaks off or is corrupt after line"),
    (zstd(b'{"text": "a"}\n' * 999)[:-9], "texts: breaks off or is corrupt after line"),
    (b"PAR1 and no more", "texts: is no whole Parquet file after row 0"),
]


@pytest.mark.parametrize(("content", "message"), BAD_TEXTS)
@pytest.mark.parametrize("options", [[], ["--drop_bad_spans"]])
def test_what_is_no_text_is_one_line_with_its_place(tmp_path, content, message, options):
    (tmp_path / "texts").write_bytes(content)
    given = ["--text_files", tmp_path / "texts", "--language", "es", "--output_dir", tmp_path / "out", *options]
    result = run_here("import_articles.py", *given)
    assert result.exit_code == 1 and f"error: {tmp_path}/{message}" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_the_mark_that_editors_put_at_the_start_of_a_file_is_passed_over(tmp_path):
    (tmp_path / "texts").write_bytes(b'\xef\xbb\xbf{"text": "a"}\n')
    given = ["--text_files", tmp_path / "texts", "--language", "es", "--output_dir", tmp_path / "out"]
    assert run_here("import_articles.py", *given).exit_code == 0
    assert load_from_disk(tmp_path / "out")["text"][:] == ["a"]


@pytest.mark.parametrize("several", [False, True])
def test_a_folder_of_datasets_is_read_whatever_its_path_and_its_path_is_not_kept(tmp_path, several):
    dataset = Dataset.from_list([{"text": "a"}, {"text": "b"}])
    (DatasetDict({"train": dataset}) if several else dataset).save_to_disk(tmp_path / "secret/texts")
    given = ["--text_dataset", f"{tmp_path}/secret/texts/", "--language", "es", "--output_dir", tmp_path / "out"]
    result = run_here("import_articles.py", *given)
    assert result.exit_code == 0, result.stderr
    found = load_from_disk(tmp_path / "out")
    assert found["text"][:] == ["a", "b"] and found["title"][0] == "texts: row 1"
    assert "secret" not in (tmp_path / "out/manifest.json").read_text()
    given[1] = given[1].rstrip("/")
    assert "complete already" in run_here("import_articles.py", *given).stdout


def test_a_parquet_file_says_its_columns_and_its_rows(tmp_path):
    assert "expected a column 'text', found body; name" in refused([{"body": "a"}], tmp_path, name="a.parquet")
    rows = [{"text": "a"}, {"text": None}]
    assert "b.parquet: row 2: text: expected a text" in refused(rows, tmp_path, name="b.parquet")


def test_wrong_use_is_one_line(tmp_path):
    rows = [{"text": "abc", "spans": [span(0, 2, title="A")]}]
    line = refused(rows, tmp_path)
    assert "texts.jsonl:1: a span names the page 'A'; name --wikidata_id_file (and --redirect_file) of 'es'" in line
    assert "found both or none" in refused(rows, tmp_path, "--text_dataset", "a/b")
    assert "is not a language code" in refused(rows, tmp_path, language="Spanish")
    (tmp_path / "ja-wikidata-ids.tsv").write_text("A\tQ1\n")
    assert "named as the ids of 'ja'" in refused(rows, tmp_path, "--wikidata_id_file", tmp_path / "ja-wikidata-ids.tsv")


def test_ids_of_another_wiki_and_a_column_that_is_not_there_are_said(tmp_path):
    (tmp_path / "i.tsv").write_text("B\tQ1\n")
    rows = [{"text": "abc", "spans": [span(0, 2, title="A")]}]
    result = run_import(rows, tmp_path, "--wikidata_id_file", tmp_path / "i.tsv", "--title_column", "headline")
    assert "warning: no title of a span has a Wikidata id; is " in result.stderr
    assert result.stdout.splitlines()[-1] == "note: no text has anything in the column 'headline'"


def test_several_files_are_one_corpus_and_reading_stops_early(tmp_path):
    more = write([{"text": "c"}, {"text": "d"}], tmp_path / "more.parquet")
    texts = [{"text": "a"}, {"text": ""}, {"text": "b"}]
    options = ["--text_files", more]
    assert [row["text"] for row in imported(texts, tmp_path, *options)] == ["a", "b", "c", "d"]
    assert [row["text"] for row in imported(texts, tmp_path, *options, "--max_articles", "3")] == ["a", "b", "c"]
    assert manifest(tmp_path)["options"]["max_articles"] == 3


@pytest.mark.parametrize("name", ["train.jsonl", "train.parquet"])
def test_a_dataset_of_the_hub_is_streamed_until_it_is_enough(run_script, tmp_path, name):
    """A folder `owner/name` stands for the hub, as it does for `datasets`."""
    folder = tmp_path / "owner/name"
    folder.mkdir(parents=True)
    rows = [{"content": f"a{k}", "id": k, "spans": [span(0, 1, name="A")]} for k in range(500)]
    write(rows, folder / name)
    options = ["--text_dataset", "owner/name", "--text_column", "content", "--language", "es", "--output_dir", "out"]
    run_script("import_articles.py", *options, "--max_articles", 3, cwd=tmp_path)
    found = load_from_disk(tmp_path / "out")
    assert found["text"][:] == ["a0", "a1", "a2"] and found["title"][2] == "name: row 3"
    assert found[0]["anchors"] == [span(0, 1, title=None, wikidata_id=None, name="A")]
    assert manifest(tmp_path)["inputs"][0]["name"] == "name"
    for wrong, message in (("--text_split=test", "owner/name: cannot be read as a dataset of the hub"),
                           ("--text_column=words", "owner/name: expected a column 'words', found")):  # fmt: skip
        finished = run_script("import_articles.py", *options, wrong, "--overwrite", cwd=tmp_path, check=False)
        assert finished.returncode == 1 and message in finished.stderr.splitlines()[-1]


def test_a_dataset_that_the_hub_does_not_have_is_one_line(tmp_path):
    result = run_here(
        "import_articles.py", "--text_dataset", "no/such", "--language", "es", "--output_dir", tmp_path / "o"
    )
    last = result.stderr.splitlines()[-1]
    assert result.exit_code == 1 and "error: no/such: cannot be read as a dataset of the hub (" in last
    assert not (tmp_path / "o").exists()


def test_an_import_that_is_complete_is_not_made_again(tmp_path):
    rows = [{"text": "a"}]
    imported(rows, tmp_path)
    assert run_import(rows, tmp_path).stdout == f"complete already: {tmp_path / 'out'}\n"
    assert "complete already" not in run_import(rows, tmp_path, "--drop_bad_spans").stdout


def test_an_article_keeps_the_name_of_its_file_and_not_its_folder(tmp_path):
    (row,) = imported([{"text": "a", "title": ""}], tmp_path)
    assert row["title"] == "texts.jsonl:1" and Path(row["title"]).name == row["title"]


def test_the_line_that_the_documents_show_is_read(tmp_path):
    (line,) = re.findall(r"```json\n(.*?)\n```", (ROOT / "docs/corpus.md").read_text("utf-8"), re.DOTALL)
    (tmp_path / "i.tsv").write_text("火\tQ3196\n", "utf-8")
    (row,) = imported([json.loads(line)], tmp_path, "--wikidata_id_file", tmp_path / "i.tsv", language="ja")
    assert [row["text"][anchor["start"] : anchor["end"]] for anchor in row["anchors"]] == ["火", "水", "空気"]
    assert [anchor["wikidata_id"] or anchor["name"] for anchor in row["anchors"]] == ["Q3196", "Q283", "air"]
