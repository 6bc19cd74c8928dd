"""The statistics: equal to a plain count of the rows, by the rule of the build, in text and in JSON."""

import json
import shutil
from collections import Counter

import pytest
from datasets import Dataset, Features, concatenate_datasets, load_from_disk

from leia.base.datasets import training_schema
from leia.base.errors import InputError
from leia.base.step import read_manifest
from leia.data.names import PivotTitles
from leia.reports.statistics import dataset_statistics, link_statistics, most_inserted_names


def small_dataset() -> Dataset:
    rows = [
        {"input_ids": [1, 2, 3, 4], "starts": [0, 2], "ends": [1, 4], "names": [[7, 8], [9]]},
        {"input_ids": [], "starts": [], "ends": [], "names": []},
        {"input_ids": [5] * 9, "starts": [0, 3, 8], "ends": [2, 4, 9], "names": [[9], [], [7, 8]]},
        {"input_ids": [6], "starts": [0], "ends": [1], "names": [[9]]},
    ]
    new_names = {
        "starts": "entity_start_positions",
        "ends": "entity_end_positions",
        "names": "alternative_entity_input_ids",
    }
    return Dataset.from_list([{"title": "", **row} for row in rows]).rename_columns(new_names)


def test_a_dataset_is_counted():
    statistics = dataset_statistics(small_dataset(), None)
    assert (statistics["articles"], statistics["tokens"], statistics["entities"]) == (4, 14, 6)
    assert statistics["name_tokens"] == 7 and statistics["anchors"] is None
    assert statistics["per_article"] == {"tokens": 3.5, "entities": 1.5, "name_tokens": 1.75}
    assert statistics["names_per_1000_tokens"] == pytest.approx(1000 * 6 / 14)
    length = statistics["article_length"]
    assert (length["min"], length["median"], length["max"], length["mean"]) == (0, 2.5, 9, 3.5)
    assert length["histogram"] == [[0, 0, 1], [1, 1, 1], [4, 7, 1], [8, 15, 1]]


def test_rows_in_several_chunks_are_counted_as_one_dataset():
    parts = concatenate_datasets([small_dataset(), small_dataset()])
    assert parts.data.table["input_ids"].num_chunks == 2
    one, two = dataset_statistics(small_dataset(), None), dataset_statistics(parts, None)
    assert two["tokens"] == 2 * one["tokens"] and two["article_length"]["median"] == one["article_length"]["median"]
    assert most_inserted_names(parts) == [([9], 6), ([7, 8], 4), ([], 2)]


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("typed", [True, False])
def test_a_dataset_without_entities_is_counted(rows, typed):
    columns = small_dataset().column_names
    empty = Dataset.from_dict({"title": [""]} | {name: [[]] for name in columns if name != "title"})
    if typed:
        empty = empty.cast(Features.from_arrow_schema(training_schema(2000)))
    empty = empty.select(range(rows)).flatten_indices()
    statistics = dataset_statistics(empty, None)
    assert (statistics["articles"], statistics["tokens"], statistics["entities"]) == (rows, 0, 0)
    assert most_inserted_names(empty) == []


@pytest.mark.parametrize("language", ["es", "ja"])
def test_the_sample_is_counted_as_a_plain_loop_counts_it(sample_corpus, run_script, tmp_path, language):
    wiki = sample_corpus.wikis[language]
    options = ["--wikipedia_dataset_dir", wiki.dataset]
    options += ["--model_name", sample_corpus.tiny_model] if language == "es" else []
    shown = run_script("compute_dataset_stats.py", *options, "--json", tmp_path / "stats.json").stdout
    statistics = json.loads((tmp_path / "stats.json").read_text(encoding="utf-8"))
    rows = list(load_from_disk(str(wiki.dataset)))
    names = [tuple(name) for row in rows for name in row["alternative_entity_input_ids"]]
    assert statistics["tokens"] == sum(len(row["input_ids"]) for row in rows)
    assert statistics["name_tokens"] == sum(map(len, names)) > 0
    assert statistics["entities"] == len(names) == statistics["anchors"]["kept"]
    if language == "es":
        assert [count for _, count in statistics["top_names"]] == [count for _, count in Counter(names).most_common(30)]
        assert statistics["top_names"][0][0] == "Europe", "names are text without a space around them"
    assert f"{statistics['tokens']:,}" in shown


@pytest.mark.parametrize("language", ["es", "ja"])
def test_the_funnel_of_links_agrees_with_the_tallies_of_both_steps(sample_corpus, run_script, tmp_path, language):
    wiki = sample_corpus.wikis[language]
    options = ["--preprocessed_dataset_dir", wiki.preprocessed, "--wikidata_id_file", sample_corpus.pivot_ids]
    shown = run_script("compute_link_stats.py", *options, "--json", tmp_path / "links.json").stdout
    statistics = json.loads((tmp_path / "links.json").read_text(encoding="utf-8"))
    preprocessing, build = read_manifest(wiki.preprocessed)["tally"], read_manifest(wiki.dataset)["tally"]
    assert statistics["language"] == language
    assert statistics["links"] == preprocessing["links"]
    assert statistics["anchors"]["read"] == build["anchors"]["read"] == preprocessing["links"]["kept"]
    of_the_build = build["anchors"]["dropped"]
    boundary = sum(count for reason, count in of_the_build.items() if "boundary" in reason)
    assert statistics["anchors"]["dropped"] == {
        reason: count for reason, count in of_the_build.items() if "boundary" not in reason
    }
    assert statistics["anchors"]["kept"] == build["anchors"]["kept"] + boundary
    assert len(statistics["anchors"]["dropped"]) >= 3, "the sample holds links of these kinds"
    for reason in (*statistics["links"]["dropped"], *statistics["anchors"]["dropped"]):
        assert f"dropped: {reason}" in shown


def test_links_of_a_dataset_without_a_manifest_are_counted_from_its_anchors(sample_corpus, run_script, tmp_path):
    shutil.copytree(sample_corpus.wikis["ja"].preprocessed, tmp_path / "published")
    (tmp_path / "published/manifest.json").unlink()
    options = ["--preprocessed_dataset_dir", tmp_path / "published", "--wikidata_id_file", sample_corpus.pivot_ids]
    shown = run_script("compute_link_stats.py", *options).stdout
    assert "no manifest.json" in shown and "section link" not in shown and "100.0%" in shown


def test_links_that_share_a_name_and_links_without_an_id_are_counted():
    anchors = [{"start": 0, "end": 1, "title": "", "wikidata_id": qid} for qid in ("Q1", "Q2", "Q1", None, "Q3", "Q4")]
    dataset = Dataset.from_list([{"title": "", "language": "ja", "text": "a", "anchors": anchors}])
    titles = PivotTitles({"Q1": "Mercury (planet)", "Q2": "Mercury (element)", "Q3": "List of ships"})
    statistics = link_statistics(dataset, None, titles)
    assert statistics["top_names"] == [["Mercury", 3]] and statistics["distinct_names"] == 1
    assert statistics["anchors"] == {
        "read": 6,
        "kept": 3,
        "dropped": {"no Wikidata id": 1, "no title in the pivot language": 1, "title of a list": 1},
    }


def test_a_name_that_a_link_has_itself_is_counted():
    anchors = [
        {"start": 0, "end": 1, "title": None, "wikidata_id": qid, "name": name}
        for qid, name in (("Q1", None), (None, "Fire"), (None, None), (None, "Fire"))
    ]
    dataset = Dataset.from_list([{"title": "", "language": "ja", "text": "a", "anchors": anchors}])
    statistics = link_statistics(dataset, None, PivotTitles({"Q1": "Water"}))
    assert statistics["top_names"] == [["Fire", 2], ["Water", 1]]
    assert statistics["anchors"]["dropped"] == {"no Wikidata id": 1}


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_broken_manifest_is_named(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=str(tmp_path / "manifest.json")):
        read_manifest(tmp_path)
