"""Evaluate one model on tasks of the harness and keep every log-likelihood.

What has no result yet is scored, one file pair a task (see `results`). Under `accelerate launch` the processes share
the items of a task; the first one writes.
"""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from leia.base.errors import InputError
from leia.base.outputs import held
from leia.base.step import versions
from leia.evaluation.jobs import Job
from leia.evaluation.results import (
    ItemResult,
    TaskResult,
    check_folder,
    identify_model,
    new_result,
    read_result,
    result_path,
)
from leia.training.launch import without_gpu

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.models.huggingface import HFLM


@dataclass(frozen=True)
class ModelOptions:
    """`scoring` is paper or harness, `dtype` a name of torch, `batch_size` a number or auto."""

    name_or_path: str
    scoring: str = "paper"
    dtype: str = "float32"
    batch_size: str = "auto"
    trust_remote_code: bool = False


def evaluate(options: ModelOptions, jobs: Sequence[Job], results_dir: Path, dry_run: bool = False) -> list[TaskResult]:
    """Evaluate the jobs that `results_dir` has no result for; return the results of all of them.

    Only the first process returns results, and none is made in a `dry_run`, which says what would be evaluated.
    Raises `InputError` when the folder holds results of another model or of other data.
    """
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list
    from transformers.utils.logging import disable_progress_bar

    without_gpu()
    # Without cpu=True, accelerate joins no processes on a machine without a GPU: each would do all the work.
    # The others wait while the first reads a large model to identify it; the timeout is the harness's.
    state = PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(weeks=52))
    paths = [result_path(results_dir, job.name, job.num_fewshot) for job in jobs]
    identity: dict[str, Any] = {}
    todo: list[int] = []
    if state.is_main_process:
        identity = {"model": identify_model(options.name_or_path), "scoring": options.scoring, "dtype": options.dtype}
        check_folder(results_dir, identity)
        todo = [index for index, job in enumerate(jobs) if not _is_finished(paths[index], job)]
        _check_not_held([paths[index] for index in todo if results_dir.is_dir()])
        click.echo(f"tasks to evaluate: {len(todo)} of {len(jobs)}")
    if dry_run:
        for index in todo:
            click.echo(f"would evaluate {jobs[index].name}, {jobs[index].num_fewshot} shots")
        return []
    if state.num_processes > 1:
        (todo,) = broadcast_object_list([todo])
    if state.process_index or not sys.stderr.isatty():
        disable_progress_bar()
    lm = load_model(options) if todo else None
    for index in todo:
        if state.is_main_process:
            _score_and_write(lm, jobs[index], paths[index], identity)
        else:
            _score(lm, jobs[index])
    return [read_result(path) for path in paths] if state.is_main_process else []


def _is_finished(path: Path, job: Job) -> bool:
    if not path.exists():
        return False
    try:
        result = read_result(path)
    except InputError as error:
        click.echo(f"evaluating again: {error}", err=True)
        return False
    if result.about["data"] != job.data:
        raise InputError(f"{path}: was made from other data than --xcsr_dir gives now; name another results folder")
    return True


def _check_not_held(paths: Sequence[Path]) -> None:
    """Raise `InputError` for a result that another run is writing: now, and not when the model is loaded."""
    for path in paths:
        with held(path):
            pass


def load_model(options: ModelOptions) -> "HFLM":
    """The harness model of the `scoring` asked for, on the GPU where there is one."""
    import torch
    from lm_eval.models.huggingface import HFLM

    from leia.evaluation.leia_lm import LeiaLM, join_processes
    from leia.training.model import check_weights

    check_weights(options.name_or_path)
    try:
        return join_processes(
            (LeiaLM if options.scoring == "paper" else HFLM)(
                pretrained=options.name_or_path,
                dtype=options.dtype,
                batch_size=options.batch_size if options.batch_size == "auto" else int(options.batch_size),
                device="cuda" if torch.cuda.is_available() else "cpu",
                trust_remote_code=options.trust_remote_code,
            )
        )
    except (OSError, ValueError) as error:
        raise InputError(f"{options.name_or_path}: cannot be loaded as a causal language model ({error})") from error


def _score_and_write(lm: "HFLM", job: Job, path: Path, identity: dict[str, Any]) -> None:
    with new_result(path) as write:
        harness, items = _score(lm, job)
        if any(math.isnan(value) for item in items for value in item.log_likelihoods):
            raise InputError(
                f"{job.name}: log-likelihoods are not numbers; try --dtype float32, or the model is broken"
            )
        accuracy = sum(item.correct for item in items) / len(items)
        if abs(accuracy - harness["results"][job.name].get("acc,none", accuracy)) > 1e-9:
            raise InputError(f"{job.name}: has its own rule for what is right; lm_eval itself evaluates it")
        about = {
            "task": job.name,
            "num_fewshot": job.num_fewshot,
            "accuracy": accuracy,
            "identity": identity,
            "data": job.data,
            "versions": versions() | {"lm-eval": version("lm-eval")},
            "harness": harness,
        }
        write(about, items)
    click.echo(f"{job.name}, {job.num_fewshot} shots: {accuracy:.3f}")


def _score(lm: "HFLM", job: Job) -> tuple[dict[str, Any], list[ItemResult]]:
    """The harness's own results and the items; both empty on all processes but the first."""
    from lm_eval import evaluator

    job.task.set_config("num_fewshot", job.num_fewshot)
    job.task.set_fewshot_seed(42)
    harness = evaluator.evaluate(lm, {"tasks": {job.name: job.task}, "groups": {}})
    if harness is None:
        return {}, []
    samples = sorted(harness.pop("samples")[job.name], key=lambda sample: sample["doc_id"])
    harness["configs"][job.name]["metadata"].pop("config_source", None)  # a path of this machine
    return harness, [_item(sample, job.task) for sample in samples]


def _item(sample: dict[str, Any], task: "Task") -> ItemResult:
    doc = sample["doc"]
    choices = task.doc_to_choice(doc)
    log_likelihoods = [float(score) for score, _ in sample["filtered_resps"][: len(choices)]]
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)  # an index, or a choice's text
    if gold not in choices and gold not in range(len(choices)):
        raise InputError(
            f"{task.config.task}: the right answer {gold!r} of item {sample['doc_id']} is not one of its choices"
        )
    return ItemResult(
        id=str(doc.get("id", sample["doc_id"])),
        choices=choices,
        log_likelihoods=[round(value, 6) for value in log_likelihoods],
        prediction=int(np.argmax(log_likelihoods)),
        gold=choices.index(gold) if gold in choices else gold,
        context=sample["arguments"][0][0],
    )
