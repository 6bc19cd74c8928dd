"""The recipes of docs/evaluation.md do what they say: its files, commands and Python as they stand there."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from evaluation_sample import ROOT, make_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from leia.evaluation.examples import DRAWN
from leia.evaluation.jobs import find_tasks
from leia.evaluation.results import read_result
from leia.training.experiment import Experiment
from leia.training.model import add_tags

TEXT = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))
ITEMS = dict(re.findall(r"`(\S+\.jsonl)`[^`]*?\n\n```json\n(.*?)```", TEXT, re.DOTALL))
COMMANDS = dict(re.findall(r"```bash\n# (\w+)\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("recipes") / "model")


@pytest.fixture
def checkout(tmp_path):
    """A folder like a fresh checkout, with the files of the recipes as a reader writes them."""
    for name in ("evaluate.sh", "train.sh", "scripts", "leia", "configs"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name, text in (FILES | ITEMS).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(checkout: Path, recipe: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("XCSR_DIR", "INCLUDE_PATH")}
    environment |= {"NUM_PROCESSES": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = ["bash", "-euc", COMMANDS[recipe]]
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_x_csqa_takes_another_language(model, checkout):
    (checkout / "models").mkdir()
    (checkout / "models/ko").symlink_to(model)
    items = checkout / "xcsr/X-CSQA/ko/dev.jsonl"
    item = json.loads(items.read_text(encoding="utf-8"))
    rows = [item | {"id": str(number)} for number in range(6)]
    items.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    run(checkout, "xcsqa_ko")
    result = read_result(checkout / "results/ko/xcsqa_ko_4shot.json")
    assert len(result.items) == 6 and list(result.metrics) == ["acc"]
    assert result.items[0].answer["context"].count("Question: 책은 어디에 있나요?\nAnswer:") == 5


def test_a_task_of_ones_own_is_two_files_in_a_folder_of_ones_own(model, checkout):
    (checkout / "models").mkdir()
    (checkout / "models/ja").symlink_to(model)
    printed = run(checkout, "capitals")
    assert "capitals, 2 shots: " in printed
    result = read_result(checkout / "results/ja/capitals_2shot.json")
    assert len(result.items) == 3 and list(result.metrics) == ["acc"]
    for item in result.items:
        *examples, question = item.answer["context"].split("\n\n")
        assert len(examples) == 2 and not any(example.startswith(question) for example in examples)


@pytest.mark.thorough
def test_a_table_of_ones_own_is_filled_by_one_command(sample_corpus, checkout):
    quickstart = checkout / "work/quickstart"
    (quickstart / "ja").mkdir(parents=True)
    shutil.copytree(sample_corpus.tiny_model, quickstart / "tiny-model")
    (quickstart / "ja/dataset").symlink_to(sample_corpus.wikis["ja"].dataset)
    printed = run(checkout, "table")
    assert re.search(r"\| Plain Wikipedia \| \d\.\d{3} \|", printed) and re.search(r"\| LEIA \| \d\.\d{3} \|", printed)


def test_a_training_scores_a_task_of_ones_own_with_the_examples_of_evaluate_sh(checkout, monkeypatch):
    monkeypatch.chdir(checkout)
    monkeypatch.syspath_prepend(ROOT / "scripts")
    from train import task_scores

    given = {"model_name_or_path": "", "wikipedia_dataset_dir": "none", "tasks": "capitals", "num_fewshot_samples": "2"}
    (ours,) = task_scores(Experiment(**given, include_path="my-tasks")).jobs
    (evaluated,) = find_tasks(["capitals"], [2], "", "my-tasks")
    assert ours.examples == evaluated.examples == DRAWN
    contexts = [
        [job.task.fewshot_context(doc=doc, num_fewshot=2) for doc in job.task.eval_docs] for job in (ours, evaluated)
    ]
    assert contexts[0] == contexts[1]


def test_a_model_writes(model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs/ja_right_p0.5_seed42"
    tokenizer, trained = AutoTokenizer.from_pretrained(model), AutoModelForCausalLM.from_pretrained(model)
    add_tags(trained, tokenizer)
    trained.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (code,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(code, {})
    assert capsys.readouterr().out.startswith("富士山は")
