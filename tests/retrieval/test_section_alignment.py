"""The alignment of sections: its rule on small tables, its properties on all that hypothesis thinks of, the sample."""

import json
import shutil
from math import log
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import run_here
from datasets import load_from_disk
from hypothesis import given
from hypothesis import strategies as st

from leia.base.datasets import save_dataset
from leia.base.errors import InputError
from leia.base.step import Counts, Step
from leia.retrieval.aligned_pairs import align_sections, held_out_pairs, open_aligner
from leia.retrieval.section_alignment import ALIGNED_SCHEMA, AlignmentSettings, SectionAligner
from leia.retrieval.section_columns import SectionColumns, link_weights, read_columns
from leia.retrieval.sections import SECTIONS_SCHEMA, read_sections

ROOT = Path(__file__).parents[2]
ANY = AlignmentSettings(min_shared_ids=1, min_similarity=0)

# {QID of an article: {number of a section: QIDs that it links to}}
Wiki = dict[int, dict[int, list[int]]]


def columns(language: str, wiki: Wiki) -> SectionColumns:
    rows = [(article, number, links) for article, sections in wiki.items() for number, links in sections.items()]
    lengths = [len(links) for _, _, links in rows]
    return SectionColumns(
        language,
        np.array([article for article, _, _ in rows], np.int64),
        np.array([number for _, number, _ in rows], np.int64),
        np.cumsum([0, *lengths]),
        np.array([qid for _, _, links in rows for qid in links], np.int64),
    )


def align(source: Wiki, target: Wiki, settings: AlignmentSettings = ANY, languages=("aa", "bb")) -> list[dict]:
    aligner = SectionAligner(*map(columns, languages, (source, target)), settings)
    return [row for article in aligner.articles.tolist() for row in aligner.pairs_of(article).rows]


def ends(rows: list[dict]) -> list[tuple[str, str]]:
    return [(row["source"].split("-", 1)[1], row["target"].split("-", 1)[1]) for row in rows]


@pytest.mark.parametrize(
    ("source", "target", "settings", "expected"),
    [
        pytest.param({0: [1, 2]}, {0: [1, 2]}, {}, [(0, 0)], id="the same links"),
        pytest.param({0: [1, 2]}, {0: [3, 4]}, {}, [], id="no shared link"),
        pytest.param({0: []}, {0: []}, {}, [], id="no links"),
        pytest.param({0: [1, 2], 1: [3, 4]}, {0: [3, 4], 1: [1, 2]}, {}, [(0, 1), (1, 0)], id="crosswise"),
        pytest.param({0: [1, 2], 1: [1, 2, 3]}, {0: [1, 2, 3]}, {}, [(1, 0)], id="the best one alone"),
        pytest.param({0: [1, 3], 1: [2, 4]}, {0: [1]}, {"min_shared_ids": 2}, [], id="one shared of two asked for"),
        pytest.param({0: [1, 3]}, {0: [1, 3]}, {"min_shared_ids": 2}, [(0, 0)], id="two shared"),
        pytest.param({0: [1, 3]}, {0: [1, 3]}, {"min_shared_ids": 3}, [], id="two shared of three asked for"),
        pytest.param({0: [1, 3]}, {0: [1, 3, 4, 5]}, {"min_similarity": 0.51}, [], id="not similar"),
        pytest.param({0: [1, 3]}, {0: [1, 3]}, {"min_similarity": 1}, [(0, 0)], id="as similar as can be"),
        pytest.param({0: [1], 4: [1]}, {0: [2], 3: [1], 4: [9]}, {}, [(4, 3)], id="a tie: the nearer place"),
        pytest.param({0: [1], 4: [1]}, {0: [2], 1: [1], 4: [9]}, {}, [(0, 1)], id="the same, nearer to the start"),
        pytest.param({0: [1], 4: [1]}, {0: [2], 2: [1], 4: [9]}, {}, [(0, 2)], id="a tie of places: the earlier"),
        pytest.param({0: [1], 1: [1], 2: [8]}, {1: [1], 10: [9]}, {}, [(0, 1)], id="places, not numbers"),
        pytest.param(
            {0: [1, 2, 3], 1: [1]},
            {0: [2, 3], 1: [1, 4]},
            {"min_shared_ids": 2},
            [(0, 0)],
            id="best of all, then asked for",
        ),
    ],
)
def test_which_sections_are_aligned(source, target, settings, expected) -> None:
    found = align({7: source}, {7: target}, AlignmentSettings(**{"min_shared_ids": 1, "min_similarity": 0} | settings))
    assert ends(found) == [(f"Q7-{one}", f"Q7-{other}") for one, other in expected]


def test_a_link_weighs_by_the_language_in_which_more_sections_have_it() -> None:
    source, target = columns("aa", {1: {0: [5, 6], 1: [5]}}), columns("bb", {1: {0: [5, 7], 1: [6], 2: [6], 3: [6]}})
    qids, weights = link_weights(source, target)
    expected = {5: log(1 + 2 / 2), 6: log(1 + 4 / 3), 7: log(1 + 4 / 1)}
    assert dict(zip(qids.tolist(), weights.tolist(), strict=True)) == pytest.approx(expected, abs=1e-15)
    (row,) = align({1: {0: [5, 6]}}, {1: {0: [5, 7]}})
    assert row["similarity"] == pytest.approx(1 / 3) and row["shared_ids"] == ["Q5"]


def test_shared_ids_are_in_the_order_of_their_numbers() -> None:
    (row,) = align({1: {0: [16, 8, 100, 1]}}, {1: {0: [1, 16, 8, 100]}})
    assert row["shared_ids"] == ["Q1", "Q8", "Q16", "Q100"]


def test_hard_negatives_are_the_next_best_of_the_other_article() -> None:
    source = {7: {0: [1, 2, 3, 4]}}
    target = {7: {0: [9], 1: [1], 2: [1, 2, 3], 3: [1, 2], 4: [8]}}
    (row,) = align(source, target)
    assert row["target"] == "bb-Q7-2" and row["target_negatives"] == []
    assert row["source_negatives"] == ["bb-Q7-3", "bb-Q7-1", "bb-Q7-0"]
    (row,) = align(source, target, AlignmentSettings(max_negatives=1))
    assert row["source_negatives"] == ["bb-Q7-3"]
    (row,) = align(target, source)
    assert row["source_negatives"] == [] and row["target_negatives"] == ["aa-Q7-3", "aa-Q7-1", "aa-Q7-0"]


SECTION = st.lists(st.integers(1, 8), max_size=5, unique=True)
ARTICLE = st.dictionaries(st.integers(0, 9), SECTION, min_size=1, max_size=6).map(lambda one: dict(sorted(one.items())))
WIKI = st.dictionaries(st.integers(1, 4), ARTICLE, min_size=1, max_size=3)
SETTINGS = st.builds(
    AlignmentSettings, min_shared_ids=st.integers(1, 2), min_similarity=st.sampled_from([0.0, 0.1, 0.5])
)


def common(source: Wiki, target: Wiki) -> tuple[Wiki, Wiki]:
    return source, target if source.keys() & target.keys() else target | {next(iter(source)): {0: [1]}}


@given(WIKI, WIKI, SETTINGS)
def test_it_is_one_to_one_and_the_languages_may_be_exchanged(source, target, settings) -> None:
    source, target = common(source, target)
    rows, reverse = align(source, target, settings), align(target, source, settings, ("bb", "aa"))
    for end in ("source", "target"):
        assert len({row[end] for row in rows}) == len(rows)
    names = {"source": "target", "target": "source"} | {"source_negatives": "target_negatives"}
    names["target_negatives"] = "source_negatives"
    exchanged = [{names.get(name, name): value for name, value in row.items()} for row in reverse]
    assert sorted(exchanged, key=lambda row: row["source"]) == sorted(rows, key=lambda row: row["source"])


@given(WIKI, WIKI, SETTINGS, st.randoms(use_true_random=False))
def test_the_order_of_articles_and_links_does_not_matter(source, target, settings, generator) -> None:
    def shuffled(wiki: Wiki) -> Wiki:
        articles = generator.sample(list(wiki), len(wiki))
        return {
            article: {number: generator.sample(links, len(links)) for number, links in wiki[article].items()}
            for article in articles
        }

    source, target = common(source, target)
    rows, other = align(source, target, settings), align(shuffled(source), shuffled(target), settings)
    assert sorted(map(str, rows)) == sorted(map(str, other))


@given(WIKI, SETTINGS)
def test_a_wiki_is_aligned_with_itself(wiki, settings) -> None:
    rows = align(wiki, wiki, settings)
    enough = [
        (f"Q{article}-{number}",) * 2
        for article, sections in wiki.items()
        for number, links in sections.items()
        if len(links) >= settings.min_shared_ids
    ]
    assert ends(rows) == enough and all(row["similarity"] == 1 for row in rows)


def test_pairs_are_in_the_order_of_the_source() -> None:
    wiki = {30: {0: [1], 2: [2]}, 4: {0: [3]}, 100: {1: [1]}}
    assert [one for one, _ in ends(align(wiki, dict(reversed(wiki.items()))))] == ["Q30-0", "Q30-2", "Q4-0", "Q100-1"]


def dataset(folder: Path, language: str, wiki: Wiki) -> Path:
    """A dataset of sections, in several batches."""
    batches = [
        pa.RecordBatch.from_pylist(
            [
                {
                    "id": f"{language}-Q{article}-{number}",
                    "wikidata_id": f"Q{article}",
                    "title": f"T{article}",
                    "heading": "",
                    "text": f"{language} sier noe om {article} og {number}. Mer av det samme i {article}.",
                    "link_ids": [f"Q{qid}" for qid in links],
                }
                for number, links in sections.items()
            ],
            schema=SECTIONS_SCHEMA,
        )
        for article, sections in wiki.items()
    ]
    (folder / language).mkdir(parents=True)
    save_dataset(folder / language, SECTIONS_SCHEMA, batches)
    return folder / language


LARGE: Wiki = {article: {number: [article, 1000 + number] for number in range(3)} for article in range(1, 41)}


def stream(source: Path, target: Path, **settings) -> tuple[list[dict], Step]:
    step = Step()
    batches = align_sections(source, target, AlignmentSettings(**settings), step)
    return pa.Table.from_batches(batches, ALIGNED_SCHEMA).to_pylist(), step


def test_columns_are_read_back(tmp_path) -> None:
    wiki = {5: {0: [], 3: [9, 7]}, 2: {1: [1]}}
    read, expected = read_columns(dataset(tmp_path, "zh-min-nan", wiki)), columns("zh-min-nan", wiki)
    assert read.language == expected.language and read.id_of(1) == "zh-min-nan-Q5-3"
    for name in ("articles", "numbers", "bounds", "links"):
        assert getattr(read, name).tolist() == getattr(expected, name).tolist(), name


def test_a_sample_keeps_the_order_and_is_drawn_by_the_seed(tmp_path) -> None:
    folders = dataset(tmp_path, "aa", LARGE), dataset(tmp_path, "bb", LARGE)
    rows, _ = stream(*folders)
    some, step = stream(*folders, max_pairs=20)
    assert len(rows) == 120 and len(some) == 20 and [row for row in rows if row in some] == some
    assert stream(*folders, max_pairs=20)[0] == some != stream(*folders, max_pairs=20, seed=1)[0]
    tally = step.count("aligned sections").as_dict()
    assert tally == {"read": 120, "kept": 20, "dropped": {"not drawn into the sample (--max_pairs)": 100}}
    assert stream(*folders, max_pairs=500)[0] == rows


def test_articles_that_are_held_out_are_in_no_pair(tmp_path) -> None:
    folders = dataset(tmp_path, "aa", LARGE), dataset(tmp_path, "bb", dict(reversed(LARGE.items())))
    settings = AlignmentSettings(held_out=10)
    held_out = held_out_pairs(open_aligner(*folders, settings))
    assert len(held_out) == 12, "all pairs of 4 articles"
    rows, step = stream(*folders, held_out=10)
    assert len(rows) == 108 and step.count("aligned sections").dropped == {"held out for the evaluation": 12}
    written = {section for row in rows for name in ("source_negatives", "target_negatives") for section in row[name]}
    written |= {row[end] for row in rows for end in ("source", "target")}
    assert not {int(one.split("-")[1][1:]) for one in written} & {pair["article"] for pair in held_out}
    reverse = held_out_pairs(open_aligner(*reversed(folders), settings))
    assert {pair["article"] for pair in reverse} == {pair["article"] for pair in held_out}
    other = held_out_pairs(open_aligner(*folders, AlignmentSettings(held_out=10, seed=1)))
    assert {pair["article"] for pair in other} != {pair["article"] for pair in held_out}


def test_each_source_section_is_counted_and_the_yield_is_told(tmp_path) -> None:
    source = {1: {0: [1, 2], 1: [3, 4], 2: [9], 3: [1, 2, 3, 5], 4: [6, 7, 8, 10, 11, 12]}, 2: {0: [1]}}
    target = {1: {0: [1, 2], 1: [3], 2: [20, 21, 22, 23, 24, 6, 7]}, 3: {0: [5]}}
    rows, step = stream(dataset(tmp_path, "aa", source), dataset(tmp_path, "bb", target), min_similarity=0.4)
    assert ends(rows) == [("Q1-0", "Q1-0")]
    reasons = {
        "its article is in one of the languages only": 1,
        "shares no Wikidata id with a section of the other article": 1,
        "its most similar section is more similar to another one": 1,
        "too few shared Wikidata ids": 1,
        "not similar enough": 1,
    }
    assert step.count("aligned sections").as_dict() == {"read": 6, "kept": 1, "dropped": dict(sorted(reasons.items()))}
    assert step.notes[:2] == [
        "aligned: 1 of 5 sections of aa (20.0%) and 1 of 3 sections of bb (33.3%), in the 1 articles that both have",
        "similarity of these pairs (median 1.00):",
    ]
    assert len(step.notes) == 12 and step.notes[-1] == f"  0.9 to 1.0          1 {'#' * 40}"
    assert step.facts["yield"] == {"articles": 1, "sections": {"source": 5, "target": 3}, "aligned": 1}
    assert step.facts["similarity"] == {"median": 1.0, "histogram": [*[0] * 9, 1]}


@pytest.mark.parametrize(
    ("source", "target", "settings", "message"),
    [
        (
            {1: {0: [1]}},
            {2: {0: [1]}},
            {},
            "aa and bb: expected articles about the same, found 1 and 1 articles and no",
        ),
        ({1: {0: [1]}}, {1: {0: [1]}}, {}, "(1 too few shared Wikidata ids); lower --min_shared_ids"),
        ({1: {0: [1, 2]}}, {1: {0: [1, 2, 3]}}, {"min_similarity": 0.9}, "similar enough); lower --min_similarity"),
        ({1: {0: [1, 2]}}, {1: {0: [3]}}, {}, "no option makes them more; take larger dumps"),
        (
            {1: {0: [1, 2]}},
            {1: {0: [1, 2]}},
            {"held_out": 1},
            "(1 held out for the evaluation); take a smaller --held_out",
        ),
        ({1: {0: [1, 2]}}, {1: {0: [1, 2]}}, {"held_out": 2}, "expected 2 pairs for --held_out, found 1 aligned ones"),
    ],
)
def test_nothing_to_align_is_one_line(tmp_path, source, target, settings, message) -> None:
    with pytest.raises(InputError) as error:
        stream(dataset(tmp_path, "aa", source), dataset(tmp_path, "bb", target), **settings)
    assert message in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("column", "value"),
    [("id", "a"), ("id", "aa-Q1-x"), ("wikidata_id", "Qx"), ("wikidata_id", None), ("link_ids", ["Q"])],
)
def test_a_dataset_of_other_ids_is_one_line(tmp_path, column, value) -> None:
    row = {"id": "aa-Q1-0", "wikidata_id": "Q1", "title": "", "heading": "", "text": "", "link_ids": []} | {
        column: value
    }
    save_dataset(tmp_path, SECTIONS_SCHEMA, [pa.RecordBatch.from_pylist([row], schema=SECTIONS_SCHEMA)])
    with pytest.raises(InputError, match=r"expected ids like es-Q17-0 and Q17, found others .*build_aligned_sections"):
        read_columns(tmp_path)


@pytest.fixture(scope="session")
def sample(tmp_path_factory) -> dict[str, tuple]:
    """Of each language the files of the sample that the script reads: dump, redirects, ids."""
    root, made = tmp_path_factory.mktemp("sample"), {}
    given = ["--dump_file", ROOT / "tests/sample/wikidata-sample.json", "--output_dir", root, "--languages", "es,ja"]
    assert run_here("extract_wikidata_ids.py", *given).exit_code == 0
    for language in ("es", "ja"):
        dump, redirects = ROOT / f"tests/sample/{language}wiki-sample-pages-articles.xml", root / f"{language}.tsv"
        given = ["--dump_file", dump, "--output_file", redirects]
        assert run_here("extract_wikipedia_redirects.py", *given).exit_code == 0
        made[language] = dump, redirects, root / f"{language}-wikidata-ids.tsv"
    return made


@pytest.mark.parametrize(
    ("filtered", "settings", "pairs"),
    [(False, {}, 78), (False, {"min_shared_ids": 1, "min_similarity": 0}, 82), (True, {}, 76)],
)
def test_the_sections_of_the_sample(sample, tmp_path, filtered, settings, pairs) -> None:
    headings = {}
    for language, (dump, redirects, ids) in sample.items():
        batches = list(read_sections([dump], redirects, ids, 1, Counts(), min_sentences=2 if filtered else 0))
        (tmp_path / language).mkdir()
        save_dataset(tmp_path / language, SECTIONS_SCHEMA, batches)
        headings |= {row["id"]: row["heading"] for batch in batches for row in batch.to_pylist()}
    rows, _ = stream(tmp_path / "es", tmp_path / "ja", **settings)
    found = {(headings[row["source"]], headings[row["target"]]) for row in rows}
    assert len(rows) == pairs
    assert {("Historia", "歴史"), ("", "")} <= found
    assert not {(one, other) for one, other in found if (one == "") != (other == "")}, "a lead with a lead"


def build(sample: dict, out: Path, *options: object, source: str = "es", target: str = "ja"):
    given = ["--output_dir", out, "--num_workers", 1]
    for side, language in (("source", source), ("target", target)):
        for name, path in zip(("dump_file", "redirect_file", "wikidata_id_file"), sample[language], strict=True):
            given += [f"--{side}_{name}", path]
    return run_here("build_aligned_sections.py", *given, *options)


def test_the_script_makes_each_output_once(sample, tmp_path) -> None:
    first = build(sample, tmp_path, "--held_out", 8)
    assert first.exit_code == 0, first.stderr
    places = [tmp_path / name for name in ("sections/es", "sections/ja", "aligned/es-ja", "held_out/es-ja")]
    assert [line.removeprefix("written: ") for line in first.stdout.splitlines() if "written" in line] == [
        *map(str, places)
    ]
    assert len(load_from_disk(str(places[2]))) == 67 and "76 of 82 sections of es (92.7%)" in first.stdout
    held_out = {line.split("-")[1] for line in (places[3] / "qrels.txt").read_text("utf-8").splitlines()}
    trained = {row["source"].split("-")[1] for row in load_from_disk(str(places[2]))}
    assert held_out and trained and not held_out & trained
    manifests = [json.loads((place / "manifest.json").read_text(encoding="utf-8")) for place in places]
    assert [one["step"] for one in manifests] == ["extract_sections"] * 2 + ["align_sections", "hold_out_sections"]
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}

    second = build(sample, tmp_path, "--held_out", 8)
    assert second.stdout.splitlines() == [f"complete already: {place}" for place in places]
    again = build(sample, tmp_path, "--held_out", 8, "--overwrite", "--num_workers", 2)
    assert again.stdout == first.stdout
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

    refused = build(sample, tmp_path)
    assert (
        refused.exit_code == 2 and "holds pairs that an earlier call set aside; give --held_out and" in refused.stderr
    )
    back = {"source": "ja", "target": "es"}  # whose pairs would hold those that are held out
    assert build(sample, tmp_path, **back).stderr == refused.stderr
    shutil.rmtree(places[3])
    turned = build(sample, tmp_path, **back)
    assert turned.stdout.count("complete already: ") == 2
    assert len(load_from_disk(str(tmp_path / "aligned/ja-es"))) == 76


def test_wrong_use_of_the_script_is_one_line(sample, tmp_path) -> None:
    same = build(sample, tmp_path, target="es")
    assert same.exit_code == 2 and len(same.stderr.splitlines()) == 1
    assert "expected dumps of two languages, found 'es' in" in same.stderr and not list(tmp_path.iterdir())
    swapped = build(sample | {"ja": (sample["ja"][0], *sample["es"][1:])}, tmp_path)
    assert swapped.exit_code == 1 and "is named as the ids of 'es'; expected those of 'ja'" in swapped.stderr
