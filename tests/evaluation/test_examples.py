"""Examples in front of an item follow from the item: never itself, and whoever scores it."""

import json
from collections import Counter

import pytest
from evaluation_sample import make_model
from lm_eval.api.samplers import ContextSampler

from leia.base.errors import InputError
from leia.evaluation import jobs
from leia.evaluation.examples import rule_of
from leia.evaluation.results import read_result, result_path
from leia.evaluation.run_tasks import ModelOptions, evaluate

PAIRS = zip("abcdefgh", "stuvwxyz", strict=True)
QUESTIONS = [{"id": k, "q": f"{a} or {b}?", "a": ["yes", "no"][k % 2]} for k, (a, b) in enumerate(PAIRS)]
CHOICES = """output_type: multiple_choice
doc_to_text: "{{q}}"
doc_to_choice: ["yes", "no"]
doc_to_target: "{{a}}"
metric_list: [{metric: acc}]
"""
ANSWERS = """output_type: generate_until
doc_to_text: "{{q}}"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["?"], max_gen_toks: 2}
metric_list: [{metric: exact_match}]
"""
CODE = """
from lm_eval.api.samplers import ContextSampler
from lm_eval.api.task import ConfigurableTask

def reworded(dataset):
    return dataset.map(lambda item: {"q": item["q"].upper()})

class Own(ConfigurableTask):
    def __init__(self, config):
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

class Last(ContextSampler):
    def sample(self, n, **_):
        return list(self.df)[-n:]
"""


@pytest.fixture
def load(tmp_path):
    """`load(name, shots, lines, more rows)`: a task of a folder of one's own; its items are QUESTIONS and more."""
    (tmp_path / "code.py").write_text(CODE)

    def load(name, shots, lines, rows=(), splits=("test",)):
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*QUESTIONS, *rows]))
        files = ", ".join(f'{split}: "{tmp_path}/rows.jsonl"' for split in splits)
        text = f"task: {name}\ndataset_path: json\ndataset_kwargs: {{data_files: {{{files}}}}}\n{lines}"
        (tmp_path / f"{name}.yaml").write_text(text)
        (job,) = jobs.find_tasks([name], [shots], "", str(tmp_path))
        job.task.set_config("num_fewshot", shots)
        return job.task

    return load


def contexts(task, rank=0, world_size=1):
    task.build_all_requests(rank=rank, world_size=world_size)
    return {request.doc_id: request.args[0] for request in task.instances}


@pytest.mark.parametrize("kind", [CHOICES, ANSWERS])
@pytest.mark.parametrize(
    ("splits", "more"),
    [
        (["test"], "test_split: test\n"),
        (["validation"], "validation_split: validation\n"),
        (["validation"], "validation_split: validation\nfewshot_split: validation\n"),
        (
            ["validation"],
            "validation_split: validation\nfewshot_split: validation\nfewshot_config: {sampler: first_n}\n",
        ),
        (["train", "test"], "training_split: train\ntest_split: test\n"),
        (["test"], "test_split: test\nclass: !function code.Own\n"),
        (["test"], "test_split: test\nfewshot_split: test\nfewshot_config: {process_docs: !function code.reworded}\n"),
    ],
)
def test_no_item_is_among_its_own_examples_and_each_has_as_many_as_asked_for(load, kind, splits, more):
    twice = QUESTIONS[0]  # its equal is no example of it, either
    for shots in (1, 3, 7):
        found = contexts(load("own", shots, kind + more, [twice], splits))
        assert len(found) == 9
        for context in found.values():
            *examples, question = context.split("\n\n")
            assert len(examples) == shots
            assert not any(example.lower().startswith(question.lower()) for example in examples)


def test_the_examples_are_the_same_on_any_number_of_processes_and_for_part_of_the_items(load):
    task = load("spread", 3, CHOICES + "test_split: test\n")
    whole = contexts(task)
    for processes in (2, 8):
        parts = [
            contexts(load("spread", 3, CHOICES + "test_split: test\n"), rank, processes) for rank in range(processes)
        ]
        assert Counter(map(len, parts)) == {8 // processes: processes}
        assert sorted(context for part in parts for context in part.values()) == sorted(whole.values())
    task.build_all_requests(limit=2)
    assert [request.args[0] for request in task.instances[::2]] == [whole[0], whole[1]]
    assert len({tuple(context.split("\n\n")[:-1]) for context in whole.values()}) > 4, "each item has its own"


def test_a_task_that_chooses_its_examples_itself_keeps_its_way(load):
    more = "test_split: test\nfewshot_split: test\nfewshot_config: {sampler: !function code.Last}\n"
    task = load("last", 2, CHOICES + more)
    assert rule_of(task) is None
    assert all(context.startswith("g or y? yes\n\nh or z? no\n\n") for context in contexts(task).values())
    task = load("first", 2, CHOICES + "test_split: test\nfewshot_split: test\nfewshot_config: {sampler: first_n}\n")
    assert contexts(task)[5] == "a or s? yes\n\nb or t? no\n\nf or x?"
    given = "\n  ".join(f"- {{q: {one}, a: 'no'}}" for one in "xyz")
    task = load("list", 2, f"{CHOICES}test_split: test\nfewshot_config:\n  sampler: first_n\n  samples:\n  {given}\n")
    assert contexts(task)[5] == "x no\n\ny no\n\nf or x?"


def test_too_few_others_are_one_line(load):
    with pytest.raises(
        InputError, match=r"own: --num_fewshot_samples 8: 8 examples were asked for, there are 7 besides"
    ):
        load("own", 8, CHOICES + "test_split: test\n")


def test_a_result_says_how_its_examples_were_chosen_and_one_of_another_rule_is_made_again(load, tmp_path, capsys):
    model = make_model(tmp_path / "model")
    load("own", 2, CHOICES + "test_split: test\n")
    options = ModelOptions("paper", str(model), "float32", "auto", False)
    found = jobs.find_tasks(["own"], [2], "", str(tmp_path))
    (result,) = evaluate(options, found, tmp_path / "results", dry_run=False)
    assert result.about["examples"] == "drawn by seed 42 and item, without the item itself"
    assert "tasks to evaluate: 1 of 1" in capsys.readouterr().out
    path = result_path(tmp_path / "results", "own", 2)
    earlier = json.loads(path.read_text())
    del earlier["examples"]
    path.write_text(json.dumps(earlier))
    assert read_result(path).value() == result.value(), "it can be read"
    evaluate(options, found, tmp_path / "results", dry_run=False)
    told = capsys.readouterr()
    assert "tasks to evaluate: 1 of 1" in told.out and "its examples were drawn by an earlier rule" in told.err
    assert isinstance(found[0].task.sampler, ContextSampler)
