"""The tables: the authors' numbers as given, statistics on known cases, made-up results in every format."""

import csv
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from evaluation_sample import ROOT, write_result

from leia.base.errors import InputError
from leia.evaluation.results import read_result
from leia.reports.figures import draw_gains, save_figure
from leia.tables.definition import MEAN, load_table
from leia.tables.intervals import Estimate, bootstrap_gains, counts_as_gain, estimate, summarise_gains
from leia.tables.rendering import to_csv, to_latex, to_markdown
from leia.tables.table import fill

TABLES = ROOT / "configs/tables"
NOTE = "FIXTURE: made-up results, nothing was measured"


def published(cell):
    if isinstance(cell, dict):
        return Estimate(cell["mean"], cell["half_width"])
    return Estimate(*cell) if isinstance(cell, list) else Estimate(cell)


def test_the_authors_numbers_are_those_of_their_notebook(shared):
    paper = json.loads((shared / "paper/results.json").read_text(encoding="utf-8"))
    names = {"llama2_7b": "llama2_7b", "finetuned_plain": "finetuned_plain", "leia": "leia_right_p0.5"}
    table1 = {row.name: row.authors for row in load_table(TABLES / "table1.yaml").rows}
    for part, key in (("xcodah", "table1_xcodah_0shot"), ("xcsqa", "table1_xcsqa_4shot")):
        expected = {ours: {k: published(v) for k, v in paper[key][theirs].items()} for ours, theirs in names.items()}
        assert {name: authors[part] for name, authors in table1.items()} == expected
    ablations = {row.name: row.authors for row in load_table(TABLES / "ablations.yaml").rows}
    assert ablations.pop("right_p0.5_no_tags") == {}, "none are known"
    for part in ("xcodah", "xcsqa"):
        expected = {
            name: {key: published(value) for key, value in cells.items()}
            for name, cells in paper[f"ablation_{part}_seed42"].items()
        }
        assert {name: authors[part] for name, authors in ablations.items()} == expected
    swallow = {row.name: list(row.authors["japanese"].values()) for row in load_table(TABLES / "swallow.yaml").rows}
    swallow["leia_right_p0.5"] = swallow.pop("leia")
    assert swallow == {
        name: [published(cell) for cell in paper["table2_swallow_7b_japanese"][name]] for name in swallow
    }


def test_without_results_the_table_is_the_authors_and_says_so():
    table = load_table(TABLES / "table1.yaml")
    markdown = to_markdown(table, fill(table, None))
    assert "no number below was measured here" in markdown and "Not checked against the printed table" in markdown
    row = next(line for line in markdown.splitlines() if line.startswith("| LEIA"))
    assert row.startswith("| LEIA (right, p = 0.5), authors | **0.328 ±0.005** | **0.466 ±0.002** |")


def test_a_row_without_the_authors_numbers_is_printed_with_those_that_are_measured(tmp_path):
    table = load_table(TABLES / "ablations.yaml")
    assert f"| Right, p = 0.5, no tags |{' – |' * 8}\n" in to_markdown(table, fill(table, None))
    write_result(tmp_path / "ja_right_p0.5_no_tags_seed42", "xcsqa_ja", 4, {"x": True, "y": False})
    assert "| Right, p = 0.5, no tags | – | – | – | 0.500 | – |" in to_markdown(table, fill(table, tmp_path))


def test_the_t_interval_of_a_known_case():
    # Five values, standard deviation sqrt(0.00025), t(0.975, 4) = 2.776445
    found = estimate([0.30, 0.31, 0.32, 0.33, 0.34])
    assert found.mean == pytest.approx(0.32)
    assert found.half_width == pytest.approx(2.776445 * 0.00025**0.5 / 5**0.5)
    assert estimate([0.3]) == Estimate(0.3, None)


@pytest.mark.parametrize(
    ("candidate", "baseline", "counts"),
    [
        (Estimate(0.33, 0.01), Estimate(0.30, 0.01), True),
        (Estimate(0.32, 0.01), Estimate(0.30, 0.0125), False),
        (Estimate(0.28, 0.01), Estimate(0.30, 0.00), False),
        (Estimate(0.33, None), Estimate(0.30, 0.01), None),
    ],
)
def test_the_papers_criterion(candidate, baseline, counts):
    assert counts_as_gain(candidate, baseline) is counts


def test_the_bootstrap_pairs_items_by_id_whatever_their_order(tmp_path):
    rng = np.random.default_rng(1)
    ids = [f"item-{number}" for number in range(60)]
    plain = dict(zip(ids, (rng.random(60) < 0.3).tolist(), strict=True))
    better = {key: right or number % 6 == 0 for number, (key, right) in enumerate(plain.items())}
    baseline = [read_result(write_result(tmp_path / "plain", "xcsqa_ja", 4, plain))]
    ordered = [read_result(write_result(tmp_path / "a", "xcsqa_ja", 4, better))]
    turned = [read_result(write_result(tmp_path / "b", "xcsqa_ja", 4, dict(reversed(better.items()))))]
    gain = summarise_gains(bootstrap_gains(ordered, baseline))
    assert gain == summarise_gains(bootstrap_gains(turned, baseline))
    # Every difference is 0 or 1, so no sample of pairs loses; of two independent draws of 60 items a good part would.
    assert gain.low > 0 and gain.p_value < 0.01
    assert gain.difference == pytest.approx(ordered[0].value() - baseline[0].value())
    assert bootstrap_gains(baseline, baseline) == pytest.approx(0)


def test_a_column_may_name_a_metric_of_its_task(tmp_path):
    """`acc` and another metric go up and down against each other."""
    for run, acc in (("base", [1, 1, 0, 0]), ("tuned", [1, 0, 0, 0])):
        path = write_result(tmp_path / run, "own_ja", 0, {str(number): bool(value) for number, value in enumerate(acc)})
        lines = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
        other = [1.0 - line["acc"] for line in lines]
        path.with_suffix(".jsonl").write_text(
            "".join(json.dumps(line | {"other": value}) + "\n" for line, value in zip(lines, other, strict=True))
        )
        about = json.loads(path.read_text())
        path.write_text(json.dumps(about | {"metrics": about["metrics"] | {"other": sum(other) / 4}}))
    table = tmp_path / "table.yaml"
    table.write_text(
        "title: t\nseeds: [42]\nbaseline: base\n"
        "parts: [{name: p, title: P, mean: false, columns: {first: [own_ja, 0], named: [own_ja, 0, other]}}]\n"
        "rows: [{name: base, label: B, run: base}, {name: tuned, label: T, run: tuned}]\n"
    )
    cells = fill(load_table(table), tmp_path)
    assert (cells["p", "tuned", "first"].ours.mean, cells["p", "tuned", "named"].ours.mean) == (0.25, 0.75)
    assert (cells["p", "tuned", "first"].gain.difference, cells["p", "tuned", "named"].gain.difference) == (-0.25, 0.25)
    assert "Accuracy (named: other); ±" in to_markdown(load_table(table), cells)


def test_different_items_are_no_pairs(tmp_path):
    one = [read_result(write_result(tmp_path / "a", "xcsqa_ja", 4, {"x": True, "y": False}))]
    other = [read_result(write_result(tmp_path / "b", "xcsqa_ja", 4, {"x": True, "z": False}))]
    with pytest.raises(InputError, match="xcsqa_ja: 2 items are in some results only"):
        bootstrap_gains(one, other)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """Made-up results of table 1: plain, and LEIA with some more right answers, five seeds, three languages."""
    results = tmp_path_factory.mktemp("results")
    rng = np.random.default_rng(0)
    for language, task, shots in [
        (lang, task, k) for lang in ("es", "ja", "sw") for task, k in (("xcodah", 0), ("xcsqa", 4))
    ]:
        items = 300 if task == "xcodah" else 1000
        difficulty = rng.random(items)
        base = {f"{number:04}": bool(value < 0.31) for number, value in enumerate(difficulty)}
        write_result(results / "llama2_7b", f"{task}_{language}", shots, base)
        for seed in (42, 43, 44, 45, 46):
            for run, level in ((f"{language}_none_seed{seed}", 0.30), (f"{language}_right_p0.5_seed{seed}", 0.35)):
                noisy = difficulty + rng.normal(0, 0.01, items)
                correct = {f"{number:04}": bool(value < level) for number, value in enumerate(noisy)}
                write_result(results / run, f"{task}_{language}", shots, correct)
    return results


def test_made_up_results_stand_beside_the_authors_numbers(made_up):
    table = load_table(TABLES / "table1.yaml")
    cells = fill(table, made_up)
    cell = cells["xcodah", "leia", "ja"]
    accuracies = [
        read_result(made_up / f"ja_right_p0.5_seed{seed}/xcodah_ja_0shot.json").value() for seed in (42, 43, 44, 45, 46)
    ]
    assert cell.ours == estimate(accuracies) and cell.seeds == 5 and cell.counts is True
    assert cells["xcodah", "leia", "ar"].ours is None and cells["xcodah", "leia", MEAN].ours is None
    assert cells["xcodah", "llama2_7b", "ja"].ours.half_width is None

    lines = to_markdown(table, cells, NOTE).splitlines()
    assert f"**{NOTE}**" in lines
    start = next(number for number, line in enumerate(lines) if line.startswith("| LEIA"))
    row, authors, difference, gain = lines[start : start + 4]
    assert f"| **{cell.ours.mean:.3f} ±{cell.ours.half_width:.3f}** |" in row
    assert authors.startswith("| · authors | **0.328 ±0.005** |")
    assert difference.startswith("| · difference | – |") and f"{cell.ours.mean - 0.349:+.3f}" in difference
    assert f"{cell.gain.difference:+.3f} [{cell.gain.low:+.3f}, {cell.gain.high:+.3f}]" in gain

    latex = to_latex(table, cells, NOTE)
    assert rf"\textbf{{{cell.ours.mean:.3f} $\pm${cell.ours.half_width:.3f}}}" in latex and NOTE in latex
    assert latex.count(r"\begin{tabular}{lrrrrrrrr}") == latex.count(r"\end{table}") == 2

    rows = {(row["part"], row["row"], row["column"]): row for row in csv.DictReader(io.StringIO(to_csv(table, cells)))}
    found = rows["xcodah", "leia", "ja"]
    assert float(found["mean"]) == cell.ours.mean and found["seeds"] == "5" and found["counts_as_gain"] == "True"
    assert float(found["gain_low"]) == cell.gain.low and float(found["authors_half_width"]) == 0.004


def test_the_mean_over_languages_needs_them_all(made_up, tmp_path):
    text = (TABLES / "table1.yaml").read_text(encoding="utf-8")
    three = "{es: [xcodah_es, 0], ja: [xcodah_ja, 0], sw: [xcodah_sw, 0]}"
    lines = [f"    columns: {three}" if "columns: {ar: [xcodah_ar" in line else line for line in text.splitlines()]
    (tmp_path / "three.yaml").write_text("\n".join(lines), encoding="utf-8")
    cells = fill(load_table(tmp_path / "three.yaml"), made_up)
    languages = [cells["xcodah", "leia", language] for language in ("es", "ja", "sw")]
    mean = cells["xcodah", "leia", MEAN]
    assert mean.ours.mean == pytest.approx(np.mean([cell.ours.mean for cell in languages]))
    assert mean.gain.difference == pytest.approx(np.mean([cell.gain.difference for cell in languages]))
    # The same 300 ids in each language are drawn together, which is narrower than one language alone.
    assert mean.gain.high - mean.gain.low < max(cell.gain.high - cell.gain.low for cell in languages)


def test_a_mean_over_some_of_the_seeds_says_how_many(made_up, tmp_path):
    shutil.copytree(made_up, tmp_path / "results")
    for seed in (44, 45, 46):
        shutil.rmtree(tmp_path / f"results/ja_right_p0.5_seed{seed}")
    table = load_table(TABLES / "table1.yaml")
    cells = fill(table, tmp_path / "results")
    assert cells["xcodah", "leia", "ja"].seeds == 2 and cells["xcodah", "leia", "es"].seeds == 5
    row = next(line for line in to_markdown(table, cells).splitlines() if line.startswith("| LEIA"))
    assert row.count("(n=2)") == 1 and "(n=5)" not in row


def test_two_seeds_of_one_model_are_refused(made_up, tmp_path):
    shutil.copytree(made_up, tmp_path / "results")
    first, second = (tmp_path / f"results/ja_none_seed{seed}" for seed in (42, 45))
    shutil.rmtree(second)
    shutil.copytree(first, second)
    with pytest.raises(InputError, match=r"seed45/xcodah_ja_0shot\.json: is the result of the same model as .*seed42"):
        fill(load_table(TABLES / "table1.yaml"), tmp_path / "results")


def test_a_row_above_the_baseline_has_no_gain(made_up):
    table = load_table(TABLES / "table1.yaml")
    cells = fill(table, made_up)
    assert cells["xcodah", "llama2_7b", "ja"].ours and cells["xcodah", "finetuned_plain", "ja"].ours
    assert {row for (_, row, _), cell in cells.items() if cell.gain} == {"leia"}
    lines = to_markdown(table, cells).splitlines()
    above = lines[lines.index(next(line for line in lines if line.startswith("| Llama 2 7B |"))) :][:4]
    assert [line.split(" |")[0] for line in above[1:]] == [
        "| · authors",
        "| · difference",
        "| Fine-tuned, plain Wikipedia",
    ]


def test_fewer_items_than_the_papers_are_named_and_not_compared(made_up, tmp_path):
    table = load_table(TABLES / "table1.yaml")
    assert "instead of" not in to_markdown(table, fill(table, made_up))
    shutil.copytree(made_up, tmp_path / "results")
    few = {f"{number:04}": number % 3 == 0 for number in range(40)}
    for seed in (42, 43, 44, 45, 46):
        for kind in ("none", "right_p0.5"):
            write_result(tmp_path / f"results/ja_{kind}_seed{seed}", "xcsqa_ja", 4, few)
    cells = fill(table, tmp_path / "results")
    cell, untouched = cells["xcsqa", "leia", "ja"], cells["xcsqa", "leia", "es"]
    assert cell.items == 40 and cell.ours and cell.authors and cell.difference is None
    assert untouched.items == 1000 and untouched.difference == untouched.ours.mean - untouched.authors.mean
    note = "xcsqa (ja) 40 instead of 1,000, one item is worth 0.025."
    markdown, latex = to_markdown(table, cells), to_latex(table, cells)
    assert f"numbers: {note}**" in markdown and "xcodah (" not in markdown and note in latex.split(r"\caption")[1]
    start = markdown.index("| LEIA", markdown.index("## X-CSQA"))
    difference = markdown[start:].splitlines()[2].split(" | ")
    assert difference[0] == "| · difference" and difference[4] == "–" != difference[2]
    rows = {(row["part"], row["row"], row["column"]): row for row in csv.DictReader(io.StringIO(to_csv(table, cells)))}
    found = rows["xcsqa", "leia", "ja"]
    assert found["items"] == "40" and found["mean"] and found["authors_mean"] and not found["difference_to_authors"]


def test_a_mean_of_which_one_language_lacks_an_item_is_not_compared(tmp_path):
    table = load_table(TABLES / "table1.yaml")
    part = replace(table.parts[0], columns=table.parts[0].columns[:2])
    table = replace(table, parts=[part])
    for items in (300, 299):
        for language, count in (("ar", 300), ("es", items)):
            correct = {f"{number:04}": number % 2 == 0 for number in range(count)}
            write_result(tmp_path / "llama2_7b", f"xcodah_{language}", 0, correct)
        row = [fill(table, tmp_path)["xcodah", "llama2_7b", column] for column in ("ar", "es", MEAN)]
        assert all(cell.ours for cell in row)
        assert [cell.complete for cell in row] == [True, items == 300, items == 300]


def test_the_figure_is_drawn_and_is_the_same_each_time(made_up, tmp_path):
    table = load_table(TABLES / "table1.yaml")
    cells = fill(table, made_up)
    for name in ("a", "b"):
        save_figure(draw_gains(table, cells, NOTE), tmp_path / f"{name}.svg")
    save_figure(draw_gains(table, cells, NOTE), tmp_path / "a.png")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG") and (tmp_path / "a.png").stat().st_size > 20_000


def test_the_script_writes_every_format_and_names_a_cut_off_result(made_up, tmp_path, run_script):
    table = shutil.copy(TABLES / "table1.yaml", tmp_path / "p0.5.yaml")
    options = ["--table", table, "--results_dir", made_up, "--output_dir", tmp_path / "les tables", "--note", NOTE]
    printed = run_script("make_results_table.py", *options).stdout
    written = {path.name: path for path in (tmp_path / "les tables").iterdir()}
    assert set(written) == {f"p0.5.{suffix}" for suffix in ("md", "tex", "csv", "png", "svg")}
    assert printed.startswith(written["p0.5.md"].read_text(encoding="utf-8"))

    path = write_result(tmp_path / "results/llama2_7b", "xcsqa_ja", 4, {"x": True})
    path.write_text(path.read_text(encoding="utf-8")[:50], encoding="utf-8")
    broken = run_script("make_results_table.py", "--table", table, "--results_dir", tmp_path / "results", check=False)
    assert broken.returncode == 1 and len(broken.stderr.splitlines()) == 1
    assert f"{path}: is not valid JSON, perhaps cut off" in broken.stderr


def test_a_file_that_is_no_table_is_named(tmp_path):
    (tmp_path / "x.yaml").write_text("title: x\nparts: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"x\.yaml: expected a table file"):
        load_table(tmp_path / "x.yaml")


LANGUAGES = """
title: t
seeds: [42]
baseline: plain
base_model: m
parts: [{%s}]
rows: [{name: plain, label: P, run: "{language}_none", train: configs/train/tiny_cpu.yaml}]
"""


def write_table(folder, part):
    table = folder / "table.yaml"
    table.write_text(LANGUAGES % f"name: p, title: P, {part}")
    return table


@pytest.mark.parametrize(
    ("part", "language"),
    [
        ("columns: {vi: [belebele_vie_Latn, 0]}", "vi"),
        ("columns: {vi: [global_mmlu_full_vi_anatomy, 0]}", "vi"),
        ("columns: {zh-yue: [own, 0]}", "zh-yue"),
        ("columns: {new: [xcsqa_new, 0]}", "new"),
        ("columns: {XNLI Chinese: [xnli_zh, 0]}", "zh"),
        ("columns: {xx: [xcsqa_xx, 0]}", "xx"),
        ("columns: {qaa: [own, 0]}", "qaa"),
        ("columns: {Anatomy: {task: global_mmlu_full_vi_anatomy, num_fewshot: 0, language: vi}}", "vi"),
        ("language: vi, columns: {Anatomy: [global_mmlu_full_vi_anatomy, 0]}", "vi"),
        ("language: ja, columns: {vi: {task: own, language: vi}}", "vi"),
    ],
)
def test_the_language_of_a_column_is_said_or_is_its_name(tmp_path, part, language):
    """The names of the harness's tasks end in anything: Latn, anatomy."""
    (column,) = load_table(write_table(tmp_path, part)).parts[0].columns
    assert column.language == language


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("columns: {Belebele: [belebele_vie_Latn, 0]}", "column 'Belebele': expected the language of its runs"),
        ("columns: {Own: {task: own, num_fewshot: 2}}", "Own: {task: own, num_fewshot: 2, language: vi}"),
        ("columns: {no: [xcsqa_no, 0]}", "put the name in quotes"),
    ],
)
def test_a_column_without_a_language_is_told_where_runs_need_one(tmp_path, part, message):
    table = write_table(tmp_path, part)
    with pytest.raises(InputError) as error:
        load_table(table)
    assert message in str(error.value) and str(table) in str(error.value)
    if "Belebele" in part:  # a table of models that are there needs none
        table.write_text(table.read_text().partition("rows:")[0] + "rows: [{name: plain, label: P, run: base}]")
        assert load_table(table).parts[0].columns[0].language == ""


def test_a_table_names_the_first_metric_of_a_task_and_calls_no_perplexity_a_gain(tmp_path):
    for run, right in (("base", [1, 1, 0, 0]), ("tuned", [1, 1, 1, 0])):
        items = {str(number): bool(value) for number, value in enumerate(right)}
        for task, metric, better in (("normal", "acc_norm", True), ("errors", "rate", False)):
            path = write_result(tmp_path / run, task, 0, items)
            for file in (path, path.with_suffix(".jsonl")):
                file.write_text(file.read_text().replace('"acc"', f'"{metric}"'))
            harness = {"higher_is_better": {task: {metric: better}}}
            path.write_text(json.dumps(json.loads(path.read_text()) | {"harness": harness}))
    table = tmp_path / "table.yaml"
    table.write_text(
        "title: t\nseeds: [42]\nbaseline: base\n"
        "parts: [{name: p, title: P, mean: false, columns: {first: [normal, 0], second: [errors, 0]}}]\n"
        "rows: [{name: base, label: B, run: base}, {name: tuned, label: T, run: tuned}]\n"
    )
    loaded = load_table(table)
    cells = fill(loaded, tmp_path)
    assert "Accuracy (first: acc_norm; second: rate)" in to_markdown(loaded, cells)
    assert cells["p", "tuned", "first"].gain.difference == pytest.approx(0.25)
    assert cells["p", "tuned", "second"].gain is None and cells["p", "tuned", "second"].ours.mean == 0.75
    rows = list(csv.DictReader(io.StringIO(to_csv(loaded, cells))))
    assert [row["metric"] for row in rows] == ["acc_norm", "rate"] * 2
