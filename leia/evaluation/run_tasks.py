"""Evaluate one model on tasks of the harness and keep every log-likelihood: a file pair (see `results`) for each task
that has none. Under `accelerate launch` the processes share the items of a task; the first one writes.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from lm_eval import evaluator
from lm_eval.api.model import LM
from transformers.utils.logging import disable_progress_bar

from leia.base.errors import InputError
from leia.base.outputs import held
from leia.base.step import versions
from leia.evaluation import results
from leia.evaluation.jobs import Job
from leia.training.launch import without_gpu


@dataclass(frozen=True)
class ModelOptions:
    """`scoring`: paper or harness; the others are the harness's own: `dtype` is a name of torch, `batch_size` a number
    or auto."""

    scoring: str
    pretrained: str
    dtype: str
    batch_size: str
    trust_remote_code: bool


def evaluate(options: ModelOptions, jobs: Sequence[Job], results_dir: Path, dry_run: bool) -> list[results.TaskResult]:
    """Evaluate the jobs that `results_dir` has no result for, or say which these are (`dry_run`).

    The results of all jobs, but on the first process alone. Raises `InputError` for a folder of another model or data.
    """
    without_gpu()
    # Without cpu=True, accelerate joins no processes on a machine without a GPU: each would do all the work.
    # The others wait while the first reads a large model to identify it; the timeout is the harness's.
    state = PartialState(cpu=not torch.accelerator.is_available(), timeout=timedelta(weeks=52))
    paths = [results.result_path(results_dir, job.name, job.num_fewshot) for job in jobs]
    identity, todo = {}, []
    if state.is_main_process:
        model = results.identify_model(options.pretrained)
        identity = {"model": model, "scoring": options.scoring, "dtype": options.dtype}
        results.check_folder(results_dir, identity)
        todo = [index for index, job in enumerate(jobs) if not _is_finished(paths[index], job)]
        for index in todo if results_dir.is_dir() else ():
            with held(paths[index]):  # where another run writes it, say so now and not when the model is loaded
                pass
        click.echo(f"tasks to evaluate: {len(todo)} of {len(jobs)}")
    if dry_run:
        for index in todo:
            click.echo(f"would evaluate {jobs[index].name}, {jobs[index].num_fewshot} shots")
        return []
    (todo,) = broadcast_object_list([todo])
    if state.process_index or not sys.stderr.isatty():
        disable_progress_bar()
    lm = load_model(options) if todo else None
    for index in todo:
        if state.is_main_process:
            _score_and_write(lm, jobs[index], paths[index], identity)
        else:
            _score(lm, jobs[index])
    return [results.read_result(path) for path in paths] if state.is_main_process else []


def _is_finished(path: Path, job: Job) -> bool:
    if not path.exists():
        return False
    try:
        result = results.read_result(path)
    except InputError as error:
        click.echo(f"evaluating again: {error}", err=True)
        return False
    if result.about["data"] != job.data:
        raise InputError(f"{path}: was made from other data than --xcsr_dir gives now; name another results folder")
    return True


def load_model(options: ModelOptions) -> LM:
    """The harness model of the `scoring` asked for, on the GPU where there is one."""
    from lm_eval.models.huggingface import HFLM

    from leia.evaluation.leia_lm import LeiaLM, join_processes
    from leia.training.model import check_weights

    check_weights(options.pretrained)
    settings = {**vars(options), "device": "cuda" if torch.cuda.is_available() else "cpu"}
    model_class = LeiaLM if settings.pop("scoring") == "paper" else HFLM
    try:
        return join_processes(model_class(**settings))
    except (OSError, ValueError) as error:
        raise InputError(f"{options.pretrained}: cannot be loaded as a causal language model ({error})") from error


def _score_and_write(lm: LM, job: Job, path: Path, identity: dict[str, Any]) -> None:
    with results.new_result(path) as write:
        harness, items = _score(lm, job)
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


def _score(lm: LM, job: Job) -> tuple[dict[str, Any], list[results.ItemResult]]:
    """The harness's own results and the items; both empty on all processes but the first."""
    job.task.set_config("num_fewshot", job.num_fewshot)
    job.task.set_fewshot_seed(42)
    harness = evaluator.evaluate(lm, {"tasks": {job.name: job.task}, "groups": {}})
    if harness is None:
        return {}, []
    samples = sorted(harness.pop("samples")[job.name], key=lambda sample: sample["doc_id"])
    harness["configs"][job.name]["metadata"].pop("config_source", None)  # a path of this machine
    return harness, [_item(sample, job) for sample in samples]


def _item(sample: dict[str, Any], job: Job) -> results.ItemResult:
    doc, task = sample["doc"], job.task
    choices = task.doc_to_choice(doc)
    log_likelihoods = [float(score) for score, _ in sample["filtered_resps"][: len(choices)]]
    if np.isnan(log_likelihoods).any():
        raise InputError(f"{job.name}: log-likelihoods are not numbers; try --dtype float32, or the model is broken")
    gold = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)  # an index, or a choice's text
    if gold not in choices and gold not in range(len(choices)):
        raise InputError(f"{job.name}: the right answer {gold!r} of item {sample['doc_id']} is not one of its choices")
    return results.ItemResult(
        id=str(doc.get("id", sample["doc_id"])),
        choices=choices,
        log_likelihoods=[round(value, 6) for value in log_likelihoods],
        prediction=int(np.argmax(log_likelihoods)),
        gold=choices.index(gold) if gold in choices else gold,
        context=sample["arguments"][0][0],
    )
