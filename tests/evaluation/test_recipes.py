"""The recipes of docs/evaluation.md do what they say: its files and its Python as they stand there, on a tiny model."""

import json
import re
import shutil
from pathlib import Path

import pytest
from evaluation_sample import ROOT, XCSR, make_model
from transformers import AutoModelForCausalLM, AutoTokenizer

from leia.evaluation import jobs
from leia.evaluation.run_tasks import ModelOptions, evaluate
from leia.tables.definition import load_table, narrow
from leia.tables.plan import Folders, missing_steps
from leia.tables.table import fill
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


def test_a_table_of_ones_own_is_filled_in_and_knows_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INCLUDE_PATH", "my-tasks")
    for name in ("my-tasks/capitals.yaml", "my-tables/capitals.yaml"):
        Path(name).parent.mkdir()
        Path(name).write_text(FILES[name], encoding="utf-8")
    item = json.loads(re.search(r"# (\{.*?\}),", FILES["my-tasks/capitals.yaml"])[1])
    Path("my-tasks/capitals.jsonl").write_text(json.dumps(item) + "\n", encoding="utf-8")
    table = narrow(load_table(Path("my-tables/capitals.yaml")), str(make_model(tmp_path / "base")), [], [])
    folders = Folders(Path("runs"), Path("results"), "work/datasets/{language}wiki-{model}", ROOT)
    assert [step.run_name for step in missing_steps(table, folders) if step.script == "train.sh"] == [
        "ja_none_seed42",
        "ja_right_p0.5_seed42",
    ]
    for seed, name in enumerate(("ja_none_seed42", "ja_right_p0.5_seed42"), 1):
        make_model(tmp_path / "runs" / name, seed)
    for step in missing_steps(table, folders):
        given = step.variables
        assert step.script == "evaluate.sh" and given["INCLUDE_PATH"] == "my-tasks"
        scored(given["MODEL_NAME_OR_PATH"], Path(given["RESULTS_DIR"]), [given["TASKS"]], given["INCLUDE_PATH"])
    assert not missing_steps(table, folders)
    assert all(cell.ours for cell in fill(table, Path("results")).values())


@pytest.mark.parametrize(
    ("column", "language"),
    [
        ("vi: [belebele_vie_Latn, 0]", "vi"),
        ("vi: [global_mmlu_full_vi_stem, 5, acc]", "vi"),
        ("jcqa: [xcsqa_ja, 4]", "ja"),
        ("vi: {task: mine, language: ja}", "ja"),
        ("facts: {task: mine_in_de, num_fewshot: 2, metric: f1, language: zh-min-nan}", "zh-min-nan"),
    ],
)
def test_the_language_of_a_column_is_named_or_its_name_or_in_the_tasks(tmp_path, column, language):
    text = FILES["my-tables/capitals.yaml"].replace("ja: {task: capitals, num_fewshot: 0, language: ja}", column)
    (tmp_path / "table.yaml").write_text(text)
    (found,) = load_table(tmp_path / "table.yaml").parts[0].columns
    assert found.language == language


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
