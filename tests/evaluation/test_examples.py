"""The examples in front of an item: never the item, the same on any number of processes, for every kind of task; what a
task pins stays."""

import json
from types import SimpleNamespace

import pytest
from evaluation_sample import XCSR
from japanese_sample import lay_out

from leia.base.errors import InputError
from leia.evaluation import examples, jobs
from leia.evaluation.notes import _said

ITEMS = 12
CLASSES = """
import json
from pathlib import Path
from datasets import Dataset
from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask, Task

class Common:
    def download(self, *_, **__):
        lines = (Path(__file__).parent / "items.jsonl").read_text().splitlines()
        self.dataset = {"test": Dataset.from_list([json.loads(line) for line in lines])}
    def has_training_docs(self):
        return False
    def has_validation_docs(self):
        return False
    def has_test_docs(self):
        return True
    def test_docs(self):
        return self.dataset["test"]
    def doc_to_text(self, doc):
        return doc["question"]
    def doc_to_target(self, doc):
        return " " + doc["choices"][doc["answer"]]
    def construct_requests(self, doc, ctx, apply_chat_template=False, chat_template=None, **more):
        return Instance("loglikelihood", doc, (ctx, self.doc_to_target(doc)), 0, **more)
    def process_results(self, doc, results):
        return {"acc": float(results[0][1])}
    def aggregation(self):
        return {"acc": lambda values: sum(values) / len(values)}
    def higher_is_better(self):
        return {"acc": True}

class Configurable(Common, ConfigurableTask):
    def __init__(self, config=None):
        super().__init__(config={"output_type": "loglikelihood", "metric_list": []})

class Plain(Common, Task):
    OUTPUT_TYPE = "loglikelihood"

class Own(Configurable):
    def fewshot_context(self, doc, num_fewshot, **_):
        return "its own\\n\\n" * num_fewshot + doc["question"]
"""
COMMON = "dataset_path: json\ndoc_to_text: '{{question}}'\n"
CHOICE = "output_type: multiple_choice\ndoc_to_choice: choices\ndoc_to_target: answer\nmetric_list: [{metric: acc}]\n"
TEXT = "doc_to_target: '{{choices[answer]}}'\n"
KINDS = {
    "choice": COMMON + CHOICE + "test_split: test\n",
    "validation": COMMON + CHOICE + "validation_split: test\n",
    "same_split": COMMON + CHOICE + "validation_split: test\nfewshot_split: test\n",
    "likelihood": COMMON + TEXT + "output_type: loglikelihood\ntest_split: test\n",
    "generation": COMMON + TEXT + "output_type: generate_until\ntest_split: test\n",
    "configurable": "class: !function classes.Configurable\n",
    "plain": "class: !function classes.Plain\n",
    "first": COMMON + CHOICE + "test_split: test\nfewshot_config: {sampler: first_n}\n",
    "listed": COMMON + CHOICE + "test_split: test\nfewshot_config: {samples: [%s, %s]}\n",
    "own": "class: !function classes.Own\n",
}
DRAWN = ("choice", "validation", "same_split", "likelihood", "generation", "configurable", "plain")


@pytest.fixture
def folder(tmp_path):
    """Tasks of every kind over one file of items, of which 3 and 7 ask and answer the same."""
    questions = [f"Question {number if number != 7 else 3}?" for number in range(ITEMS)]
    rows = [{"id": n, "question": text, "choices": ["a", "b", "c"], "answer": 0} for n, text in enumerate(questions)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "classes.py").write_text(CLASSES)
    listed = tuple(json.dumps(row | {"question": f"From the list {number}?"}) for number, row in enumerate(rows[:2]))
    data = f"dataset_kwargs: {{data_files: {{test: '{tmp_path}/items.jsonl'}}}}\n"
    for name, text in KINDS.items():
        text = text % listed if name == "listed" else text
        more = data if text.startswith(COMMON) else ""
        (tmp_path / f"{name}.yaml").write_text(f"task: {name}\n{text}{more}")
    return tmp_path


def find(folder, name, number):
    (job,) = jobs.find_tasks([name], [number], "", str(folder))
    job.task.set_config("num_fewshot", number)
    job.task.set_fewshot_seed(1234)  # no generator of lm-eval has a say
    return job


def contexts(job, processes=1, **subset):
    """The context of each item, by its number, as so many processes build them."""
    found = {}
    for rank in range(processes):
        job.task.build_all_requests(rank=rank, world_size=processes, **subset)
        found |= {one.doc["id"]: one.args[0] for one in job.task.instances}
    return dict(sorted(found.items()))


@pytest.mark.parametrize("name", DRAWN)
def test_no_item_is_its_own_example_and_processes_change_nothing(folder, name):
    """Fails for lm-eval's own examples: an item sees its answer, and other ones on 3 processes than on 1."""
    job = find(folder, name, 3)
    assert job.examples == examples.DRAWN
    alone = contexts(job)
    assert len(alone) == ITEMS
    for context in alone.values():
        *others, question = context.split("\n\n")
        assert len(others) == 3 and len(set(others)) >= 2, "3 and 7 may both be there, in front of another item"
        assert not any(other.startswith(question) for other in others)
    assert len({context.rpartition("\n\n")[0] for context in alone.values()}) > ITEMS // 2, "each draws its own"
    assert contexts(job, processes=3) == alone == contexts(find(folder, name, 3))
    assert contexts(job, limit=5) == dict(list(alone.items())[:5])
    assert contexts(job, samples=[4, 9]) == {number: alone[number] for number in (4, 9)}


def test_what_a_task_pins_stays(folder):
    first = find(folder, "first", 2)
    assert first.examples == examples.OWN
    begun = [context.split("\n\n")[:-1] for context in contexts(first).values()]
    assert begun[5] == ["Question 0? a", "Question 1? a"] and begun[0] == ["Question 1? a", "Question 2? a"]
    listed = find(folder, "listed", 2)
    assert listed.examples == examples.OWN
    assert all(one.startswith("From the list 0? a\n\nFrom the list 1? a\n\nQ") for one in contexts(listed).values())
    own = find(folder, "own", 2)
    assert own.examples == examples.OWN
    assert contexts(own)[4] == "its own\n\nits own\n\nQuestion 4?"


def test_the_tasks_of_the_paper_say_that_they_pin_theirs(tmp_path, monkeypatch):
    monkeypatch.setenv("XCSR_DIR", str(XCSR))
    monkeypatch.setenv("JAPANESE_DIR", str(lay_out(tmp_path / "ja")))
    found = jobs.find_tasks(["xcsqa_ja", "jcommonsenseqa", "niilc", "xcodah_es"], [4, 1, 1, 0], "")
    assert [job.examples for job in found] == [*[examples.OWN] * 3, examples.NONE]


@pytest.mark.parametrize(("name", "number", "left"), [("choice", 12, 11), ("plain", 12, 11), ("listed", 3, 2)])
def test_too_few_others_are_one_line(folder, name, number, left):
    with pytest.raises(InputError, match=f"^{name}: --num_fewshot_samples {number}: expected .* found {left}; ask"):
        find(folder, name, number)
    if name == "choice":  # of an item that is there twice, one less: told when its turn comes
        with pytest.raises(InputError, match="found 10; ask for fewer"):
            contexts(find(folder, name, 11))


def test_items_that_change_each_time_are_told(folder):
    job = find(folder, "choice", 2)
    with pytest.raises(InputError, match="choice: its items are others each time that they are read"):
        job.task.fewshot_context(doc={"id": 99, "question": "?", "choices": ["a"], "answer": 0}, num_fewshot=2)


def test_that_the_examples_are_other_items_is_noted_once(folder, capsys):
    _said.clear()
    for _ in range(2):
        find(folder, "choice", 2)
    find(folder, "same_split", 0)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert lines == [
        "note: choice: has no other documents, so an item's examples are others of the items that are evaluated"
    ]


@pytest.mark.parametrize(
    ("splits", "same"),
    [
        ({"test": 1}, True),
        ({"validation": 1}, True),
        ({"test": 1, "validation": 1}, False),
        ({"test": 1, "training": 1}, False),
        ({"test": 1, "validation": 1, "fewshot": "test"}, True),
        ({"validation": 1, "training": 1, "fewshot": "training"}, False),
    ],
)
def test_whether_examples_come_from_the_items(splits, same):
    config = SimpleNamespace(test_split="test", validation_split="validation")
    task = SimpleNamespace(config=config, fewshot_cfg=SimpleNamespace(split=splits.get("fewshot"), samples=None))
    for split in ("test", "validation", "training"):
        setattr(task, f"has_{split}_docs", lambda split=split: split in splits)
    assert examples.come_from_the_items(task) is same
