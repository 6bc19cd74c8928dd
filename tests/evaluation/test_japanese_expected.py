"""The Japanese tasks beside what the original harnesses make of the same items: contexts, choices, answers, scores;
and what a tiny model answers."""

import json
import shutil

import pytest
from japanese_sample import contexts, load_task
from transformers import PreTrainedTokenizerFast

from leia.evaluation.leia_lm import LeiaLM

FILES = {
    "jcommonsenseqa_jpharness": "jcommonsenseqa",
    "jcommonsenseqa_llmjp": "jcommonsenseqa_llmjp",
    "niilc_llmjp": "niilc",
    "jemhopqa_llmjp": "jemhopqa",
    "jaqket_v1": "jaqket_v1",
    "jaqket_v2": "jaqket_v2",
}
"""How the names of the files begin -> the task."""
CHOICES = [f"jcommonsenseqa_jpharness_{number}shot.json" for number in (0, 3, 4)]
CHOICES += [f"jaqket_v1_jpharness_{number}shot.json" for number in (0, 1)]
GENERATED = [f"jaqket_v2_jpharness_{number}shot.json" for number in (0, 1, 3)]
GENERATED += ["jaqket_v2_jpharness_1shot_experimental.json"]
GENERATED += ["jaqket_v2_scripted_1shot.json", "jaqket_v2_scripted_1shot_no_dynamic_length.json"]
FIXED = [
    f"{name}_llmjp_{kind}.json" for name in ("niilc", "jemhopqa", "jcommonsenseqa") for kind in ("4shot", "scripted")
]


@pytest.fixture
def load(shared, monkeypatch, tmp_path):
    """A task as the original ran it, and the file that says what came of it."""
    monkeypatch.setenv("JAPANESE_DIR", str(shared / "data/japanese"))
    shutil.copyfile(shared / "data/tokenizer-as-on-the-hub/tokenizer.json", tmp_path / "tokenizer.json")
    shutil.copyfile(shared / "data/tiny-llama/config.json", tmp_path / "config.json")

    def load(file):
        expected = json.loads((shared / "expected/japanese" / file).read_text(encoding="utf-8"))
        monkeypatch.setenv("DYNAMIC_MAX_LENGTH", expected.get("dynamic_max_length", "true"))
        (name,) = (task for start, task in FILES.items() if file.startswith(start))
        task = load_task(name, expected["num_fewshot"], pretrained=str(tmp_path))
        task.build_all_requests()
        return task, expected

    return load


def aggregate(task, results):
    """Each metric over the items; the same whichever process had which items."""
    found = {}
    for metric in results[0]:
        values = [result[metric] for result in results]
        found[metric] = task.aggregation()[metric](values)
        assert task.aggregation()[metric](values[1::2] + values[::2]) == found[metric]
    return found


def test_every_file_is_looked_at(shared):
    files = {path.name for path in (shared / "expected/japanese").iterdir()}
    assert files == {*CHOICES, *GENERATED, *FIXED, "metric_pins.json"}


@pytest.mark.parametrize("file", CHOICES)
def test_choices_are_asked_and_scored_as_in_the_jp_harness(load, file):
    task, expected = load(file)
    items = expected["items"]
    assert [item["position"] for item in items] == list(range(len(items)))
    assert list(contexts(task).values()) == [item["context"] for item in items]
    assert [request.args for request in task.instances] == [
        (item["context"], continuation) for item in items for continuation in item["continuations"]
    ]
    for doc, item in zip(task.eval_docs, items, strict=True):
        found = (doc["question"], task.doc_to_choice(doc), task.doc_to_target(doc))
        assert found == (item["question"], item["choices"], item["gold"])
    scores = [[(score, False) for score in item["log_likelihoods"]] for item in items]
    results = [task.process_results(doc, score) for doc, score in zip(task.eval_docs, scores, strict=True)]
    assert results == [{"acc": item["acc"], "acc_norm": item["acc_norm"]} for item in items]
    assert aggregate(task, results).items() <= expected["aggregate"].items()


@pytest.mark.parametrize("file", GENERATED)
def test_jaqket_v2_is_asked_and_scored_as_in_the_jp_harness(load, file):
    task, expected = load(file)
    items = expected["items"]
    assert [doc["id"] for doc in task.eval_docs] == [item["qid"] for item in items]
    for request, doc, item in zip(task.instances, task.eval_docs, items, strict=True):
        context, generation = request.args
        assert (doc["question"], doc["answers"], context) == (item["question"], item["answers"], item["context"])
        assert generation["until"] == item["until"] and not generation["do_sample"]
        if "experimental" not in file:  # that backend ignores the number of tokens
            assert generation["max_gen_toks"] == item["max_new_tokens"]
        result = task.process_results(doc, [item["generation"]])
        assert (result["exact_match"], round(result["f1"], 6)) == (item["exact_match"], item["f1"])
    results = [task.process_results(doc, [item["generation"]]) for doc, item in zip(task.eval_docs, items, strict=True)]
    assert aggregate(task, results) == expected["aggregate"]


@pytest.mark.parametrize("file", FIXED)
def test_questions_are_asked_and_scored_as_in_llm_jp_eval(load, file):
    task, expected = load(file)
    items, metric = expected["items"], next(iter(expected["aggregate"])).removeprefix(f"{expected['task']}_")
    assert task.sampler.df == expected["few_shots"]
    for request, doc, item in zip(task.instances, task.eval_docs, items, strict=True):
        context, generation = request.args
        assert (context, doc["input"], doc["output"]) == (item["prompt"], item["input"], item["output"])
        assert generation["max_gen_toks"] == expected["max_new_tokens"] and not generation["do_sample"]
        assert task.process_results(doc, [item["generation"]]) == {metric: item[metric]}
    results = [task.process_results(doc, [item["generation"]]) for doc, item in zip(task.eval_docs, items, strict=True)]
    assert aggregate(task, results) == {metric: expected["aggregate"][f"{expected['task']}_{metric}"]}
    assert f"{aggregate(task, results)[metric]:.4f}" == next(iter(expected["aggregate_as_written"].values()))


def test_metrics_are_those_of_the_original_libraries(shared):
    from leia.tasks.japanese import jaqket_v2_metrics, llmjp

    pins = json.loads((shared / "expected/japanese/metric_pins.json").read_text(encoding="utf-8"))["items"]
    assert len(pins) == 72
    for pin in pins:
        generation, doc = [pin["prediction"]], {"output": pin["reference"], "answers": [pin["reference"]]}
        assert llmjp.char_f1(pin["pred"], pin["gold"]) == pin["char_f1"]
        assert llmjp.score_char_f1(doc, generation) == {"char_f1": pin["char_f1"]}
        assert llmjp.score_exact_match(doc, generation) == {"exact_match": pin["exact_match"]}
        jaqket = {"exact_match": 100.0 * pin["jaqket_exact_match"], "f1": 100.0 * pin["jaqket_f1"]}
        assert jaqket_v2_metrics.process_results(doc, generation) == jaqket


@pytest.fixture(scope="module")
def lm(shared):
    path = str(shared / "data/tokenizer-as-on-the-hub/tokenizer.json")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=path, eos_token="</s>")
    return LeiaLM(
        str(shared / "data/tiny-llama"), tokenizer=tokenizer, dtype="float32", device="cpu", batch_size="auto"
    )


@pytest.mark.parametrize("file", CHOICES)
def test_a_model_gets_the_log_likelihoods_of_the_jp_harness(load, lm, file):
    task, expected = load(file)
    results = iter(lm.loglikelihood(task.instances, disable_tqdm=True))
    for item in expected["items"]:
        found = [next(results)[0] for _ in item["continuations"]]
        assert found == pytest.approx(item["log_likelihoods"], abs=2e-4)
        assert found.index(max(found)) == item["prediction"]


@pytest.mark.parametrize("file", [*GENERATED[:3], *FIXED[::2]])
def test_a_model_writes_what_it_wrote_in_the_original_harnesses(load, lm, file):
    task, expected = load(file)
    lm.generation_rule = task.config.metadata["generation"]
    found = lm.generate_until(task.instances, disable_tqdm=True)
    assert found == [item["generation"] for item in expected["items"]]
