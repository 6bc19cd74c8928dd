"""Entities, rows and titles of every odd kind through the whole corpus pipeline: what cannot be used is counted by its
reason, and nothing else is lost."""

import json
import urllib.parse

import pytest
from conftest import run_here
from datasets import load_from_disk
from transformers import AutoTokenizer

ODD_TITLES = [
    *(
        "\ufeffBOM in front of the file",
        '"Heroes" (Album)',
        "L'Aquila'",
        "C:\\temp",
        "A&B",
        "100 %",
        "%E7",
        "`$(rm)`",
        "A|B",
        "{{x}}",
        "A\x0bB",
    ),
    *("\u200eLTR\u200e", "\u200fRTL\u200f", "\u061cALM", "عربي\u202e", "\u0378", "\U000e0080", "\ufffe", "\uffff"),
    *("A\x85B", "A\u2028B", "\u00a0", "e\u0301", "👩\u200d🚒", "\x1b[31mred", "Ǆ", "𐐀", "ß", "\x00"),
]
LOST = ["A\tB", "A\nB", "\ud800"]


def item(number, **titles):
    return {"type": "item", "id": f"Q{number}", "sitelinks": {site: {"title": title} for site, title in titles.items()}}


def wikidata(titles):
    """The lines of a JSON dump with an item for each title, its English one "Name K", and much else between them."""
    others = [
        {"type": "item", "id": "Q900", "sitelinks": {}},
        {"type": "item", "id": "Q901", "sitelinks": []},
        {"type": "item", "id": "Q902"},
        item(903, dewiki="Nur deutsch"),
        {"type": "property", "id": "P31", "sitelinks": item(904, jawiki="Property")["sitelinks"]},
        {"type": "lexeme", "id": "L1"},
    ]
    items = [item(number, jawiki=title, enwiki=f"Name {number}") for number, title in enumerate(titles, 1)]
    return [json.dumps(entity) for entity in [*items[::2], *others, *items[1::2]]]


def extract(folder, lines, *options):
    folder.mkdir()
    (folder / "all.json").write_text("[\n" + ",\n".join(lines) + "\n]\n", encoding="utf-8")
    given = ["--dump_file", folder / "all.json", "--output_dir", folder, "--languages", "en,ja"]
    return run_here("extract_wikidata_ids.py", *given, *options)


def preprocess_and_build(folder, titles, model):
    """One article that links to `titles`, through both steps; the manifests of the two."""
    links = ", ".join(f'<a href="{urllib.parse.quote(title)}">link {k}</a>' for k, title in enumerate(titles, 1))
    text = f'<doc id="5" url="https://ja.wikipedia.org/wiki?curid=5" title="T">\nT\n\nText: {links}.\n\n</doc>\n'
    (folder / "text").mkdir()
    (folder / "text" / "wiki_00").write_text(text, encoding="utf-8")
    (folder / "r.tsv").write_text("Not linked\tA\n")
    given = ["--wikiextractor_output_dir", folder / "text", "--redirect_file", folder / "r.tsv", "--num_workers", 1]
    given += ["--wikidata_id_file", folder / "ja-wikidata-ids.tsv", "--output_dir", folder / "preprocessed"]
    assert run_here("preprocess_wikipedia.py", *given).exit_code == 0
    given = ["--preprocessed_dataset_dir", folder / "preprocessed", "--model_name", model, "--num_workers", 1]
    given += ["--wikidata_id_file", folder / "en-wikidata-ids.tsv", "--output_dir", folder / "dataset"]
    assert run_here("build_wikipedia_dataset.py", *given).exit_code == 0
    return [json.loads((folder / name / "manifest.json").read_bytes()) for name in ("preprocessed", "dataset")]


def names_in(folder, model):
    tokenizer = AutoTokenizer.from_pretrained(model)
    return [
        tokenizer.decode(ids).strip() for ids in load_from_disk(folder / "dataset")[0]["alternative_entity_input_ids"]
    ]


def by_reason(dropped, word):
    return sum(count for reason, count in dropped.items() if word in reason)


def test_odd_titles_come_through_and_each_drop_has_its_reason(sample_corpus, tmp_path):
    folder = tmp_path / "odd"
    assert extract(folder, wikidata([*ODD_TITLES, *LOST])).exit_code == 0
    tally = json.loads((folder / "wikidata-ids.manifest.json").read_bytes())["tally"]
    dropped = tally["entities"]["dropped"]
    counts = [by_reason(dropped, word) for word in ("lexeme", "no sitelinks", "languages asked for")]
    assert counts == [2, 3, 1] and sum(dropped.values()) == 6
    assert tally["entities"]["kept"] == tally["enwiki titles"]["kept"] == len(ODD_TITLES) + len(LOST)
    assert tally["jawiki titles"]["kept"] == len(ODD_TITLES)
    assert [by_reason(tally["jawiki titles"]["dropped"], word) for word in ("tab", "Unicode")] == [2, 1]

    preprocess_and_build(folder, ODD_TITLES, sample_corpus.tiny_model)
    (article,) = load_from_disk(folder / "preprocessed")
    numbers = range(1, len(ODD_TITLES) + 1)
    assert [anchor["wikidata_id"] for anchor in article["anchors"]] == [f"Q{k}" for k in numbers]
    spans = [article["text"][anchor["start"] : anchor["end"]] for anchor in article["anchors"]]
    assert spans == [f"link {k}" for k in numbers]
    assert names_in(folder, sample_corpus.tiny_model) == [f"Name {k}" for k in numbers]


def test_of_rows_that_stand_twice_the_last_counts_and_the_others_are_counted(sample_corpus, tmp_path):
    folder = tmp_path / "twice"
    entities = [
        item(1, jawiki="a", enwiki="First"),
        item(2, jawiki="B", enwiki="Name 2"),
        item(3, jawiki="A", enwiki="Name 3"),  # the title of Q1, once its first letter is upper-cased
        item(2, jawiki="B", enwiki="Name two"),
    ]
    assert extract(folder, map(json.dumps, entities)).exit_code == 0
    assert (folder / "ja-wikidata-ids.tsv").read_text() == "a\tQ1\nB\tQ2\nA\tQ3\nB\tQ2\n"
    preprocessed, built = preprocess_and_build(folder, ["A", "B"], sample_corpus.tiny_model)
    assert preprocessed["tally"]["Wikidata ids"] == {
        "read": 4,
        "kept": 2,
        "dropped": {"a later row has the same title": 2},
    }
    assert built["tally"]["pivot titles"] == {
        "read": 3,
        "kept": 2,
        "dropped": {"a later row has the same Wikidata id": 1},
    }
    assert names_in(folder, sample_corpus.tiny_model) == ["Name 3", "Name two"]


@pytest.mark.parametrize(
    "broken", ['{"type":"item",', "]]", "\ufffd", "x" * 10_000, "[" * 100_000, '{"id":"Q1"} {"id":"Q2"}']
)
def test_broken_lines_stop_the_step_unless_so_many_are_allowed(tmp_path, broken):
    lines = wikidata(["A", "B", "C"])
    stopped = extract(tmp_path / "by default", [*lines[:2], broken, lines[2], broken, *lines[3:]])
    assert stopped.exit_code == 1 and "line 4: is not" in stopped.stderr.splitlines()[-1]
    assert [path.name for path in (tmp_path / "by default").iterdir()] == ["all.json"]
    stopped = extract(tmp_path / "one", [*lines[:2], broken, lines[2], broken, *lines[3:]], "--max_errors", 1)
    assert stopped.exit_code == 1 and "line 6: is not" in stopped.stderr.splitlines()[-1]
    passed = extract(tmp_path / "two", [*lines[:2], broken, lines[2], broken, *lines[3:]], "--max_errors", 2)
    assert passed.exit_code == 0 and "         2  dropped: line is not" in passed.stdout
    assert sorted((tmp_path / "two/ja-wikidata-ids.tsv").read_text().splitlines()) == ["A\tQ1", "B\tQ2", "C\tQ3"]


def test_the_real_dump_with_two_ids_that_are_none(shared, tmp_path):
    dump = shared / "data/wikidata/three-valid-two-invalid.json"
    given = ["--dump_file", dump, "--output_dir", tmp_path, "--languages", "en"]
    assert run_here("extract_wikidata_ids.py", *given).exit_code == 0
    tally = json.loads((tmp_path / "wikidata-ids.manifest.json").read_bytes())["tally"]["entities"]
    assert (tally["read"], tally["kept"]) == (5, 1)
    assert [by_reason(tally["dropped"], word) for word in ("property", "QID")] == [3, 1]
    assert (tmp_path / "en-wikidata-ids.tsv").read_text() == "Universe\tQ1\n"


def test_a_line_of_200_mb_is_a_line(request, run_script, tmp_path):
    size = 200_000_000 if request.config.getoption("--thorough") else 10_000_000
    lines = wikidata(["A", "B"])
    long = f'{{"type":"item","labels":"{"long" * (size // 4)}",' + lines[0].removeprefix('{"type": "item",')
    (tmp_path / "all.json").write_text("[\n" + ",\n".join([long, *lines[1:]]) + "\n]\n")
    run_script(
        "extract_wikidata_ids.py", "--dump_file", tmp_path / "all.json", "--output_dir", tmp_path, "--languages", "ja"
    )
    assert sorted((tmp_path / "ja-wikidata-ids.tsv").read_text().splitlines()) == ["A\tQ1", "B\tQ2"]
