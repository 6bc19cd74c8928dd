"""Knowledge across languages: the measures of known cases, their intervals, pairs of models, cuts; and its table."""

import json
import math

import numpy as np
import pytest
from evaluation_sample import ROOT, write_result
from hypothesis import given, settings
from hypothesis import strategies as st

from leia.base.errors import InputError
from leia.evaluation.results import ItemResult
from leia.tables import knowledge
from leia.tables.intervals import summarise_gains
from leia.tables.knowledge import by_field, draw_gains, draw_measures, summarise
from leia.tables.rendering import to_csv, to_markdown
from leia.tables.table import fill, load_table


def make_items(rows, ids=None):
    """`rows`: known in the target, known in the pivot, RankC and, if given, the status."""
    return [
        ItemResult(
            ids[number] if ids else f"fact-{number}",
            {"status": row[3] if len(row) > 3 else "unknown"},
            {"acc": row[0], "acc_pivot": row[1], "transfer": row[0] if row[1] else None, "rankc": row[2]},
        )
        for number, row in enumerate(rows)
    ]


def values(runs):
    return {name: summarise(samples).value for name, samples in draw_measures(runs).items()}


CASES = [
    # known in the target, in the pivot, RankC           acc  acc_pivot  transfer  rankc
    ([(1, 1, 1.0), (0, 1, 0.4), (1, 0, 0.2), (0, 0, 0.0)], 0.5, 0.5, 0.5, 0.4),
    ([(1, 1, 0.9), (1, 1, 0.7), (0, 1, 0.5), (0, 1, 0.3)], 0.5, 1.0, 0.5, 0.6),
    ([(1, 0, 0.1), (1, 0, 0.1), (0, 1, 0.1), (0, 0, 0.1)], 0.5, 0.25, 0.0, 0.1),
    ([(1, 1, 0.8)], 1.0, 1.0, 1.0, 0.8),
    ([(1, 0, 0.5), (0, 0, 0.5)], 0.5, 0.0, math.nan, 0.5),
]


@pytest.mark.parametrize(("rows", "acc", "acc_pivot", "transfer", "rankc"), CASES)
def test_the_measures_of_a_few_facts(rows, acc, acc_pivot, transfer, rankc):
    expected = {"acc": acc, "acc_pivot": acc_pivot, "transfer": transfer, "rankc": rankc}
    assert values([make_items(rows)]) == pytest.approx(expected, nan_ok=True)


def test_several_seeds_count_the_same_each():
    one, other = make_items([(1, 1, 0.5), (1, 1, 0.5)]), make_items([(0, 1, 0.1), (1, 0, 0.1)])
    # Transfer 1 and 0, although three facts in all were known in the pivot.
    assert values([one, other]) == pytest.approx({"acc": 0.75, "acc_pivot": 0.75, "transfer": 0.5, "rankc": 0.3})


def plain_draws(runs):
    """The same draws, one fact after the other."""
    ordered = [sorted(run, key=lambda item: item.id) for run in runs]
    drawn = np.random.default_rng(0).integers(0, len(runs[0]), (knowledge.BOOTSTRAP_SAMPLES, len(runs[0])))
    samples = {name: [] for name in knowledge.MEASURES}
    for places in [*drawn.tolist(), range(len(runs[0]))]:
        found = {name: [] for name in knowledge.MEASURES}
        for run in ordered:
            metrics = [run[place].metrics for place in places]
            known = [one["transfer"] for one in metrics if one["transfer"] is not None]
            found["transfer"].append(sum(known) / len(known) if known else math.nan)
            for name in ("acc", "acc_pivot", "rankc"):
                found[name].append(sum(one[name] for one in metrics) / len(metrics))
        for name, of_runs in found.items():
            samples[name].append(sum(of_runs) / len(of_runs))
    return samples


ROW = st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0]), st.floats(0, 1))


@settings(max_examples=50)
@given(st.data())
def test_every_sample_is_that_of_a_plain_loop(data):
    number = data.draw(st.integers(1, 6))
    rows = st.lists(ROW, min_size=number, max_size=number)
    runs = [make_items(data.draw(rows)) for _ in range(data.draw(st.integers(1, 3)))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(knowledge, "BOOTSTRAP_SAMPLES", 20)
        knowledge._draw.cache_clear()
        found, expected = draw_measures(runs), plain_draws(runs)
        knowledge._draw.cache_clear()
    for name in knowledge.MEASURES:
        assert found[name].tolist() == pytest.approx(expected[name], nan_ok=True), name


def test_the_order_of_the_facts_and_the_size_of_a_batch_change_nothing(monkeypatch):
    rng = np.random.default_rng(3)
    items = make_items([(*rng.integers(0, 2, 2).tolist(), rng.random()) for _ in range(40)])
    found = draw_measures([items])
    knowledge._draw.cache_clear()
    monkeypatch.setattr(knowledge, "_DRAWN_AT_ONCE", 1000)  # 25 samples of 10,000 at once
    for name, samples in draw_measures([items[::-1]]).items():
        assert samples == pytest.approx(found[name], nan_ok=True), name


def test_the_interval_is_as_wide_as_theory_says():
    # 400 facts, 240 known in the pivot, 144 of these in the target: a share of 0.6 of 240.
    rows = [(1, 1, 0.7)] * 144 + [(0, 1, 0.3)] * 96 + [(1, 0, 0.5)] * 60 + [(0, 0, 0.5)] * 100
    samples = draw_measures([make_items(rows)])
    assert summarise(samples["transfer"]).value == pytest.approx(0.6)
    for name, share, number in (("transfer", 0.6, 240), ("acc", 0.51, 400), ("acc_pivot", 0.6, 400)):
        half_width = 1.96 * math.sqrt(share * (1 - share) / number)
        found = summarise(samples[name])
        assert found.low == pytest.approx(share - half_width, abs=0.006), name
        assert found.high == pytest.approx(share + half_width, abs=0.006), name
    scores = np.array([row[2] for row in rows])
    found = summarise(samples["rankc"])
    assert found.high - found.low == pytest.approx(2 * 1.96 * scores.std() / 20, rel=0.05)


def test_two_models_are_compared_on_the_same_samples():
    rng = np.random.default_rng(5)
    plain = [(int(rng.random() < 0.4), int(rng.random() < 0.7), rng.random() / 2) for _ in range(120)]
    better = [(int(row[0] or number % 5 == 0), row[1], row[2] + 0.1) for number, row in enumerate(plain)]
    ours, theirs = [make_items(better)], [make_items(plain)]
    for measure in ("acc", "transfer", "rankc"):
        gain = summarise_gains(draw_gains(ours, theirs, measure))
        assert gain.difference == pytest.approx(values(ours)[measure] - values(theirs)[measure]) and gain.difference > 0
        # Every fact gains or stays, so no sample of pairs loses; of two independent draws a good part would.
        assert gain.low > 0 and gain.p_value < 0.01, measure
    assert summarise_gains(draw_gains(ours, theirs, "rankc")).low == pytest.approx(0.1)
    assert draw_gains(theirs, theirs, "transfer") == pytest.approx(0)
    assert draw_gains([make_items([(1, 0, 0.5)])], [make_items([(1, 1, 0.5)])], "transfer") is None


def test_other_facts_are_no_pairs_and_another_task_is_named():
    one, other = make_items([(1, 1, 1.0)] * 2), make_items([(1, 1, 1.0)] * 2, ids=["fact-0", "fact-7"])
    with pytest.raises(InputError, match="2 items of crosslingual_facts are in some results only"):
        draw_gains([one], [other], "acc")
    with pytest.raises(InputError, match="results of one task are of different items"):
        draw_measures([one, other])
    with pytest.raises(InputError, match="expected results of crosslingual_facts, found items without 'acc_pivot'"):
        draw_measures([[ItemResult("a", {}, {"acc": 1.0})]])


def test_facts_are_cut_by_their_status():
    rows = [(1, 1, 0.9, "trained"), (1, 1, 0.7, "trained"), (0, 1, 0.2, "held_out"), (1, 1, 0.4, "held_out")]
    found = {status: values(own) for status, own in by_field([make_items(rows)], "status").items()}
    assert list(found) == ["held_out", "trained"]
    assert (found["held_out"]["transfer"], found["trained"]["transfer"]) == (0.5, 1.0)
    assert found["held_out"]["rankc"] == pytest.approx(0.3)
