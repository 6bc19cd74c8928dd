"""From the results of arms to measures with both intervals, chance, differences, a table and a figure; the gate."""

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml
from conftest import run_here
from evaluation_sample import ROOT

from leia.base.errors import InputError
from leia.demonstration.measures import check_base, differences, read_arms
from leia.demonstration.summary import summarise, summarise_differences, to_markdown
from leia.evaluation.results import ItemResult, new_result
from leia.tables.definition import load_table
from leia.tables.table import fill

STATUSES = ("held_out", "trained", "unknown", "bridge")


def write_run(folder, acc, english=1.0, names=1.0, items=40, bridge=1.0):
    """Made-up results of one model: `acc` by how it is asked, or one for all; shares of `items` of each status."""
    for mode in ("", "+given", "+written"):
        share = acc[mode] if isinstance(acc, dict) else acc
        lines = []
        for status in STATUSES:
            for number in range(items):
                own = bridge if status == "bridge" else share
                known, in_english = number < own * items, number < english * items
                metrics = {"acc": float(known), "acc_pivot": float(in_english), "rankc": 0.5}
                metrics["transfer"] = float(known) if in_english else None
                if mode:
                    metrics["names_right"] = None if status == "bridge" else float(number < names * items)
                answer = {"status": status, "choices": list("abcdefgh")}
                lines.append(ItemResult(f"{status}-{number}", answer, metrics))
        task = f"crosslingual_facts_qaa{mode}"
        about = {"task": task, "num_fewshot": 0, "data": {"items": len(lines)}, "names": 50}
        about |= {"identity": {"model": {"name": str(folder)}}, "metrics": dict.fromkeys(lines[0].metrics, 0.5)}
        folder.mkdir(parents=True, exist_ok=True)
        with new_result(folder / f"{task}_0shot.json") as write:
            write(about, lines)


@pytest.fixture
def table(tmp_path):
    content = yaml.safe_load((ROOT / "configs/tables/demonstration.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "demonstration.yaml"
    path.write_text(yaml.safe_dump(content | {"seeds": [1, 2, 3]}, sort_keys=False), encoding="utf-8")
    return load_table(path)


@pytest.fixture
def results(tmp_path):
    """Two arms of three seeds: `right` writes names and answers by them, `none` does not."""
    for seed, (plain, leia) in enumerate([(0.1, 0.9), (0.2, 0.8), (0.15, 0.7)], 1):
        write_run(tmp_path / f"results/none_seed{seed}", plain, names=0.0)
        shares = {"": plain, "+given": 1.0, "+written": leia}
        write_run(tmp_path / f"results/right_p0.5_seed{seed}", shares, english=0.5)
    return tmp_path / "results"


def test_a_measure_is_the_mean_over_seeds_with_an_interval_over_seeds_and_one_over_items(table, results):
    summary = summarise(read_arms(table, results))
    assert list(summary) == ["none", "right"]
    found = summary["right"]["held_out_written"]
    assert list(found) == ["mean", "low", "high", "items_low", "items_high", "chance", "seeds"]
    assert found["mean"] == pytest.approx(0.8)
    half = 4.302653 * 0.1 / math.sqrt(3)  # the t interval of two degrees of freedom
    assert (found["low"], found["high"]) == pytest.approx((0.8 - half, 0.8 + half), abs=1e-5)
    error = 1.96 * math.sqrt(sum(p * (1 - p) for p in (0.9, 0.8, 0.7)) / 40) / 3
    assert (found["items_low"], found["items_high"]) == pytest.approx((0.8 - error, 0.8 + error), abs=0.012)
    assert (found["chance"], found["seeds"]) == (0.125, 3)
    assert summary["right"]["held_out_english"]["mean"] == 0.5
    assert summary["right"]["held_out_names_right"]["chance"] == 1 / 50
    assert summary["none"]["held_out_names_right"]["mean"] == 0
    assert not {"bridge_given", "bridge_names_right"} & summary["right"].keys()


def test_transfer_counts_what_is_known_in_english(table, results):
    """20 of 40 are known in English, and of them those below a share of 0.1, 0.2, 0.15 of all 40."""
    found = summarise(read_arms(table, results))["right"]["held_out_transfer"]
    assert found["mean"] == pytest.approx(np.mean([4 / 20, 8 / 20, 6 / 20]))


def test_chance_of_rankc_is_what_two_random_rankings_have_in_common(table, results):
    rng = np.random.default_rng(0)
    weights = np.exp(-np.arange(8)) / np.exp(-np.arange(8)).sum()
    draws = []
    for _ in range(4000):
        one, other = rng.permutation(8), rng.permutation(8)
        draws.append(sum(w * len({*one[:j]} & {*other[:j]}) / j for j, w in enumerate(weights, 1)))
    chance = summarise(read_arms(table, results))["none"]["held_out_rankc"]["chance"]
    assert chance == pytest.approx(np.mean(draws), abs=0.01)


def test_differences_are_paired_by_seed(table, results):
    found = differences(read_arms(table, results), "none", "held_out_written")
    assert list(found) == ["right"]
    gains = [0.8, 0.6, 0.55]
    half = 4.302653 * np.std(gains, ddof=1) / math.sqrt(3)
    assert (found["right"].mean, found["right"].half_width) == pytest.approx((np.mean(gains), half), abs=1e-5)
    (results / "none_seed2/crosslingual_facts_qaa+written_0shot.json").unlink()
    half = 12.7062 * np.std([0.8, 0.55], ddof=1) / math.sqrt(2)
    again = differences(read_arms(table, results), "none", "held_out_written")["right"]
    assert (again.mean, again.half_width) == pytest.approx((0.675, half), abs=1e-4)
    assert summarise_differences(read_arms(table, results))["right"]["held_out_written"].keys() == {"none"}


def test_one_seed_has_no_interval_over_seeds(table, tmp_path):
    write_run(tmp_path / "results/none_seed1", 0.5, english=0.0)
    measures = summarise(read_arms(table, tmp_path / "results"))["none"]
    assert (measures["held_out_bare"]["low"], measures["held_out_bare"]["seeds"]) == (None, 1)
    assert measures["held_out_bare"]["items_low"] < 0.5
    assert measures["held_out_transfer"]["mean"] is None  # nothing is known in English
    assert "NaN" not in json.dumps(measures)


def test_the_tables_name_each_arm_and_chance(table, results):
    text = to_markdown(read_arms(table, results), {row.name: row.label for row in table.rows})
    assert "| chance | bare (0.125) | given (0.125) | written (0.125) | names_right (0.020) | english (0.125) |" in text
    assert re.search(r"\| LEIA: right, p = 0.5 \| 0.150 ±0.124 \| 1.000 ±0.000 \| 0.800 ±0.248 \|", text)
    assert re.search(r"less 'Plain text', paired by seed.*\| LEIA: right, p = 0.5 \| \+0.000 ±0.000", text, re.DOTALL)


def test_the_table_of_the_project_counts_the_items_of_a_status_alone(table, results):
    cells = fill(table, results)
    written = cells["held_out", "right", "written"]
    assert (written.ours.mean, written.items, written.seeds) == (pytest.approx(0.8), 40, 3)
    assert written.gain.difference == pytest.approx(0.65) and written.counts
    names = cells["held_out", "right", "names_right"]
    assert (names.ours.mean, names.interval, names.gain.difference) == (1.0, None, 1.0)
    assert cells["unknown", "none", "english"].ours.mean == 1.0
    assert cells["held_out", "right", "transfer"].interval is not None
    (results / "none_seed1/crosslingual_facts_qaa_0shot.json").unlink()
    assert cells["held_out", "left", "bare"].ours is None
    column = table.parts[0].columns[0]
    other = replace(table, parts=[replace(table.parts[0], columns=[replace(column, status="heldout")])])
    with pytest.raises(InputError, match="has no item of the status 'heldout'"):
        fill(other, results)


def test_the_script_writes_json_table_and_figure(results, tmp_path):
    options = ["--table", ROOT / "configs/tables/demonstration.yaml", "--results_dir", results]
    result = run_here("summarise_demonstration.py", *options, "--output_dir", tmp_path / "out")
    assert result.exit_code == 0, result.output
    names = ["arms.png", "arms.svg", "differences.json", "summary.json", "table.md"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert (tmp_path / "out/arms.svg").read_text(encoding="utf-8").count("LEIA: right, p = 0.5") >= 1
    (tmp_path / "empty").mkdir()
    options[-1] = tmp_path / "empty"
    result = run_here("summarise_demonstration.py", *options, "--output_dir", tmp_path / "none")
    assert result.exit_code == 1 and "has no result of" in result.stderr and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({"english": 0.92}, "in English it knows 0.925, expected at least 0.95"),
        ({"bridge": 0.75}, "asked in the invented language, it knows 0.750, expected at least 0.8"),
        ({}, ""),
    ],
)
def test_the_gate_stops_where_the_base_could_show_nothing(tmp_path, known, message):
    write_run(tmp_path / "base", 0.125, **known)
    result = run_here("check_base_model.py", "--results_dir", tmp_path / "base")
    if message:
        assert result.exit_code == 1 and message in result.stderr and result.stderr.count("\n") == 1
        with pytest.raises(InputError):
            check_base(tmp_path / "base")
    else:
        assert result.exit_code == 0
        assert "the base model knows 1.000 of the facts in English, 1.000 of those of bridges" in result.stdout
