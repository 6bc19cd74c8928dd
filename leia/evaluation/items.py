"""What the harness says of a task in the words of a result: a line an item, and the value of each metric."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lm_eval.api.task import Task

from leia.base.errors import InputError
from leia.evaluation.results import PLAIN, ItemResult, named_metrics


def metric_values(task: Task, harness: Mapping[str, Any]) -> dict[str, float | None]:
    """The value of each metric of `task`, its first metric first: `acc`, or `exact_match,FILTER` where the task reads
    the answers in a way with a name. None where the value is not a number."""
    named = named_metrics(harness["results"][task.config.task], list(task.aggregation()))
    return {name: _number(value) for name, value in named.items()}


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
        items.append(ItemResult(str(doc_id), _answer(task, ways[0]), single))
    return with_own_ids(items, [ways[0]["doc"] for ways in by_item.values()])


def with_own_ids(items: list[ItemResult], docs: Sequence[Any]) -> list[ItemResult]:
    """The items by the ids of their documents, where each has one of its own; else by their numbers."""
    ids = [doc.get("id") if isinstance(doc, Mapping) else None for doc in docs]
    if None in ids or len(set(map(str, ids))) < len(ids):
        return items
    return [replace(item, id=str(identity)) for item, identity in zip(items, ids, strict=True)]


def _name(metric: str, sample: Mapping[str, Any]) -> str:
    return metric if sample["filter"] == PLAIN else f"{metric},{sample['filter']}"


def _is_single(value: Any) -> bool:
    """Whether a metric has a value for one item alone; others (an F1 over all items) keep pairs for their sum."""
    return value is None or isinstance(value, bool | int | float | np.number)


def _number(value: Any) -> float | None:
    return float(value) if _is_single(value) and value is not None and math.isfinite(value) else None


def _answer(task: Task, sample: Mapping[str, Any]) -> dict[str, Any]:
    first = sample["arguments"][0]
    if task.OUTPUT_TYPE == "generate_until":
        return {"context": first[0], "generation": sample["resps"][0][0], "gold": sample["target"]}
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        (log_likelihood,) = _log_likelihoods(task, [response[0] for response in sample["resps"]])
        return {"text": first[0], "log_likelihood": log_likelihood}
    log_likelihoods = _log_likelihoods(task, [response[0][0] for response in sample["resps"]])
    if task.OUTPUT_TYPE == "loglikelihood":  # one continuation that is right, or the choices of a class
        continuations = [continuation for _, continuation in sample["arguments"]]
        return {"context": first[0], "continuations": continuations, "log_likelihoods": log_likelihoods}
    if hasattr(task, "item_fields"):  # a task of ours that asks for more than the choices of one question
        return task.item_fields(sample["doc"], log_likelihoods)
    choices = task.doc_to_choice(sample["doc"])
    own = log_likelihoods[: len(choices)]  # behind them may be those of the choices without a context
    return {
        "choices": choices,
        "log_likelihoods": own,
        "prediction": int(np.argmax(own)),
        "gold": _gold(task, sample, choices),
        "context": first[0],
    }


def _log_likelihoods(task: Task, responses: Sequence[float]) -> list[float]:
    if np.isnan(responses).any():
        name = task.config.task
        raise InputError(f"{name}: log-likelihoods are not numbers; try --dtype float32, or the model is broken")
    return [round(float(value), 6) for value in responses]


def _gold(task: Task, sample: Mapping[str, Any], choices: Sequence[str]) -> Any:
    """The index of the right choice, whichever way the task names it; a list where several are right."""
    doc = sample["doc"]
    if task.multiple_target:
        return task.doc_to_target(doc)
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)  # an index, or a choice's text
    if gold not in choices and gold not in range(len(choices)):
        if task.config.process_results:  # what is right is known to the task's own function
            return gold
        raise InputError(
            f"{task.config.task}: the right answer {gold!r} of item {sample['doc_id']} is not one of its choices"
        )
    return choices.index(gold) if gold in choices else gold
