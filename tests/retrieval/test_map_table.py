"""Mean average precision as tables: the published numbers, ours beside them, models of one's own, results.json."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from leia.base.errors import InputError, UsageError
from leia.retrieval.map_table import fill_map_table, read_results, results_table
from leia.tables.definition import MEAN, load_table
from leia.tables.intervals import Estimate, bootstrap_means, estimate, paired_gains, summarise_gains
from leia.tables.rendering import to_csv, to_latex, to_markdown

TABLE = Path(__file__).parents[2] / "configs/tables/clef.yaml"
ROWS = {
    "mbert": "mBERT",
    "qlm_20": "mBERT + QLM, epoch 20",
    "rr_20": "mBERT + RR, epoch 20",
    **{f"qlm_rr_{epoch}": f"mBERT + QLM+RR, epoch {epoch}" for epoch in (5, 10, 15, 20)},
    "qlm_masked_15": "mBERT + QLM, 15% masked, epoch 20",
    "qlm_masked_45": "mBERT + QLM, 45% masked, epoch 20",
    "qlm_document": "mBERT + QLM, document tokens masked, epoch 20",
    "qlm_mixed": "mBERT + QLM, query and document tokens masked, epoch 20",
    "long": "BertLong without pretraining",
    **{
        f"long_qlm_rr_{job}": f"BertLong + QLM+RR, job {job}, its epoch {epoch}"
        for job, epoch in ((2148591, 1), (2150176, 2), (2151242, 1), (2186740, 3), (2186742, 4))
    },
    "xlmr": "XLM-R base (cased)",
}


@pytest.fixture(scope="module")
def published(shared):
    return json.loads((shared / "expected/clir/published-results.json").read_text(encoding="utf-8"))


def test_every_number_of_the_table_is_the_published_one(published):
    table = load_table(TABLE)
    expected = {
        name: {f"{pair[:2]}-{pair[2:]}": Estimate(value) for pair, value in published["clef"][key]["map"].items()}
        for name, key in ROWS.items()
    }
    assert {row.name: row.authors["clef"] for row in table.rows} == expected
    sizes = published["clef_test_queries_per_document_language"]
    columns = table.parts[0].columns
    assert len(columns) == 12 and all(column.items == sizes[column.name[-2:]] for column in columns)
    assert table.baseline == "mbert" and all(row.training is None for row in table.rows)


def test_the_means_are_the_published_ones_and_none_is_of_11_columns(published):
    table = load_table(TABLE)
    cells = fill_map_table(table, {})
    for name, key in ROWS.items():
        mean, of_all = cells["clef", name, MEAN].authors, published["clef"][key]["pairs"] == 12
        assert (mean is not None) == of_all
        if of_all:
            assert mean.mean == pytest.approx(published["clef"][key]["mean"], abs=5.1e-5)
        else:
            assert f"{published['clef'][key]['mean']:.4f}" in table.doubt
    eleven = [value for pair, value in published["clef"]["mBERT"]["map"].items() if pair != "deen"]
    assert f"mBERT {np.mean(eleven):.4f}" in table.doubt
    markdown = to_markdown(table, cells)
    row = next(line for line in markdown.splitlines() if line.startswith("| + QLM + RR, 20 epochs"))
    assert row.startswith("| + QLM + RR, 20 epochs, authors | – | 0.573 |") and row.endswith("| 0.594 | – |")
    assert "no number below was measured here" in markdown and "Accuracy" not in markdown


def test_a_mean_that_a_table_gives_is_not_averaged_with_eleven_columns(tmp_path):
    path = tmp_path / "table.yaml"
    path.write_text(
        "{title: t, seeds: [1], baseline: a, parts: [{name: p, title: P, columns: {x: , y: }}],"
        " rows: [{name: a, label: A, run: a, authors: {p: {x: [0.5], mean: [0.9]}}}]}"
    )
    assert fill_map_table(load_table(path), {})["p", "a", MEAN].authors == Estimate(0.9)


def queries(number, start=0):
    return [f"C{place:03}" for place in range(start, start + number)]


@pytest.fixture(scope="module")
def measured():
    """mBERT with one seed on two columns, QLM + RR with three on the same, of as many queries as published."""
    rng = np.random.default_rng(0)
    results = {"mbert": {}, "qlm_rr_20": {}}
    for column, number in (("de-es", 156), ("en-de", 192)):
        level = rng.random(number)
        results["mbert"][column] = [dict(zip(queries(number), level.tolist(), strict=True))]
        results["qlm_rr_20"][column] = [
            dict(zip(queries(number), np.clip(level + rng.normal(0.05, 0.1, number), 0, 1).tolist(), strict=True))
            for _ in range(3)
        ]
    return results


def test_ours_stand_beside_the_published_numbers(measured):
    table = load_table(TABLE)
    cells = fill_map_table(table, measured)
    cell, baseline = cells["clef", "qlm_rr_20", "en-de"], cells["clef", "mbert", "en-de"]
    seeds = [float(np.mean(list(run.values()))) for run in measured["qlm_rr_20"]["en-de"]]
    assert cell.ours == estimate(seeds) and cell.seeds == 3 and cell.items == 192 and cell.metric == "MAP"
    assert cell.authors == Estimate(0.534) and cell.difference == pytest.approx(np.mean(seeds) - 0.534)
    assert cell.interval.low < cell.ours.mean < cell.interval.high
    over_seeds = {
        query: float(np.mean([run[query] for run in measured["qlm_rr_20"]["en-de"]])) for query in queries(192)
    }
    gain = summarise_gains(paired_gains(over_seeds, measured["mbert"]["en-de"][0]))
    assert cell.gain == gain and gain.low > 0 and gain.p_value < 0.001
    assert cell.gain.difference == pytest.approx(cell.ours.mean - baseline.ours.mean)
    assert baseline.gain is None and baseline.ours.half_width is None
    assert cells["clef", "qlm_rr_20", MEAN].ours is None, "two of twelve columns are no mean"

    markdown = to_markdown(table, cells)
    assert "\nMAP; ±: half width" in markdown and "the 95% bootstrap interval over the queries." in markdown
    assert (
        "| + QLM + RR, 20 epochs | – |" in markdown
        and f"| {cell.ours.mean:.3f} ±{cell.ours.half_width:.3f} |" in markdown
    )
    assert r"\textbf" not in to_latex(table, cells) and "MAP" in to_latex(table, cells)
    rows = list(csv.DictReader(io.StringIO(to_csv(table, cells))))
    row = next(row for row in rows if row["row"] == "qlm_rr_20" and row["column"] == "en-de")
    assert float(row["mean"]) == cell.ours.mean and row["items"] == "192" and row["metric"] == "MAP"
    assert float(row["gain_p"]) == gain.p_value and float(row["authors_mean"]) == 0.534


def test_fewer_queries_than_published_are_not_compared(measured):
    fewer = {"mbert": {"en-de": [dict(list(measured["mbert"]["en-de"][0].items())[:150])]}}
    table = load_table(TABLE)
    cells = fill_map_table(table, fewer)
    assert cells["clef", "mbert", "en-de"].difference is None
    assert "en-de 150 instead of 192, one item is worth 0.007." in to_markdown(table, cells)


def test_unknown_names_and_different_queries_are_one_line(measured):
    table = load_table(TABLE)
    run = measured["mbert"]["en-de"][0]
    some = dict(list(run.items())[:100])
    cases = [
        ({"bert": {}}, UsageError, "there is no row 'bert'; expected one of its rows: mbert, qlm_20"),
        ({"mbert": {"ende": [run]}}, UsageError, "there is no column 'ende'; expected one of its columns: de-en"),
        ({"mbert": {"en-de": [run, some]}}, InputError, "mbert, en-de: 92 queries are in some of its runs only"),
        ({"mbert": {"en-de": [{}]}}, InputError, "mbert, en-de: its runs have no queries"),
        (
            {"mbert": {"en-de": [run]}, "rr_20": {"en-de": [some]}},
            InputError,
            "rr_20, en-de: 92 items are in some results only",
        ),
    ]
    for results, kind, message in cases:
        with pytest.raises(kind, match=message) as error:
            fill_map_table(table, results)
        assert "\n" not in str(error.value) and "; " in str(error.value)


def test_a_table_of_ones_own_models():
    base = {query: 0.2005 + 0.001 * place for place, query in enumerate(queries(100))}
    better = {query: value + 0.1 for query, value in base.items()}
    other = dict.fromkeys(queries(50), 0.5)
    results = {
        "ours | <b>": {"clirmatrix/de": [better, better], "own": [other, other]},
        "plain": {"clirmatrix/de": [base, base], "own": [other, other]},
        "half": {"own": [other, other]},
    }
    markdown = results_table({"plain": results["plain"], **results})
    lines = [line for line in markdown.splitlines() if line.startswith("|")]
    assert lines[0] == "| | clirmatrix/de | own | mean |"
    assert lines[2] == "| plain | 0.250 ±0.000 | 0.500 ±0.000 | 0.375 ±0.000 |"
    assert lines[3].startswith("| · over items | [0.244, 0.256] |") and "[0.500, 0.500]" in lines[3]
    assert r"ours \| \<b\>" in lines[4] and "0.350 ±0.000" in lines[4]
    assert lines[6] == "| · gain | +0.100 [+0.100, +0.100] | +0.000 [+0.000, +0.000] | +0.050 [+0.050, +0.050] |"
    assert lines[7] == "| · p | <0.001 | 1.000 | <0.001 |"
    assert "| half | – | 0.500 ±0.000 | – |" in lines
    assert "MAP; ±" in markdown and "Accuracy" not in markdown
    assert [line for line in results_table(results).splitlines() if line.startswith("|")][2].startswith("| ours")


def test_a_query_of_several_columns_is_drawn_for_all_together():
    """Of one column drawn with itself the mean is as unsure as the column; of two of other queries it is surer."""
    rng = np.random.default_rng(0)
    column, other = (dict(zip(ids, rng.random(100), strict=True)) for ids in (queries(100), queries(100, start=100)))
    width = {}
    for name, columns in {"alone": [column], "twice": [column, column], "two": [column, other]}.items():
        samples = bootstrap_means(*columns)
        assert len(samples) == 10_001
        assert samples[-1] == pytest.approx(np.mean([np.mean(list(one.values())) for one in columns]))
        width[name] = np.std(samples[:-1])
    assert width["alone"] == pytest.approx(np.std(list(column.values())) / 10, rel=0.03)
    assert width["twice"] == pytest.approx(width["alone"]) and width["two"] < 0.8 * width["alone"]
    assert bootstrap_means({"a": 1.0}, {"b": 0.0}) is None, "half of the samples have none of a column"


def test_gains_are_paired_by_the_id_of_the_query():
    ours, theirs = {"a": 0.5, "b": 0.9, "c": 0.1}, {"c": 0.0, "a": 0.4, "b": 0.8}
    gains = paired_gains(ours, theirs)
    assert len(gains) == 10_001 and gains == pytest.approx(0.1)
    with pytest.raises(InputError, match="results: 1 items are in some results only; evaluate all again"):
        paired_gains(ours, {"a": 0.4, "b": 0.8})


GOOD = {
    "model": "mbert",
    "collection": "clef/de-en",
    "average_precision": {"q1": 0.5, "q2": 1},
    "map": 0.75,
    "folds": [],
}


def test_the_results_of_an_evaluation_are_read(tmp_path):
    (tmp_path / "results.json").write_text(json.dumps(GOOD))
    assert read_results(tmp_path / "results.json") == {"q1": 0.5, "q2": 1}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"map": None}, ": map: expected a number from 0 to 1, found None"),
        ({"map": 0.7}, r": map: expected the mean of average_precision, 0\.750000, found 0\.700000"),
        ({"average_precision": {}}, ": average_precision: expected query: number, found '{}'"),
        ({"average_precision": [0.5]}, ": average_precision: expected query: number"),
        ({"average_precision": {"q1": "high"}}, ": average_precision: q1: expected a number from 0 to 1, found 'high'"),
        ({"average_precision": {"q1": 75.0}}, ": average_precision: q1: expected a number from 0 to 1, found 75"),
        ({"average_precision": {"q1": True}}, ": average_precision: q1: expected a number"),
    ],
)
def test_broken_results_are_one_line(tmp_path, changed, message):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(GOOD | changed))
    with pytest.raises(InputError, match=r"results\.json" + message) as error:
        read_results(path)
    assert "\n" not in str(error.value) and "evaluate it again" in str(error.value)


@pytest.mark.parametrize("missing", ["average_precision", "map"])
def test_results_without_a_part_are_one_line(tmp_path, missing):
    path = tmp_path / "results.json"
    path.write_text(json.dumps({name: value for name, value in GOOD.items() if name != missing}))
    with pytest.raises(InputError, match=f"expected the results of an evaluation, found no '{missing}'"):
        read_results(path)
    path.write_text('{"model": "a')
    with pytest.raises(InputError, match=r"is not valid JSON, perhaps cut off .*; evaluate it again"):
        read_results(path)
