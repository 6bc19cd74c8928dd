"""Solved examples in front of an item, for tasks that leave it to the harness which these are.

There (lm-eval 0.4.13) one generator draws for one item after the other, so that the examples follow from which items a
process has; and where a task names no split for its examples, the item itself, with its answer, may be among them.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from random import Random
from typing import Any

from lm_eval.api.samplers import ContextSampler, FirstNSampler
from lm_eval.api.task import Task

Doc = dict[str, Any]
SEED = 42
RULES = {
    ContextSampler: f"drawn by seed {SEED} and item, without the item itself",
    FirstNSampler: "the first ones, without the item itself",
}
"""The harness's own ways to choose examples, and what becomes of them here. Tasks with a way of their own keep it."""


class ExamplesOfItem(ContextSampler):
    """Chooses among `pool` by the item alone: never the item or its equal, whoever asks and whatever was asked before.
    `rule`: the way of the harness in whose place it stands; `item`: the one whose examples are asked for."""

    item: Doc | None = None

    def __init__(self, task: Task, pool: Sequence[Doc], rule: type[ContextSampler]) -> None:
        super().__init__(pool)
        self.rule = RULES[rule]
        self._draws = rule is ContextSampler
        self._places: dict[str, list[int]] = defaultdict(list)
        for place, doc in enumerate(pool):
            self._places[_text(doc)].append(place)
        self._of_item: dict[str, list[int]] = defaultdict(list)
        items = task.eval_docs
        if _split_of_examples(task) == _split_of_items(task) and len(items) == len(pool):
            for place, doc in enumerate(items):  # as examples they may be written otherwise
                self._of_item[_text(doc)].append(place)

    def sample(self, n: int, eval_doc: Doc | None = None, df: Any = None, **_: Any) -> list[Doc]:
        """Raises `ValueError` where there are fewer than `n` besides the item."""
        item = _text(self.item)
        own = {*self._places.get(item, ()), *self._of_item.get(item, ())}
        others = len(self.df) - len(own)
        if others < n:
            raise ValueError(f"{n} examples were asked for, there are {others} besides the item itself")
        wanted = n + len(own)
        chosen = Random(f"{SEED} {item}").sample(range(len(self.df)), wanted) if self._draws else range(wanted)
        return [self.df[place] for place in chosen if place not in own][:n]


def choose_examples_by_item(task: Task) -> None:
    """Make the examples of an item of `task` follow from the item, unless the task chooses them in a way of its own."""
    sampler = getattr(task, "sampler", None)
    if type(sampler) not in RULES:
        return
    by_item = task.sampler = ExamplesOfItem(task, list(sampler.fewshot_docs()), type(sampler))
    context = task.fewshot_context

    def fewshot_context(doc: Doc, *args: Any, **settings: Any) -> str | list[str]:
        by_item.item = doc
        return context(doc, *args, **settings)

    task.fewshot_context = fewshot_context


def rule_of(task: Task) -> str | None:
    """How the examples of `task` are chosen, where that is not the task's own business."""
    return task.sampler.rule if isinstance(getattr(task, "sampler", None), ExamplesOfItem) else None


def _text(doc: Doc | None) -> str:
    return json.dumps(doc, ensure_ascii=False, sort_keys=True, default=str)


def _split_of_items(task: Task) -> str | None:
    return task.config.test_split or task.config.validation_split


def _split_of_examples(task: Task) -> str | None:
    config = task.config
    own = task.fewshot_cfg
    if own.split is None and own.samples is not None:
        return None
    return own.split or config.training_split or config.validation_split or config.test_split
