"""Knowledge across languages: the measures of known cases, their intervals, pairs of models, cuts; and its table."""

import json
import math

import numpy as np
import pytest
from conftest import run_here
from evaluation_sample import ROOT, write_result
from hypothesis import given, settings
from hypothesis import strategies as st

from leia.base.errors import InputError
from leia.evaluation.results import ItemResult
from leia.tables import knowledge
from leia.tables.definition import load_table
from leia.tables.intervals import summarise_gains
from leia.tables.knowledge import by_field, draw_gains, draw_measures, summarise
from leia.tables.plan import Folders, missing_steps
from leia.tables.rendering import to_csv, to_markdown
from leia.tables.table import fill


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


# The table

TABLE = ROOT / "configs/tables/knowledge.yaml"
LANGUAGES = ["ar", "es", "hi", "ja", "ru", "zh"]


def write_facts(folder, language, rows):
    """A made-up result of crosslingual_facts, marked as one."""
    task = f"crosslingual_facts_{language}"
    items = make_items(rows)
    path = write_result(folder, task, 0, {item.id: bool(item.metrics["acc"]) for item in items})
    lines = path.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    written = [json.dumps(json.loads(line) | item.metrics) for line, item in zip(lines, items, strict=True)]
    path.with_suffix(".jsonl").write_text("\n".join(written) + "\n", encoding="utf-8")
    about = json.loads(path.read_text(encoding="utf-8"))
    metrics = {name: None if math.isnan(value) else value for name, value in values([items]).items()}
    path.write_text(json.dumps(about | {"metrics": metrics}), encoding="utf-8")


@pytest.fixture
def made_up(tmp_path):
    """Of 400 facts 240 are known in English; in the language plain knows 96 of these, LEIA 144, the base model none."""
    results = tmp_path / "results"
    for language in LANGUAGES:
        for run, known in (("llama2_7b", 0), (f"{language}_none_seed42", 96), (f"{language}_right_p0.5_seed42", 144)):
            rows = [(float(number < known), float(number < 240), 0.2 + known / 400) for number in range(400)]
            write_facts(results / run, language, rows)
    return results


def test_the_table_shows_each_measure_with_its_interval_and_gain(made_up):
    table = load_table(TABLE)
    cells = fill(table, made_up)
    expected = {"acc": (0.24, 0.36), "acc_pivot": (0.6, 0.6), "transfer": (0.4, 0.6), "rankc": (0.44, 0.56)}
    for part, (plain, leia) in expected.items():
        for language in [*LANGUAGES, "mean"]:
            ours, baseline = cells[part, "leia", language], cells[part, "finetuned_plain", language]
            assert (baseline.ours.mean, ours.ours.mean) == pytest.approx((plain, leia)), part
            assert ours.gain.difference == pytest.approx(leia - plain), part
            assert ours.gain.low - 1e-9 <= leia - plain <= ours.gain.high + 1e-9
        found = cells[part, "leia", "ja"].interval
        assert found.value == pytest.approx(leia) and found.low - 1e-9 <= leia <= found.high + 1e-9
    half_width = 1.96 * math.sqrt(0.6 * 0.4 / 240)
    assert cells["transfer", "leia", "ja"].interval.high == pytest.approx(0.6 + half_width, abs=0.006)
    assert cells["transfer", "leia", "ja"].gain.low > 0

    markdown = to_markdown(table, cells)
    part = markdown.partition("## Known in the language, of what")[2]
    rows = {line.split(" | ")[0].lstrip("| "): line for line in part.partition("##")[0].splitlines() if "|" in line}
    assert "0.600 (n=1)" in rows["LEIA (right, p = 0.5)"]
    assert part.index("· over items") < part.index("· gain")
    assert "Known in the language, of what is known in English (chance 0.10): transfer" in markdown
    assert "Over items: the 95% bootstrap interval over the facts." in markdown
    header, *lines = to_csv(table, cells).splitlines()
    cell = next(line for line in lines if line.startswith("transfer,leia,ja,")).split(",")
    cell = dict(zip(header.split(","), cell, strict=True))
    assert float(cell["items_low"]) < 0.6 < float(cell["items_high"]) and float(cell["mean"]) == pytest.approx(0.6)


def test_the_script_writes_every_format_where_all_facts_gain_the_same(made_up, tmp_path):
    """RankC gains 0.12 in every fact: the interval's ends are the gain itself, but for rounding."""
    output = tmp_path / "out"
    outcome = run_here("make_results_table.py", "--table", TABLE, "--results_dir", made_up, "--output_dir", output)
    assert outcome.exit_code == 0, outcome.stderr
    assert {path.suffix for path in output.iterdir()} == {".md", ".tex", ".csv", ".png", ".svg"}


def test_one_evaluation_serves_all_four_parts(tmp_path):
    steps = missing_steps(load_table(TABLE), Folders(tmp_path, tmp_path, "data", ROOT))
    base, *_ = [step for step in steps if step.script == "evaluate.sh"]
    assert base.variables["TASKS"] == ",".join(f"crosslingual_facts_{language}" for language in LANGUAGES)
    assert base.variables["NUM_FEWSHOT_SAMPLES"] == "0,0,0,0,0,0" and base.tokens == 6 * 360_000
