"""evaluate.sh and its script: results on disk, what is finished stays, several processes, bad input."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from evaluation_sample import ROOT, XCSR, make_model
from transformers import AutoTokenizer, LlamaForCausalLM

from leia.base.errors import InputError
from leia.evaluation.items import with_own_ids
from leia.evaluation.results import ItemResult, new_result, read_result

sys.path.insert(0, str(ROOT / "scripts"))
import evaluate as script

from leia.evaluation import jobs


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = make_model(tmp_path_factory.mktemp("models") / "modèle de test")
    (folder / "dataset_manifest.json").write_text('{"step": "made up"}', encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def finished(model, tmp_path_factory):
    """The results of an undisturbed run."""
    results = tmp_path_factory.mktemp("results") / "à garder"
    outcome = evaluate(model, results)
    assert outcome.exit_code == 0, outcome.output
    return results


def evaluate(model, results, tasks="xcodah_es,xcsqa_ja", num_fewshot="0,4", *more):
    arguments = ["--model_name_or_path", model, "--tasks", tasks, "--num_fewshot_samples", num_fewshot]
    arguments += ["--results_dir", results, "--xcsr_dir", XCSR, "--dtype", "float32", *more]
    return CliRunner().invoke(script.main, [str(argument) for argument in arguments])


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_result_says_what_was_evaluated_and_keeps_every_item(model, finished):
    about = json.loads((finished / "xcsqa_ja_4shot.json").read_text(encoding="utf-8"))
    lines = (finished / "xcsqa_ja_4shot.jsonl").read_text(encoding="utf-8").splitlines()
    items = [json.loads(line) for line in lines]
    assert list(items[0]) == ["id", "choices", "log_likelihoods", "prediction", "gold", "context", "acc"]
    assert len(items) == about["data"]["items"] == 12
    assert about["accuracy"] == sum(item["prediction"] == item["gold"] for item in items) / 12
    assert (
        about["metrics"] == {"acc": about["accuracy"]} and about["accuracy"] == sum(item["acc"] for item in items) / 12
    )
    assert about["harness"]["results"]["xcsqa_ja"]["acc,none"] == about["accuracy"]
    assert about["identity"]["model"]["dataset_manifest.json"] == {"step": "made up"}
    assert str(ROOT) not in json.dumps(about), "a result holds no path of the machine it was made on"


def test_a_finished_task_is_not_run_again_and_a_broken_one_is(model, finished, tmp_path):
    results = tmp_path / "results"
    shutil.copytree(finished, results)
    kept, broken = results / "xcodah_es_0shot.json", results / "xcsqa_ja_4shot.json"
    before = kept.stat().st_mtime_ns
    kept.with_name(f".{kept.name}.lock").touch()  # of a run that was killed when the result was complete
    broken.write_bytes(broken.read_bytes()[:200])
    outcome = evaluate(model, results)
    assert "xcsqa_ja_4shot.json: is not valid JSON, perhaps cut off" in outcome.output
    assert outcome.exit_code == 0 and kept.stat().st_mtime_ns == before
    assert files(results) == files(finished)

    lines = (results / "xcsqa_ja_4shot.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for kept, message in (
        ("".join(lines[:7]), ": has 7 items, expected 12"),
        ("".join(lines)[:-9], ":12: expected an item, found"),
    ):
        (results / "xcsqa_ja_4shot.jsonl").write_text(kept, encoding="utf-8")
        assert f"xcsqa_ja_4shot.jsonl{message}" in evaluate(model, results).output
        assert files(results) == files(finished)


def test_unusual_line_breaks_in_a_choice_come_back(tmp_path):
    item = ItemResult("x", {"choices": ["uno\u2028dos", "a\x85b"], "context": "c\x0bd\r\n"}, {"acc": 1.0})
    with new_result(tmp_path / "t_0shot.json") as write:
        write({"metrics": {"acc": 1.0}, "data": {"items": 1}, "identity": {"model": {}}}, [item])
    assert read_result(tmp_path / "t_0shot.json").items == [item]


def test_results_of_another_model_scoring_or_data_are_refused_and_stay(model, finished, tmp_path):
    before = files(finished)
    other = make_model(tmp_path / "other", seed=1)
    cases = {
        "another model": evaluate(other, finished, "xcodah_ja", "0"),
        "another scoring": evaluate(model, finished, "xcodah_ja", "0", "--scoring", "harness"),
    }
    shutil.copytree(XCSR, tmp_path / "data")
    data = tmp_path / "data/X-CODAH/es/dev.jsonl"
    data.write_text("".join(data.read_text(encoding="utf-8").splitlines(keepends=True)[1:]), encoding="utf-8")
    cases["other data"] = evaluate(model, finished, "xcodah_es", "0", "--xcsr_dir", tmp_path / "data")
    for message, outcome in cases.items():
        assert outcome.exit_code == 1 and message in outcome.output and "name another results folder" in outcome.output
    assert files(finished) == before


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        ({"tasks": "xcodah_xx,xcsqa_ja"}, 2, "there is no task xcodah_xx; there are "),
        (
            {"tasks": "xcodah_xx,xcsqa_ja"},
            2,
            "jcommonsenseqa_llmjp, jemhopqa, jsquad, niilc, xcodah, xcodah_<lang> (ar, de, en,",
        ),
        ({"tasks": ",", "num_fewshot": "0,4"}, 2, "--tasks ',' holds an empty name"),
        ({"num_fewshot": "4"}, 2, "one number a task is needed"),
        ({"num_fewshot": "4,4"}, 2, "xcodah_es is scored without examples"),
        ({"num_fewshot": "0,x"}, 2, "expected numbers such as 0,4, found '0,x'"),
        (
            {"num_fewshot": "0,12"},
            1,
            "xcsqa_ja: --num_fewshot_samples 12: 12 examples in front of each item need at least 13 items",
        ),
        ({"tasks": "xcodah_es,xcsqa_de"}, 1, "has no X-CSQA/de/dev.jsonl"),
        ({"model": "/no/such/folder"}, 1, "/no/such/folder: there is no such folder"),
        ({"model": str(XCSR)}, 1, "expected a model folder, found no config.json"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(model, tmp_path, monkeypatch, change, code, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    outcome = evaluate(**{"model": model, "results": tmp_path / "results"} | change)
    assert outcome.exit_code == code and message in outcome.output
    assert "Traceback" not in outcome.output and not (tmp_path / "results").exists()


def test_a_model_that_gives_no_numbers_is_an_error_and_no_result(model, tmp_path):
    broken = LlamaForCausalLM.from_pretrained(model)
    broken.model.norm.weight.data.fill_(float("nan"))
    broken.save_pretrained(tmp_path / "broken")
    AutoTokenizer.from_pretrained(model).save_pretrained(tmp_path / "broken")
    outcome = evaluate(tmp_path / "broken", tmp_path / "results", "xcodah_es", "0")
    assert outcome.exit_code == 1 and "xcodah_es: log-likelihoods are not numbers" in outcome.output
    assert not (tmp_path / "results").exists()


def test_a_model_whose_weights_are_cut_off_is_named_by_their_file(model, tmp_path):
    damaged = shutil.copytree(model, tmp_path / "damaged")
    os.truncate(damaged / "model.safetensors", 3000)
    outcome = evaluate(damaged, tmp_path / "results", "xcodah_es", "0")
    assert outcome.exit_code == 1 and f"error: {damaged}/model.safetensors: is damaged" in outcome.output
    assert not (tmp_path / "results").exists()


def test_a_run_killed_in_the_middle_leaves_nothing_half_and_goes_on(model, finished, tmp_path):
    results = tmp_path / "results"
    command = [sys.executable, ROOT / "scripts/evaluate.py", "--model_name_or_path", model, "--tasks"]
    command += ["xcodah_es,xcsqa_ja", "--num_fewshot_samples", "0,4", "--results_dir", results, "--xcsr_dir", XCSR]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not list(results.glob(".xcsqa_ja*")) and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    visible = {path.name for path in results.glob("[!.]*")}
    assert visible <= set(files(finished)) and all(
        (results / name).read_bytes() == files(finished)[name] for name in visible
    )
    assert evaluate(model, results).exit_code == 0
    assert files(results) == files(finished)


QUESTIONS = [{"q": f"{first} and {second} and", "a": first, "b": second} for first in "abcd" for second in "wxyz"]
TASK = """
task: {name}
dataset_path: json
dataset_kwargs: {{data_files: {{validation: "{data}"}}}}
validation_split: validation
output_type: {kind}
"""
KINDS = {
    "letters": 'doc_to_text: "{{q}}"\ndoc_to_choice: [" A", " B"]\ndoc_to_target: letter',
    "gaps": 'doc_to_text: number\ndoc_to_choice: ["{{q}} {{a}}", "{{q}} {{b}}"]\ndoc_to_target: "is."',
    "several": 'doc_to_text: "{{q}}"\ndoc_to_choice: [" A", " B"]\ndoc_to_target: numbers',
    "none": 'doc_to_text: "{{q}}"\ndoc_to_choice: [" A", " B"]\ndoc_to_target: q',
    "normalised": 'doc_to_text: "{{q}}"\ndoc_to_choice: [" A", " Bcd"]\ndoc_to_target: number',
    "open": 'doc_to_text: "{{q}}"\ndoc_to_target: letter',
    "rolling": 'doc_to_text: ""\ndoc_to_target: q',
    "likelihood": 'doc_to_text: "{{q}}"\ndoc_to_target: letter',
    "unlike": 'doc_to_text: "{{q}}"\ndoc_to_choice: [" A", " Bcd"]\ndoc_to_target: number',
    "filtered": 'doc_to_text: "{{q}}"\ndoc_to_target: letter',
    "unknown": 'doc_to_text: "{{q}}"\ndoc_to_choice: [" A", " B"]\ndoc_to_target: number',
    "extra": 'doc_to_text: "{{q}}"\ndoc_to_choice: [" A", " B"]\ndoc_to_target: q',
}
OUTPUTS = {
    "normalised": "multiple_choice\nmetric_list: [{metric: acc_norm}, {metric: acc}]",
    "open": "generate_until\ngeneration_kwargs: {until: ['.'], max_gen_toks: 4}\nmetric_list: [{metric: exact_match}]",
    "rolling": "loglikelihood_rolling\nmetric_list: [{metric: byte_perplexity}, {metric: word_perplexity}]",
    "likelihood": "loglikelihood\nmetric_list: [{metric: acc}, {metric: perplexity}]",
    "unlike": "multiple_choice\nmetric_list: [{metric: mcc}, {metric: f1}]",
    "filtered": "generate_until\ngeneration_kwargs: {until: ['.'], max_gen_toks: 4}\n"
    "filter_list: [{name: whole, filter: [{function: take_first}]}, "
    "{name: first, filter: [{function: regex, regex_pattern: '(.)'}, {function: take_first}]}]\n"
    "metric_list: [{metric: !function own_metrics.length, aggregation: mean, higher_is_better: true}, "
    "{metric: exact_match}]",
    "unknown": "multiple_choice\nprocess_results: !function own_metrics.process\nmetric_list: [{metric: second}]",
    "extra": "multiple_choice\nprocess_results: !function own_metrics.process\n"
    "metric_list: [{metric: second, aggregation: mean, higher_is_better: true}]",
}
OWN_METRICS = """
def length(references, predictions, **_):
    return float(len(predictions[0]))

def process(doc, results):
    return {"first": 1.0, "second": 0.5}
"""


GROUP = """
group: both
task: [normalised, unlike]
aggregate_metric_list: [{metric: acc_norm, weight_by_size: true}]
"""


@pytest.fixture
def tasks_of_others(tmp_path, monkeypatch):
    """Task files in the ways in which the harness's own ones say what is right: by letter, by gap, ..."""
    right = [k % 3 // 2 for k in range(len(QUESTIONS))]
    rows = [
        row | {"letter": [" A", " B"][index], "number": index, "numbers": [0, 1]}
        for row, index in zip(QUESTIONS, right, strict=True)
    ]
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, how in KINDS.items():
        kind = OUTPUTS.get(name, "multiple_choice\nmetric_list: [{metric: acc}]")
        (tmp_path / f"{name}.yaml").write_text(TASK.format(name=name, data=data, kind=kind) + how)
    (tmp_path / "own_metrics.py").write_text(OWN_METRICS)
    (tmp_path / "both.yaml").write_text(GROUP)
    monkeypatch.setattr(jobs, "TASKS_DIR", tmp_path)


@pytest.mark.parametrize("scoring", ["paper", "harness"])
def test_tasks_of_the_harness_keep_their_metrics_however_they_say_what_is_right(
    model, tasks_of_others, tmp_path, scoring
):
    outcome = evaluate(model, tmp_path / "results", "letters,gaps,several", "0,0,0", "--scoring", scoring)
    assert outcome.exit_code == 0, outcome.output
    for name in ("letters", "gaps", "several"):
        result = read_result(tmp_path / "results" / f"{name}_0shot.json")
        assert result.value("acc") == pytest.approx(result.about["harness"]["results"][name]["acc,none"])
        assert result.value() == pytest.approx(sum(item.metrics["acc"] for item in result.items) / 16)
        golds = [item.answer["gold"] for item in result.items]
        assert golds == [[0, 1]] * 16 if name == "several" else 0 < sum(golds) < len(golds) == 16
    assert result.metrics.keys() == {"acc"} and result.value() == 1, "either choice is right"


def test_the_metrics_of_a_task_go_by_their_names_the_first_one_first(model, tasks_of_others, tmp_path):
    outcome = evaluate(model, tmp_path / "results", "normalised", "0")
    result = read_result(tmp_path / "results/normalised_0shot.json")
    assert list(result.metrics) == ["acc_norm", "acc"] and result.value() == result.metrics["acc_norm"]
    assert result.about["accuracy"] == result.metrics["acc"], "the accuracy stays where it was"
    assert all(
        list(item.metrics) == ["acc_norm", "acc"] or set(item.metrics) == {"acc", "acc_norm"} for item in result.items
    )
    shown = f"normalised, 0 shots: {result.value():.3f}  acc_norm, {result.value('acc'):.3f}  acc"
    assert shown in outcome.output
    with pytest.raises(InputError, match="normalised: has no metric 'f1'; expected one of its own: acc_norm, acc"):
        result.value("f1")


@pytest.mark.parametrize("scoring", ["paper", "harness"])
def test_answers_that_a_model_writes_are_kept_with_their_metrics(model, tasks_of_others, tmp_path, scoring):
    outcome = evaluate(model, tmp_path / "results", "open", "0", "--scoring", scoring)
    assert outcome.exit_code == 0, outcome.output
    result = read_result(tmp_path / "results/open_0shot.json")
    assert list(result.metrics) == ["exact_match"] and "accuracy" not in result.about
    line = json.loads((tmp_path / "results/open_0shot.jsonl").read_text().splitlines()[0])
    assert list(line) == ["id", "context", "generation", "gold", "exact_match"] and line["context"] == "a and w and"
    again = evaluate(model, tmp_path / "results", "open", "0", "--scoring", scoring)
    assert "tasks to evaluate: 0 of 1" in again.output


@pytest.mark.parametrize("scoring", ["paper", pytest.param("harness", marks=pytest.mark.thorough)])
def test_every_kind_of_task_has_its_own_metrics_by_their_names(model, tasks_of_others, tmp_path, scoring):
    """Log-likelihoods, perplexities, metrics over all items, several filters, functions of the task, a group."""
    tasks = "likelihood,rolling,filtered,extra,both"
    outcome = evaluate(model, tmp_path / "results", tasks, "1,0,1,1,1", "--scoring", scoring)
    assert outcome.exit_code == 0, outcome.output
    found = {path.name.partition("_")[0]: read_result(path) for path in (tmp_path / "results").glob("*.json")}
    assert {name: list(result.metrics) for name, result in found.items()} == {
        "likelihood": ["acc", "perplexity"],
        "rolling": ["byte_perplexity", "word_perplexity"],
        "filtered": ["length,whole", "length,first", "exact_match,whole", "exact_match,first"],
        "extra": ["second", "first"],
        "normalised": ["acc_norm", "acc"],
        "unlike": ["mcc", "f1"],
    }
    for name, result in found.items():
        harness = result.about["harness"]["results"][name]
        assert result.metrics == {
            metric: pytest.approx(harness[metric if "," in metric else f"{metric},none"]) for metric in result.metrics
        }
        assert ("accuracy" in result.about) == ("acc" in result.metrics)
        shots = 0 if name == "rolling" else 1
        shown = ", ".join(f"{value:.3f}  {metric}" for metric, value in result.metrics.items())
        assert f"{name}, {shots} shots: {shown}\n" in outcome.output
    assert f"both, 1 shots: {found['normalised'].value('acc_norm'):.3f}  acc_norm\n" in outcome.output
    assert found["likelihood"].items[0].answer["continuations"] == [" A"]
    assert found["rolling"].items[0].answer["text"] == "a and w and"
    assert found["rolling"].is_better_less() and not found["likelihood"].is_better_less("acc")
    assert found["unlike"].items[0].metrics == {}, "no item has an mcc; an accuracy is not asked for"


@pytest.mark.parametrize(
    ("name", "number", "code", "reason"),
    [
        ("rolling", "1", 2, "rolling is scored without examples, 1 were asked for"),
        ("none", "0", 1, "none: the right answer 'a and w and' of item 0 is not one of its choices"),
        ("unknown", "0", 1, "error: unknown: lm-eval can make no task of its file (KeyError"),
    ],
)
def test_a_task_that_cannot_be_scored_so_is_refused(model, tasks_of_others, tmp_path, name, number, code, reason):
    outcome = evaluate(model, tmp_path / "results", name, number)
    assert (outcome.exit_code, reason in outcome.output) == (code, True), outcome.output
    assert not (tmp_path / "results").exists()


def test_a_metric_that_does_not_fit_the_answers_is_one_line(model, tasks_of_others, tmp_path):
    three = TASK.format(name="three", data=tmp_path / "data.jsonl", kind="multiple_choice\nmetric_list: [{metric: f1}]")
    how = 'doc_to_text: "{{q}}"\ndoc_to_choice: [" A", " B", " C"]\n'
    how += 'doc_to_target: \'{{(a == "b") + 2 * (a == "c")}}\''
    (tmp_path / "three.yaml").write_text(three + how)
    outcome = evaluate(model, tmp_path / "results", "three", "0")
    assert outcome.exit_code == 1 and "error: three: lm-eval cannot evaluate it (Target is multiclass" in outcome.output
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("docs", "ids"),
    [
        ([{"id": "x"}, {"id": 7}], ["x", "7"]),
        ([{"id": "x"}, {"id": "x"}], ["0", "1"]),
        ([{"id": "x"}, {"id": None}], ["0", "1"]),
        (["a text", "another"], ["0", "1"]),
    ],
)
def test_items_go_by_the_ids_of_their_documents_where_each_has_its_own(docs, ids):
    """Two items of one id would be one in a table's bootstrap."""
    items = [ItemResult(str(number), {}, {}) for number in range(2)]
    assert [item.id for item in with_own_ids(items, docs)] == ids


def test_a_result_says_whose_examples_it_has_and_an_older_one_is_told(model, tasks_of_others, tmp_path):
    assert evaluate(model, tmp_path / "results", "letters", "2").exit_code == 0
    path = tmp_path / "results/letters_2shot.json"
    about = json.loads(path.read_text())
    assert about["examples"] == "drawn by the seed 42 and the number of the item"
    assert "earlier version" not in evaluate(model, tmp_path / "results", "letters", "2").output
    del about["examples"]
    path.write_text(json.dumps(about))
    again = evaluate(model, tmp_path / "results", "letters", "2")
    assert again.exit_code == 0 and "tasks to evaluate: 0 of 1" in again.output
    assert f"note: {path}: an earlier version let lm-eval draw its examples" in again.output


def test_a_result_of_former_versions_is_read(tmp_path):
    about = {"task": "t", "accuracy": 0.5, "data": {"items": 2}, "identity": {"model": {}}}
    (tmp_path / "t_0shot.json").write_text(json.dumps(about))
    item = {"choices": ["a", "b"], "log_likelihoods": [-1.0, -2.0], "prediction": 0, "context": ""}
    lines = [json.dumps({"id": str(gold)} | item | {"gold": gold}) for gold in (0, 1)]
    (tmp_path / "t_0shot.jsonl").write_text("\n".join(lines))
    result = read_result(tmp_path / "t_0shot.json")
    assert result.value() == 0.5 and [item.metrics for item in result.items] == [{"acc": 1.0}, {"acc": 0.0}]
    # Where the task asked for another metric, the accuracy beside it is not the task's.
    reported = {"alias": "t", "acc_norm,none": 0.75, "acc_norm_stderr,none": 0.1}
    harness = {"results": {"t": reported}, "configs": {"t": {"metric_list": [{"metric": "acc_norm"}]}}}
    (tmp_path / "t_0shot.json").write_text(json.dumps(about | {"harness": harness}))
    result = read_result(tmp_path / "t_0shot.json")
    assert result.metrics == {"acc_norm": 0.75} and [item.metrics for item in result.items] == [{}, {}]


def test_the_group_of_both_benchmarks_gives_examples_to_the_one_that_takes_some(tmp_path, monkeypatch):
    languages = {path.stem.rpartition("_")[2] for path in (ROOT / "leia/tasks/xcsqa").glob("xcsqa_*.yaml")}
    for source in XCSR.glob("*/es/dev.jsonl"):
        for language in languages:
            copy = tmp_path / source.parts[-3] / ("jap" if language == "ja" else language) / "dev.jsonl"
            copy.parent.mkdir(parents=True)
            copy.write_text(source.read_text().replace('"lang": "es"', f'"lang": "{copy.parent.name}"'))
    monkeypatch.setenv("XCSR_DIR", str(tmp_path))
    found = jobs.find_tasks(["xcsr"], [4], "")
    assert {(job.name.partition("_")[0], job.num_fewshot) for job in found} == {("xcodah", 0), ("xcsqa", 4)}


@pytest.mark.parametrize("number", ["0", "x", "-1", "2 "])
def test_a_number_of_processes_that_is_none_is_one_line(tmp_path, number):
    variables = {"MODEL_NAME_OR_PATH": "m", "RESULTS_DIR": str(tmp_path / "results"), "NUM_PROCESSES": number}
    run = subprocess.run([ROOT / "evaluate.sh"], env=os.environ | variables, capture_output=True, text=True)
    assert run.returncode == 2 and not list(tmp_path.iterdir())
    assert run.stderr == f"error: NUM_PROCESSES is '{number}'; expected a number above 0\n"


def test_evaluate_sh_on_two_processes_gives_the_scores_of_one(model, finished, tmp_path):
    results = tmp_path / "résultats 'deux'"
    variables = {
        "MODEL_NAME_OR_PATH": str(model),
        "TASKS": "xcodah_es,xcsqa_ja",
        "NUM_FEWSHOT_SAMPLES": "0,4",
        "RESULTS_DIR": str(results),
        "XCSR_DIR": str(XCSR),
        "NUM_PROCESSES": "2",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    run = subprocess.run(
        [ROOT / "evaluate.sh", "--batch_size", "5"], env=os.environ | variables, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "6/6" in run.stderr, "each process scores half of the twelve items"
    shown = [part for part in re.split(r"[\r\n]+", run.stderr) if part and not part.startswith("Scoring:")]
    assert shown == [], "no bar without a name, no warning that helps nobody"
    for path in sorted(finished.glob("*.jsonl")):
        expected = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        found = [json.loads(line) for line in (results / path.name).read_text(encoding="utf-8").splitlines()]
        for one, other in zip(found, expected, strict=True):
            assert one["log_likelihoods"] == pytest.approx(other.pop("log_likelihoods"), abs=1e-3)
            assert {key: one[key] for key in other} == other
