"""Average precision as the published evaluation has it, and run files."""

import json

import numpy as np
import pytest

from leia.base.errors import InputError, UsageError
from leia.retrieval.scoring import average_precision, mean_average_precision, write_run

ir_measures = pytest.importorskip("ir_measures", reason="ir_measures is not installed (the extra `retrieval` has it)")


@pytest.fixture
def expected(shared):
    return shared / "expected/clir"


def test_the_average_precision_is_that_of_the_published_evaluation(expected):
    for case in json.loads((expected / "average_precision.json").read_text(encoding="utf-8")).values():
        found = average_precision(case["judgements"], case["scores"])
        assert found == pytest.approx(case["average_precision"], abs=1e-9)
        assert mean_average_precision(found) == pytest.approx(case["mean"], abs=1e-9)


def test_every_evaluation_of_the_fine_tuning_is_met(expected, shared):
    collection = json.loads((shared / "data/clir/collection.json").read_text(encoding="utf-8"))
    judgements = {
        query: dict.fromkeys(judged["p"], 1) | dict.fromkeys(judged["n"], 0)
        for query, judged in collection["judgements"].items()
    }
    script = json.loads((expected / "finetuning.json").read_text(encoding="utf-8"))
    assert len(script["evaluations"]) > 10
    for evaluation in script["evaluations"]:
        found = average_precision(judgements, evaluation["scores"])
        assert found == pytest.approx(evaluation["average_precision"], abs=1e-9)
        assert mean_average_precision(found) == pytest.approx(evaluation["mean_average_precision"], abs=1e-9)
        assert len(found) == evaluation["queries"]


def test_the_mean_over_all_test_queries_is_the_weighted_mean_of_the_folds(expected):
    script = json.loads((expected / "finetuning.json").read_text(encoding="utf-8"))
    weighted = np.average(script["maps"], weights=script["test_queries"])
    assert weighted == pytest.approx(0.34870129870129873, abs=1e-12) == script["final_map"]
    tests = [
        {
            query: value
            for one in script["evaluations"]
            if one["part"] == "test" and one["scores"].keys() == set(fold["test"]) and one["epoch"] == best
            for query, value in one["average_precision"].items()
        }
        for fold, best in zip(script["folds"], script["best_epochs"], strict=True)
    ]
    together = {query: value for fold in tests for query, value in fold.items()}
    assert len(together) == 11
    assert mean_average_precision(together) == pytest.approx(script["final_map"], abs=1e-12)


def test_known_cases():
    # Relevant at ranks 1 and 3 of three documents: (1/1 + 2/3) / 2.
    assert average_precision({"q": {"a": 1, "c": 2, "b": 0}}, {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}) == {
        "q": pytest.approx(5 / 6)
    }
    # A relevant document that the run lacks counts as not found.
    assert average_precision({"q": {"a": 1, "x": 1}}, {"q": {"a": 1.0}}) == {"q": 0.5}


def test_of_a_tie_the_greater_id_comes_first():
    tied = {"q": {"a": 0.5, "b": 0.5}}
    assert average_precision({"q": {"a": 1}}, tied) == {"q": 0.5}
    assert average_precision({"q": {"b": 1}}, tied) == {"q": 1.0}


def test_scores_tie_in_single_precision():
    assert average_precision({"q": {"a": 1}}, {"q": {"a": 0.5 + 1e-12, "b": 0.5}}) == {"q": 0.5}


def test_queries_without_a_run_or_without_judgements_are_left_out():
    judgements = {"no run": {"a": 1}, "empty run": {"a": 1}, "both": {"a": 1}, "not judged": {}}
    run = {"both": {"a": 1.0}, "not judged": {"a": 1.0}, "unknown": {"a": 1.0}, "empty run": {}}
    found = average_precision(judgements, run)
    assert found == {"both": 1.0} and mean_average_precision(found) == 1.0
    assert average_precision({}, run) == {}
    with pytest.raises(InputError, match="found none; do both have the same ids"):
        mean_average_precision({})


def test_judged_and_nothing_relevant_is_0_as_trec_eval_says():
    assert average_precision({"q": {"a": 0, "b": -1}}, {"q": {"a": 1.0}}) == {"q": 0.0}


def test_a_score_that_is_no_number_is_an_error():
    with pytest.raises(InputError, match="query q, document a: expected a number as its score, found nan"):
        average_precision({"q": {"a": 1}}, {"q": {"a": float("nan")}})


def test_a_run_is_read_as_it_was_written(tmp_path):
    rng = np.random.default_rng(0)
    run = {f"q{query}": {f"d{place}": float(rng.normal()) for place in range(30)} for query in range(5)}
    run["q0"] |= {"d1": 1 / 3, "d2": 1e-300, "d3": -0.0, "ü": 1e22}
    write_run(tmp_path / "run", run, "tag")
    assert read_run(tmp_path / "run") == run
    single = {"q": {"d": np.float32(0.1)}}
    write_run(tmp_path / "single", single, "tag")
    assert read_run(tmp_path / "single") == {"q": {"d": float(np.float32(0.1))}}


def read_run(path):
    """As another tool reads it."""
    run = {}
    for row in ir_measures.read_trec_run(str(path)):
        run.setdefault(row.query_id, {})[row.doc_id] = row.score
    return run


def test_the_lines_of_a_run_stand_in_the_order_of_its_evaluation(tmp_path):
    run = {"q2": {"a": 0.5, "b": 0.5, "c": 2.0, "d": -1.0, "aa": 0.5 + 1e-12}, "q1": {"x": 1.0}}
    write_run(tmp_path / "run", run, "mbert")
    lines = [line.split() for line in (tmp_path / "run").read_text().splitlines()]
    ranked = [
        ("q2", "c", "1"),
        ("q2", "b", "2"),
        ("q2", "aa", "3"),
        ("q2", "a", "4"),
        ("q2", "d", "5"),
        ("q1", "x", "1"),
    ]
    assert [(line[0], line[2], line[3]) for line in lines] == ranked
    assert {(line[1], line[5]) for line in lines} == {("Q0", "mbert")}


@pytest.mark.parametrize(
    ("run", "tag", "message"),
    [
        ({"a q": {"d": 1.0}}, "t", "a query's id without white space, found 'a q'"),
        ({"q": {"a\td": 1.0}}, "t", "a document's id without white space"),
        ({"q": {"": 1.0}}, "t", "a document's id without white space, found ''"),
        ({"q": {"d": 1.0}}, "my model", "a tag without white space, found 'my model'"),
    ],
)
def test_white_space_would_break_the_columns(tmp_path, run, tag, message):
    with pytest.raises(UsageError, match=message):
        write_run(tmp_path / "run", run, tag)
    assert not (tmp_path / "run").exists()
