"""What a table still needs: nothing twice, in order, with its cost; and run for real on tiny models."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import run_here
from evaluation_sample import ROOT, XCSR, make_model, write_result

from leia.base.errors import InputError
from leia.tables.plan import Folders, missing_steps
from leia.tables.table import load_table

TABLES = ROOT / "configs/tables"


@pytest.fixture
def folders(tmp_path):
    return Folders(tmp_path / "models", tmp_path / "results", str(tmp_path / "data sets/{language}-{model}"))


def test_a_table_from_scratch_trains_each_run_before_it_evaluates_it(folders):
    steps = missing_steps(load_table(TABLES / "table1.yaml"), folders)
    assert [step.script for step in steps].count("train.sh") == 2 * 7 * 5
    assert [step.script for step in steps].count("evaluate.sh") == 1 + 2 * 7 * 5
    first, training, evaluation = steps[0], steps[1], steps[2]
    assert first.variables["MODEL_NAME_OR_PATH"] == "meta-llama/Llama-2-7b-hf"
    assert len(first.variables["TASKS"].split(",")) == len(first.variables["NUM_FEWSHOT_SAMPLES"].split(",")) == 14
    assert (training.run_name, training.arguments) == ("ar_none_seed42", ["--seed", "42"])
    assert training.variables["ENTITY_NAME_INSERTION_STRATEGY"] == "none"
    assert training.variables["WIKIPEDIA_DATASET_DIR"] == folders.dataset.format(language="ar", model="Llama-2-7b-hf")
    assert evaluation.variables["MODEL_NAME_OR_PATH"] == training.variables["OUTPUT_DIR"]
    assert evaluation.variables["TASKS"] == "xcodah_ar,xcsqa_ar"
    # 209,715,200 tokens at 10,000 a second are 5.83 hours.
    assert training.gpu_hours(10_000) == pytest.approx(209_715_200 / 10_000 / 3600)
    assert evaluation.gpu_hours(10_000) == pytest.approx(303_000 / 30_000 / 3600)


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


def test_training_files_named_by_the_tables_are_there():
    for path in TABLES.glob("*.yaml"):
        table = load_table(path)
        assert not table.train_config or (ROOT / table.train_config).is_file(), f"{path.name}: {table.train_config}"


def test_a_table_that_names_no_base_model_cannot_be_run(folders):
    with pytest.raises(InputError, match="names no base_model"):
        missing_steps(load_table(TABLES / "quickstart.yaml"), folders)


@pytest.mark.parametrize("rate", ["nan", "inf", "0", "-1", "x"])
def test_a_rate_that_is_none_is_refused(rate):
    result = run_here("run_table.py", "--table", TABLES / "table1.yaml", "--tokens_per_second", rate)
    assert result.exit_code == 2 and "Invalid value for '--tokens_per_second'" in result.stderr
    assert result.stdout == ""


def test_a_missing_dataset_is_told_before_the_first_training(tmp_path):
    folders = ["--models_dir", tmp_path / "models", "--results_dir", tmp_path / "results"]
    options = ["--table", TABLES / "swallow.yaml", *folders, "--dataset_dir", tmp_path / "data {language}", "--run"]
    result = run_here("run_table.py", *options)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"error: {tmp_path}/data ja: is no training dataset; ")
    assert not list(tmp_path.iterdir())


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


def test_a_stopped_plan_waits_for_the_checkpoint_of_its_training(tmp_path):
    script, begun, saved = (tmp_path / name for name in ("train.sh", "begun", "saved"))
    script.write_text(f"#!/bin/bash\ntrap 'sleep 1; touch {saved}; exit 143' TERM\ntouch {begun}\nsleep 9 & wait\n")
    script.chmod(0o755)
    code = "import signal, sys; from leia.tables.plan import Step; "
    code += "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143)); "  # as leia.base.cli.command does
    code += f"Step('run', {str(script)!r}, {{}}, [], 1).run()"
    plan = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    while not begun.exists():
        assert plan.poll() is None
        time.sleep(0.05)
    plan.send_signal(signal.SIGTERM)
    assert plan.wait() == 143
    assert saved.exists()
