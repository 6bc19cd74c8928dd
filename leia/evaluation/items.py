"""What the harness says of a task in the words of a result: a line an item, and the value of each metric."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from lm_eval.api.task import Task

from leia.base.errors import InputError
from leia.evaluation.results import ItemResult

_PLAIN = "none"
"""The harness's name for answers that were taken as they are."""


def metric_values(task: Task, harness: Mapping[str, Any]) -> dict[str, float | None]:
    """The value of each metric of `task`, its first metric first: `acc`, or `exact_match,FILTER` where the task reads
    the answers in several ways. None where the value is not a number."""
    reported = harness["results"][task.config.task]
    order = [name for metric in task.aggregation() for name in reported if name.partition(",")[0] == metric]
    values = {name.removesuffix(f",{_PLAIN}"): reported[name] for name in order}
    return {name: _number(value) for name, value in values.items()}


def make_items(task: Task, samples: Sequence[dict[str, Any]]) -> list[ItemResult]:
    """The items in the task's order; `samples` are the harness's: one for each item and way of reading the answers.
    Raises `InputError` where log-likelihoods are not numbers or no choice is the right one."""
    by_item: dict[int, list[dict[str, Any]]] = {}
    for sample in sorted(samples, key=lambda sample: sample["doc_id"]):
        by_item.setdefault(sample["doc_id"], []).append(sample)
    items = []
    for doc_id, ways in by_item.items():
        metrics = {_name(metric, way): way[metric] for way in ways for metric in way["metrics"]}
        single = {name: _number(value) for name, value in metrics.items() if _is_single(value)}
        identity = str(ways[0]["doc"].get("id", doc_id))
        items.append(ItemResult(identity, _answer(task, ways[0]), single))
    return items


def _name(metric: str, sample: Mapping[str, Any]) -> str:
    return metric if sample["filter"] == _PLAIN else f"{metric},{sample['filter']}"


def _is_single(value: Any) -> bool:
    """Whether a metric has a value for one item alone; others (an F1 over all items) keep pairs for their sum."""
    return value is None or isinstance(value, bool | int | float | np.number)


def _number(value: Any) -> float | None:
    return float(value) if _is_single(value) and value is not None and math.isfinite(value) else None


def _answer(task: Task, sample: Mapping[str, Any]) -> dict[str, Any]:
    if task.OUTPUT_TYPE == "generate_until":
        return {
            "context": sample["arguments"][0][0],
            "generation": sample["resps"][0][0],
            "gold": sample["target"],
        }
    log_likelihoods = [float(score) for score, _ in sample["filtered_resps"]]
    if np.isnan(log_likelihoods).any():
        name = task.config.task
        raise InputError(f"{name}: log-likelihoods are not numbers; try --dtype float32, or the model is broken")
    log_likelihoods = [round(value, 6) for value in log_likelihoods]
    if hasattr(task, "item_fields"):  # a task of ours that asks for more than the choices of one question
        return task.item_fields(sample["doc"], log_likelihoods)
    choices = task.doc_to_choice(sample["doc"])
    own = log_likelihoods[: len(choices)]  # behind them may be those of the choices without a context
    return {
        "choices": choices,
        "log_likelihoods": own,
        "prediction": int(np.argmax(own)),
        "gold": _gold(task, sample, choices),
        "context": sample["arguments"][0][0],
    }


def _gold(task: Task, sample: Mapping[str, Any], choices: Sequence[str]) -> Any:
    """The index of the right choice, whichever way the task names it; a list where several are right."""
    doc = sample["doc"]
    if task.multiple_target:
        return task.doc_to_target(doc)
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)  # an index, or a choice's text
    if gold not in choices and gold not in range(len(choices)):
        raise InputError(
            f"{task.config.task}: the right answer {gold!r} of item {sample['doc_id']} is not one of its choices"
        )
    return choices.index(gold) if gold in choices else gold
