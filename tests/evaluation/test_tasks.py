"""The task folders: the published contexts, literal prompts, data from either layout, and the harness's own command."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset, load_dataset
from evaluation_sample import ROOT, TASKS, XCSR, load_task, make_model

from benchmarks.evaluation import make_requests
from leia.evaluation.results import identify_data

LM_EVAL = str(Path(sys.executable).with_name("lm_eval"))
LANGUAGES = ["ar", "de", "en", "es", "fr", "hi", "it", "ja", "nl", "pl", "pt", "ru", "sw", "ur", "vi", "zh"]


@pytest.mark.parametrize(("benchmark", "num_fewshot"), [("xcodah", 0), ("xcsqa", 0), ("xcsqa", 4)])
def test_order_and_contexts_are_the_published_ones_in_all_languages(shared, monkeypatch, benchmark, num_fewshot):
    monkeypatch.setenv("XCSR_DIR", str(shared / "data/xcsr"))
    expected = json.loads((shared / "expected/xcsr-tiny-llama.json").read_text(encoding="utf-8"))
    for language in LANGUAGES:
        task = load_task(f"{benchmark}_{language}", num_fewshot)
        found = [(doc["id"], task.fewshot_context(doc, num_fewshot=num_fewshot)) for doc in task.eval_docs]
        items = expected[f"{benchmark}_{language}/{num_fewshot}"]["items"]
        assert found == [(item["id"], item["context"]) for item in items]


def test_requests_are_literally_these(monkeypatch):
    monkeypatch.setenv("XCSR_DIR", str(XCSR))
    scenes, questions = load_task("xcodah_es", 0), load_task("xcsqa_ja", 0)
    scenes.build_all_requests()
    questions.build_all_requests()
    assert (
        "",
        "El cocinero prueba la sopa y frunce el ceño. Le añade una pizca de sal y la vuelve a probar.",
    ) in [request.args for request in scenes.instances]
    assert ("Question: パンの生地をふくらませるには何が要りますか？\nAnswer:", " 酵母") in [
        request.args for request in questions.instances
    ]
    assert len(scenes.instances) == 12 * 4 and len(questions.instances) == 12 * 5


def test_examples_are_solved_items_other_than_the_item_itself(monkeypatch):
    monkeypatch.setenv("XCSR_DIR", str(XCSR))
    task = load_task("xcsqa_es", 4)
    for doc in task.eval_docs:
        *examples, question = task.fewshot_context(doc, num_fewshot=4).split("\n\n")
        assert len(set(examples)) == 4
        assert question == f"Question: {doc['question']['stem']}\nAnswer:"
        assert not any(example.startswith(question) for example in examples)
    sun = "Question: ¿Qué planeta está más cerca del Sol?\nAnswer: Mercurio"
    assert any(sun in task.fewshot_context(doc, num_fewshot=4) for doc in task.eval_docs)


def test_an_items_examples_do_not_depend_on_the_process_or_the_seed(monkeypatch):
    monkeypatch.setenv("XCSR_DIR", str(XCSR))
    whole, second = load_task("xcsqa_ja", 4), load_task("xcsqa_ja", 4)
    second.set_fewshot_seed(7)
    whole.build_all_requests()
    second.build_all_requests(rank=1, world_size=2)
    contexts = {request.doc["id"]: request.args[0] for request in whole.instances}
    assert len(second.instances) == 6 * 5
    assert all(contexts[request.doc["id"]] == request.args[0] for request in second.instances)


def test_the_official_archives_layout_gives_the_same_data(monkeypatch, tmp_path):
    shutil.copytree(XCSR / "X-CSQA", tmp_path / "X-CSR_datasets/X-CSQA")
    found = []
    for folder in (XCSR, tmp_path):
        monkeypatch.setenv("XCSR_DIR", str(folder))
        found.append(list(load_task("xcsqa_ja", 0).eval_docs))
    assert found[0] == found[1] and len(found[0]) == 12


def make_hub(folder):
    """X-CSQA in Japanese as the hub has it, and the local task it is made from."""
    local = load_task("xcsqa_ja", 0)
    rows = [
        {**doc, "question": {"choices": doc["question"]["choices"], "stem": doc["question"]["stem"]}, "tag": ""}
        for doc in local.dataset["validation"]
    ]
    (folder / "X-CSQA-jap").mkdir(parents=True)
    Dataset.from_list(rows).to_parquet(folder / "X-CSQA-jap/validation-00000-of-00001.parquet")
    config = (
        "configs:\n- config_name: X-CSQA-jap\n  data_files:\n  - {split: validation, path: X-CSQA-jap/validation-*}\n"
    )
    (folder / "README.md").write_text(f"---\n{config}---\n", encoding="utf-8")
    return local


def test_the_hub_gives_the_same_data_as_a_local_copy(monkeypatch, tmp_path):
    monkeypatch.setenv("XCSR_DIR", str(XCSR))
    local = make_hub(tmp_path / "hub")
    monkeypatch.delenv("XCSR_DIR")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(sys.modules[local.config.custom_dataset.__module__], "REPOSITORY", str(tmp_path / "hub"))
    remote = load_task("xcsqa_ja", 0)
    assert identify_data(list(remote.eval_docs)) == identify_data(list(local.eval_docs))


def test_without_a_network_the_cache_serves_and_what_it_lacks_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("XCSR_DIR", str(XCSR))
    make_hub(tmp_path / "xcsr")
    load_dataset(str(tmp_path / "xcsr"), "X-CSQA-jap", cache_dir=tmp_path / "cache")
    (tmp_path / "cache/xcsr").rename(tmp_path / "cache/INK-USC___xcsr")
    command = [sys.executable, ROOT / "scripts/evaluate.py", "--dry_run", "--results_dir", tmp_path / "results"]
    command += ["--model_name_or_path", make_model(tmp_path / "model"), "--num_fewshot_samples", "4"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "home"), "XCSR_DIR": ""}
    environment.pop("HF_HUB_OFFLINE", None)
    environment |= {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    for task, code, message in (
        ("xcsqa_ja", 0, ""),
        ("xcsqa_de", 1, "the hub cannot be reached ([Errno 111] Connection refused); XCSR_DIR names a local copy"),
    ):
        run = subprocess.run([*command, "--tasks", task], env=environment, capture_output=True, text=True)
        assert (run.returncode, len(run.stderr.splitlines())) == (code, code), run.stderr
        assert message in run.stderr and ("would evaluate xcsqa_ja, 4 shots" in run.stdout) == (code == 0)


def test_the_benchmarks_requests_are_made_without_a_bar_a_task(shared, monkeypatch, capsys):
    monkeypatch.setenv("XCSR_DIR", str(shared / "data/xcsr"))
    assert len(make_requests(items_per_language=1)) == 16 * 5
    assert capsys.readouterr().err == ""


GOOD = json.loads((XCSR / "X-CSQA/es/dev.jsonl").read_text(encoding="utf-8").splitlines()[0])
CHOICES = GOOD["question"]["choices"]


def with_choices(choices):
    return GOOD | {"id": "other", "question": GOOD["question"] | {"choices": choices}}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (None, "has no X-CSQA/es/dev.jsonl"),
        ([], "is empty"),
        ([json.dumps(GOOD), '{"id": "x", "ques'], ":2: expected an X-CSR item"),
        ([json.dumps(GOOD), json.dumps({"id": "x"})], ":2: expected an X-CSR item"),
        ([json.dumps(GOOD | {"answerKey": "Z"})], "has the answer 'Z'"),
        ([json.dumps(GOOD), json.dumps(GOOD)], "occurs twice"),
        ([json.dumps(with_choices(CHOICES[:4]))], "has 4 choices, expected 5"),
        (
            [json.dumps(with_choices([CHOICES[0] | {"text": ""}, *CHOICES[1:]]))],
            "es/dev.jsonl: item other, the first, has an empty choice",
        ),
        (
            [json.dumps(GOOD), json.dumps(GOOD | {"id": "other", "lang": "en"})],
            "es/dev.jsonl: item other is in the language 'en', expected 'es'",
        ),
    ],
)
def test_bad_data_is_named_with_its_place(monkeypatch, tmp_path, lines, message):
    monkeypatch.setenv("XCSR_DIR", str(tmp_path))
    if lines is not None:
        path = tmp_path / "X-CSQA/es/dev.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        load_task("xcsqa_es", 0)


@pytest.mark.thorough
def test_lm_eval_itself_lists_the_tasks():
    command = [LM_EVAL, "ls", "tasks", "--include_path", TASKS]
    listed = subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    assert all(f"|{benchmark}_{language} " in listed for benchmark in ("xcodah", "xcsqa") for language in LANGUAGES)
    assert all(f"|{group} " in listed for group in ("xcodah", "xcsqa", "xcsr"))


def test_lm_eval_itself_runs_the_tasks(monkeypatch, tmp_path):
    monkeypatch.setenv("XCSR_DIR", str(XCSR))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    model = make_model(tmp_path / "model")
    command = [LM_EVAL, "run", "--model", "hf", "--model_args", f"pretrained={model},dtype=float32", "--device", "cpu"]
    command += ["--include_path", TASKS, "--tasks", "xcodah_ja,xcsqa_es", "--num_fewshot", "4"]
    command += ["--output_path", tmp_path / "out", "--log_samples"]
    subprocess.run(command, capture_output=True, check=True)
    (samples,) = tmp_path.glob("out/*/samples_xcsqa_es_*.jsonl")
    contexts = [json.loads(line)["arguments"]["gen_args_0"]["arg_0"] for line in samples.open(encoding="utf-8")]
    assert len(contexts) == 12 and all(context.count("\n\n") == 4 for context in contexts)
