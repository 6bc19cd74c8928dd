"""What a table still needs: nothing twice, in order, with its cost; and run for real on tiny models."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import run_here
from evaluation_sample import ROOT, XCSR, make_model, write_result
from japanese_sample import lay_out
from transformers import LlamaConfig

from leia.base.errors import InputError, UsageError
from leia.tables.definition import load_table, narrow
from leia.tables.plan import Folders, Step, missing_steps
from leia.tables.table import fill
from leia.training.arguments import read_config

TABLES = ROOT / "configs/tables"
KEEP = ["--keep_checkpoints", "0"]


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "models", tmp_path / "results", str(tmp_path / "data sets/{language}-{model}"), ROOT)


def test_a_table_from_scratch_trains_each_run_before_it_evaluates_it(folders):
    steps = missing_steps(load_table(TABLES / "table1.yaml"), folders)
    assert [step.script for step in steps].count("train.sh") == 2 * 7 * 5
    assert [step.script for step in steps].count("evaluate.sh") == 1 + 2 * 7 * 5
    first, training, evaluation = steps[0], steps[1], steps[2]
    assert first.variables["MODEL_NAME_OR_PATH"] == "meta-llama/Llama-2-7b-hf"
    assert len(first.variables["TASKS"].split(",")) == len(first.variables["NUM_FEWSHOT_SAMPLES"].split(",")) == 14
    assert (training.run_name, training.arguments) == ("ar_none_seed42", ["--seed", "42", *KEEP])
    assert training.variables["TRAIN_CONFIG"] == str(ROOT / "configs/train/ablation_none.yaml")
    assert training.variables["WIKIPEDIA_DATASET_DIR"] == folders.dataset.format(language="ar", model="Llama-2-7b-hf")
    assert evaluation.variables["MODEL_NAME_OR_PATH"] == training.variables["OUTPUT_DIR"]
    assert evaluation.variables["TASKS"] == "xcodah_ar,xcsqa_ar"
    # 209,715,200 tokens at 10,000 a second are 5.83 hours.
    assert training.gpu_hours(10_000) == pytest.approx(209_715_200 / 10_000 / 3600)
    assert evaluation.gpu_hours(10_000) == pytest.approx(303_000 / 30_000 / 3600)


def test_a_table_is_made_smaller_and_for_another_base(folders):
    table = narrow(load_table(TABLES / "table1.yaml"), "a/tiny", ["ja"], [7])
    steps = missing_steps(table, folders, ["--max_steps", "3"])
    assert [step.run_name for step in steps] == ["llama2_7b", *["ja_none_seed7"] * 2, *["ja_right_p0.5_seed7"] * 2]
    assert steps[0].variables["TASKS"] == "xcodah_ja,xcsqa_ja"
    assert steps[1].variables["MODEL_NAME_OR_PATH"] == "a/tiny"
    assert steps[1].variables["WIKIPEDIA_DATASET_DIR"] == folders.dataset.format(language="ja", model="tiny")
    assert steps[1].arguments == ["--seed", "7", *KEEP, "--max_steps", "3"]
    with pytest.raises(UsageError, match="no column is of xx; expected some of ar, es, hi"):
        narrow(load_table(TABLES / "table1.yaml"), None, ["xx"], [])


def test_each_seed_of_a_demonstration_has_its_base_its_dataset_and_its_way_to_show_names(tmp_path):
    folders = Folders(tmp_path / "models", tmp_path / "results", "work/seed{seed}/data-{dataset}", ROOT)
    table = narrow(load_table(TABLES / "demonstration.yaml"), rows=["base", "shuffled", "left"], seeds=[2, 3])
    steps = {(step.run_name, step.script): step.variables for step in missing_steps(table, folders)}
    runs = [f"{row}_seed{seed}" for row in ("base", "shuffled", "left_p0.5") for seed in (2, 3)]
    assert [run for run, script in steps if script == "evaluate.sh"] == runs
    assert [run for run, script in steps if script == "train.sh"] == runs[2:]
    trained = steps["shuffled_seed3", "train.sh"]
    assert trained["MODEL_NAME_OR_PATH"] == steps["base_seed3", "evaluate.sh"]["MODEL_NAME_OR_PATH"]
    assert trained["MODEL_NAME_OR_PATH"] == "work/demonstration/seed3/base-model"
    assert trained["WIKIPEDIA_DATASET_DIR"].endswith("work/seed3/data-shuffled")
    assert steps["left_p0.5_seed2", "train.sh"]["WIKIPEDIA_DATASET_DIR"].endswith("work/seed2/data-target")
    assert steps["left_p0.5_seed2", "evaluate.sh"]["NAME_FORMAT"] == "<translate> {name}</translate> {entity}"
    assert "NAME_FORMAT" not in steps["shuffled_seed2", "evaluate.sh"]
    task = "crosslingual_facts_qaa"
    assert steps["base_seed2", "evaluate.sh"]["TASKS"] == f"{task},{task}+given,{task}+written"


def test_another_training_file_is_for_the_rows_that_name_none_of_their_own(folders):
    table = narrow(load_table(TABLES / "demonstration.yaml"), rows=["none"], seeds=[1], train_config="a.yaml")
    training, _ = missing_steps(table, folders)
    assert training.variables["TRAIN_CONFIG"] == str(ROOT / "a.yaml")
    table = narrow(load_table(TABLES / "ablations.yaml"), languages=["ja"], rows=["none"], train_config="a.yaml")
    training, _ = missing_steps(table, folders)
    assert training.variables["TRAIN_CONFIG"] == str(ROOT / "configs/train/ablation_none.yaml")
    with pytest.raises(UsageError, match=r"--rows: there is no row x; expected some of left_p0\.5"):
        narrow(load_table(TABLES / "ablations.yaml"), rows=["x"])


def test_a_row_may_name_the_model_that_is_scored(folders):
    first, second = missing_steps(load_table(TABLES / "released_7b.yaml"), folders)
    assert first.variables["MODEL_NAME_OR_PATH"] == "tokyotech-llm/Swallow-7b-hf"
    assert second.variables["MODEL_NAME_OR_PATH"] == "leia-llm/Leia-Swallow-7b"
    assert second.script == "evaluate.sh" and second.variables["TASKS"].endswith(",niilc,jemhopqa,jaqket_v2")


def test_what_is_there_is_not_asked_for_again(folders):
    table = load_table(TABLES / "ablations.yaml")
    before = missing_steps(table, folders)
    (folders.models / "ar_none_seed42").mkdir(parents=True)
    (folders.models / "ar_none_seed42/config.json").write_text("{}")
    (folders.models / "es_none_seed42/checkpoint-10").mkdir(parents=True)
    write_result(folders.results / "ar_none_seed42", "xcodah_ar", 0, {"x": True})
    broken = write_result(folders.results / "hi_none_seed42", "xcodah_hi", 0, {"x": True})
    broken.write_text("{", encoding="utf-8")
    after = missing_steps(table, folders)
    assert len(after) == len(before) - 1
    assert after[0].script == "evaluate.sh" and after[0].variables["TASKS"] == "xcsqa_ar"
    assert after[1].run_name == "es_none_seed42" and after[1].variables["RESUME"] == "1"
    assert after[4].variables["TASKS"] == "xcodah_hi,xcsqa_hi", "a broken result is made again"


def test_runs_of_table_1_serve_the_ablations(folders):
    runs = {step.run_name for step in missing_steps(load_table(TABLES / "table1.yaml"), folders)}
    shared = {step.run_name for step in missing_steps(load_table(TABLES / "ablations.yaml"), folders)} & runs
    assert shared == {
        f"{lang}_{kind}_seed42"
        for lang in ("ar", "es", "hi", "ja", "ru", "sw", "zh")
        for kind in ("none", "right_p0.5")
    }


@pytest.mark.parametrize(
    ("table", "base"), [("table1", "llama2_7b"), ("ablations", "llama2_7b"), ("swallow", "swallow_7b")]
)
def test_a_run_is_trained_with_the_strategy_and_probability_of_its_name_and_else_as_its_base(folders, table, base):
    steps = missing_steps(load_table(TABLES / f"{table}.yaml"), folders)
    trainings = [step for step in steps if step.script == "train.sh"]
    assert trainings
    for step in trainings:
        pattern = r"(?:swallow_)?[a-z]{2}_(none|left|right|replace)(?:_p([\d.]+))?(_no_name_loss)?(_no_tags)?_seed(\d+)"
        strategy, prob, no_loss, no_tags, seed = re.fullmatch(pattern, step.run_name).groups()
        of_the_name = {
            "entity_name_insertion_strategy": strategy,
            "entity_name_insertion_prob": float(prob or 0.5),
            "disable_entity_name_token_loss": no_loss is not None,
        }
        if no_tags:
            of_the_name["no_separator_tokens"] = True
        assert resolved(step) == read_config(ROOT / f"configs/train/{base}.yaml") | of_the_name
        assert step.arguments == ["--seed", seed, *KEEP]


def resolved(step):
    """The settings of a training: its file, and what train.sh's variables set instead."""
    settings = read_config(step.variables["TRAIN_CONFIG"])
    if "ENTITY_NAME_INSERTION_STRATEGY" in step.variables:
        settings["entity_name_insertion_strategy"] = step.variables["ENTITY_NAME_INSERTION_STRATEGY"]
        settings["entity_name_insertion_prob"] = float(step.variables["ENTITY_NAME_INSERTION_PROB"])
    return settings


def test_a_row_without_a_training_file_says_what_it_sets_over_that_of_the_table(folders, tmp_path):
    text = (TABLES / "swallow.yaml").read_text(encoding="utf-8")
    text = text.replace("train: configs/train/swallow_7b.yaml", "train: {strategy: left, prob: 1.0, arguments: [--x]}")
    (tmp_path / "table.yaml").write_text(text, encoding="utf-8")
    step = next(
        step for step in missing_steps(load_table(tmp_path / "table.yaml"), folders) if "right" in step.run_name
    )
    assert (step.script, step.arguments) == ("train.sh", ["--seed", "42", *KEEP, "--x"])
    assert resolved(step) == read_config(ROOT / "configs/train/swallow_7b.yaml") | {
        "entity_name_insertion_strategy": "left",
        "entity_name_insertion_prob": 1.0,
    }


def test_a_variable_of_another_training_does_not_change_a_run_of_the_table(tmp_path, monkeypatch):
    decided = ("ENTITY_NAME_INSERTION_STRATEGY", "ENTITY_NAME_INSERTION_PROB", "NO_SEPARATOR_TOKENS")
    decided += ("LEARNING_RATE", "SEED", "TASKS", "NUM_FEWSHOT_SAMPLES")
    for name in decided:
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("ACCELERATE_CONFIG", "the machine's")
    (tmp_path / "train.sh").write_text(f"#!/bin/bash\nenv > {shlex.quote(str(tmp_path / 'seen'))}\n")
    (tmp_path / "train.sh").chmod(0o755)
    Step("run", "train.sh", {"TRAIN_CONFIG": "x.yaml"}, [], 1).run(tmp_path)
    seen = (tmp_path / "seen").read_text().splitlines()
    assert "TRAIN_CONFIG=x.yaml" in seen and "ACCELERATE_CONFIG=the machine's" in seen
    assert not {line.partition("=")[0] for line in seen} & set(decided)


def test_a_table_that_names_no_base_model_cannot_be_run(folders):
    with pytest.raises(InputError, match="names no base_model"):
        missing_steps(load_table(TABLES / "quickstart.yaml"), folders)


@pytest.mark.parametrize("rate", ["nan", "inf", "0", "-1", "x"])
def test_a_rate_that_is_none_is_refused(rate):
    result = run_here("run_table.py", "--table", TABLES / "table1.yaml", "--tokens_per_second", rate)
    assert result.exit_code == 2 and "Invalid value for '--tokens_per_second'" in result.stderr
    assert result.stdout == ""


def test_missing_datasets_are_named_each_with_its_command_and_told_before_the_first_training(tmp_path):
    folders = ["--models_dir", tmp_path / "models", "--results_dir", tmp_path / "results"]
    options = ["--table", TABLES / "table1.yaml", *folders, "--dataset_dir", tmp_path / "data {language}"]
    result = run_here("run_table.py", *options, "--languages", "ja,sw", "--seeds", "42,43", "--run")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {tmp_path}/data ja, {tmp_path}/data sw: expected training datasets, ")
    lines = run_here("run_table.py", *options, "--languages", "ja,sw").stderr.splitlines()
    for language in ("ja", "sw"):
        folder = f"{tmp_path}/data {language}"
        place = lines.index(f"# missing dataset {folder}; this makes it:")
        variables = f"LANG={language} MODEL_NAME_OR_PATH=meta-llama/Llama-2-7b-hf WIKIPEDIA_DATASET_DIR='{folder}'"
        assert lines[place + 1] == f"{variables} bash scripts/build_corpus.sh"
    assert not list(tmp_path.iterdir())
    options[1] = TABLES / "demonstration.yaml"
    lines = run_here("run_table.py", *options, "--seeds", "4", "--rows", "none").stderr.splitlines()
    assert lines[-1] == "bash scripts/run_demonstration.sh"


def test_the_disk_of_a_table_follows_from_the_config_of_its_base(tmp_path):
    """70 models of 7B in 16 bits; without the config it is said to be unknown."""
    LlamaConfig(dtype="float16").save_pretrained(tmp_path / "Llama")
    options = ["--table", TABLES / "table1.yaml", "--models_dir", tmp_path / "m", "--results_dir", tmp_path / "r"]
    (line,) = [
        line
        for line in run_here("run_table.py", *options, "--model_name_or_path", tmp_path / "Llama").stdout.splitlines()
        if line.startswith("# disk")
    ]
    assert line.startswith("# disk: 70 models x 13.5 GB = 943.4 GB, and up to 283.0 GB more while one trains (3 check")
    text = run_here("run_table.py", *options, "--model_name_or_path", "nobody/nothing").stdout
    assert "# disk: unknown for 70 models: the config of nobody/nothing is neither in a folder nor in" in text


def test_run_table_runs_what_is_missing_and_then_nothing(tmp_path):
    model = make_model(tmp_path / "base model")
    table = tmp_path / "table.yaml"
    table.write_text(
        f"title: t\nseeds: [42]\nbaseline: base\nbase_model: '{model}'\n"
        "parts:\n  - {name: xcsqa, title: X-CSQA, columns: {es: [xcsqa_es, 0]}}\n"
        "rows:\n  - {name: base, label: Base, run: base}\n",
        encoding="utf-8",
    )
    command = [sys.executable, ROOT / "scripts/run_table.py", "--table", table, "--run"]
    command += ["--models_dir", tmp_path / "models", "--results_dir", tmp_path / "results"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "XCSR_DIR": str(XCSR)}
    environment |= {"OMP_NUM_THREADS": "1", "NUM_PROCESSES": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    first = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8")
    assert first.returncode == 0, first.stderr
    assert (tmp_path / "results/base/xcsqa_es_0shot.json").is_file()
    again = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=True)
    assert "missing trainings: 0, evaluations: 0" in again.stdout

    (model / "model.safetensors").unlink()
    failing = subprocess.run(
        [*command, "--results_dir", tmp_path / "other"], env=environment, capture_output=True, text=True
    )
    assert failing.returncode == 1 and "evaluate.sh ended with exit code 1 for base" in failing.stderr
    assert "holds no weights" in failing.stderr and "Traceback" not in failing.stderr


TINY = "--max_length 128 --global_batch_size 16 --per_device_train_batch_size 8 --max_steps 2 --learning_rate 3e-3"
TINY += " --optim adamw_torch --bf16 false --activation_checkpointing none --use_cpu true"


@pytest.mark.thorough
@pytest.mark.parametrize("table", ["table1", "ablations", "swallow"])
def test_each_table_of_the_paper_is_filled_by_one_command(sample_corpus, table, tmp_path):
    """By tiny models, in Japanese alone: every row and column of the language has a number."""
    path, root = TABLES / f"{table}.yaml", sample_corpus.wikidata_dump.parent
    command = [sys.executable, ROOT / "scripts/run_table.py", "--table", path, "--languages", "ja", "--seeds", "42"]
    command += ["--model_name_or_path", sample_corpus.tiny_model, "--dataset_dir", root / "{language}wiki-dataset"]
    command += ["--models_dir", tmp_path / "models", "--results_dir", tmp_path / "results", "--run", "--"]
    data = {"XCSR_DIR": str(XCSR), "JAPANESE_DIR": str(lay_out(tmp_path / "japanese")), "NUM_PROCESSES": "1"}
    data |= {"ACCELERATE_CONFIG": str(ROOT / "configs/accelerate/cpu.yaml"), "OMP_NUM_THREADS": "1"}
    data["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run([*command, *TINY.split()], env=os.environ | data, check=True, capture_output=True, text=True)
    loaded = load_table(path)
    cells = fill(loaded, tmp_path / "results")
    for part in loaded.parts:
        for row in loaded.rows:
            assert all(cells[part.name, row.name, one.name].ours for one in part.columns if one.language == "ja")


def test_a_stopped_plan_waits_for_the_checkpoint_of_its_training(tmp_path):
    script, begun, saved = (tmp_path / name for name in ("train.sh", "begun", "saved"))
    script.write_text(f"#!/bin/bash\ntrap 'sleep 1; touch {saved}; exit 143' TERM\ntouch {begun}\nsleep 9 & wait\n")
    script.chmod(0o755)
    code = "import signal, sys; from leia.tables.plan import Step; "
    code += "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "  # as leia.base.cli.command does
    code += f"from pathlib import Path; Step('run', 'train.sh', {{}}, [], 1).run(Path({str(tmp_path)!r}))"
    plan = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    while not begun.exists():
        assert plan.poll() is None
        time.sleep(0.05)
    plan.send_signal(signal.SIGTERM)
    assert plan.wait() == 143
    assert saved.exists()
