"""The recipes of docs/evaluation.md do what they say: its files and its Python as they stand there, on a tiny model."""

import json
import re
import shutil

import pytest
from evaluation_sample import ROOT, XCSR, make_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from leia.evaluation import jobs
from leia.evaluation.run_tasks import ModelOptions, evaluate
from leia.training.model import add_tags

TEXT = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", TEXT, re.DOTALL))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("recipes") / "model")


def scored(model, results, tasks, include_path=None):
    found = jobs.find_tasks(tasks, [0] * len(tasks), str(model), include_path)
    return evaluate(ModelOptions("paper", str(model), "float32", "auto", False), found, results, dry_run=False)


def test_x_csqa_takes_another_language(model, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "TASKS_DIR", shutil.copytree(ROOT / "leia/tasks", tmp_path / "leia/tasks"))
    (tmp_path / "leia/tasks/xcsqa/xcsqa_ko.yaml").write_text(FILES["xcsqa_ko.yaml"])
    items = (XCSR / "X-CSQA/jap/dev.jsonl").read_text(encoding="utf-8").replace('"lang": "jap"', '"lang": "ko"')
    (tmp_path / "data/X-CSQA/ko").mkdir(parents=True)
    (tmp_path / "data/X-CSQA/ko/dev.jsonl").write_text(items, encoding="utf-8")
    monkeypatch.setenv("XCSR_DIR", str(tmp_path / "data"))
    (result,) = scored(model, tmp_path / "results", ["xcsqa_ko"])
    assert len(result.items) == 12 and list(result.metrics) == ["acc"]


def test_a_task_of_ones_own_is_a_file_in_a_folder_of_ones_own(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = FILES["my-tasks/capitals.yaml"]
    assert len(text.splitlines()) == 10
    item = json.loads(re.search(r"# (\{.*?\}),", text)[1])
    (tmp_path / "my-tasks").mkdir()
    (tmp_path / "my-tasks/capitals.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "my-tasks/capitals.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
    (result,) = scored(model, tmp_path / "results", ["capitals"], "my-tasks")
    assert result.items[0].answer["context"] == "日本の首都は" and result.items[0].answer["choices"] == item["cities"]


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
