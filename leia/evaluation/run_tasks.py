"""Evaluate one model on tasks of the harness and keep every log-likelihood: a file pair (see `results`) for each task
that has none. Under `accelerate launch` the processes share the items of a task; the first one writes.
"""

import math
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click
import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list
from lm_eval import evaluator
from lm_eval.api.model import LM
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from leia.base.errors import InputError
from leia.base.outputs import held, remove_remains
from leia.base.step import versions
from leia.evaluation import notes, results
from leia.evaluation.examples import DRAWN
from leia.evaluation.items import make_items, metric_values
from leia.evaluation.jobs import Job, find_tasks
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
        for index, path in enumerate(paths):
            if index not in todo:
                remove_remains(path)
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
            score_job(lm, jobs[index])
        notes.share()
    if not state.is_main_process:
        return []
    finished = [results.read_result(path) for path in paths]
    for (group, shots), metrics in group_metrics(jobs, finished).items():
        click.echo(f"{group}, {shots} shots: {show_metrics(metrics)}")
    return finished


def group_metrics(
    jobs: Sequence[Job], finished: Sequence[results.TaskResult]
) -> dict[tuple[str, int], dict[str, float | None]]:
    """What each group makes of the results of its tasks, as its `aggregate_metric_list` says; by name and number of
    examples asked for."""
    members: dict[tuple[str, int], dict[str, Any]] = {}
    groups = {}
    for job, result in zip(jobs, finished, strict=True):
        groups |= job.groups
        for asked in job.groups:
            members.setdefault(asked, {})[job.name] = result.about["harness"]["results"][job.name]
    values = {}
    for asked, group in groups.items():
        first = [one.metric for one in group.aggregate_metric_list]
        values[asked] = results.named_metrics(group.aggregate(members[asked]), first)
    return values


def _is_finished(path: Path, job: Job) -> bool:
    if not path.exists():
        return False
    try:
        result = results.read_result(path)
    except InputError as error:
        click.echo(f"evaluating again: {error}", err=True)
        return False
    if result.about["data"] != job.data:
        raise InputError(f"{path}: was made from other data than the task has now; name another results folder")
    if job.named and result.about["name_format"] != job.named.format_name:
        raise InputError(
            f"{path}: was made with the name format {result.about['name_format']!r}, now it is "
            f"{job.named.format_name!r}; name another results folder"
        )
    if job.examples == DRAWN and "examples" not in result.about:
        notes.note(
            f"{path}: an earlier version let lm-eval draw its examples, an item's own answer among them perhaps; "
            "remove it to have it made again"
        )
    return True


def load_model(options: ModelOptions) -> LM:
    """The harness model of the `scoring` asked for, on the GPU where there is one."""
    from lm_eval.models.huggingface import HFLM

    from leia.data.tokenizers import load_tokenizer
    from leia.evaluation.leia_lm import LeiaLM, join_processes
    from leia.training.model import check_weights

    check_weights(options.pretrained)
    settings = {**vars(options), "device": "cuda" if torch.cuda.is_available() else "cpu"}
    model_class = LeiaLM if settings.pop("scoring") == "paper" else HFLM
    if model_class is HFLM:  # ours sees to both itself
        settings["tokenizer"] = load_tokenizer(options.pretrained, options.trust_remote_code)
        if settings["device"] == "cpu" and settings["batch_size"] == "auto":
            settings["batch_size"] = "1"  # the harness would try how much fits by filling the main memory
    try:
        lm = join_processes(model_class(**settings))
        notes.note_bos(options.pretrained, lm.config, lm.tokenizer, options.scoring)
        return lm
    except (OSError, ValueError) as error:
        raise InputError(f"{options.pretrained}: cannot be loaded as a causal language model ({error})") from error


def _score_and_write(lm: LM, job: Job, path: Path, identity: dict[str, Any]) -> None:
    with results.new_result(path) as write:
        harness, items = score_job(lm, job)
        metrics = job_metrics(job, harness, items)
        about = {
            "task": job.name,
            "num_fewshot": job.num_fewshot,
            "examples": job.examples,
            **({"name_format": job.named.format_name, "names": len(job.named.names)} if job.named else {}),
            "metrics": metrics,
            **({"accuracy": metrics["acc"]} if "acc" in metrics else {}),
            "identity": identity,
            "data": job.data,
            "versions": versions() | {"lm-eval": version("lm-eval")},
            "harness": harness,
        }
        write(about, items)
    click.echo(f"{job.name}, {job.num_fewshot} shots: {show_metrics(metrics)}")


def show_metrics(metrics: Mapping[str, float | None]) -> str:
    """The values with their names behind them, the task's first metric first."""
    return ", ".join(f"{math.nan if value is None else value:.3f}  {name}" for name, value in metrics.items())


def score_job(lm: LM, job: Job) -> tuple[dict[str, Any], list[results.ItemResult]]:
    """The harness's own results and the items; both empty on all processes but the first. Raises `InputError` for a
    task that the harness cannot evaluate."""
    job.task.set_config("num_fewshot", job.num_fewshot)
    job.task.set_fewshot_seed(42)
    lm.generation_rule = (job.task.config.metadata or {}).get("generation")  # read by `LeiaLM`
    form = job.named.format_for(lm.tokenizer) if job.named else None
    try:
        # For the standard error of a metric that is no mean (mcc) the harness draws 100,000 samples, which takes
        # minutes, in forks of this process, whose threads may hang them.
        os.environ["DISABLE_MULTIPROC"] = "1"
        with job.named.asked(lm, form) if job.named else nullcontext():
            harness = evaluator.evaluate(lm, {"tasks": {job.name: job.task}, "groups": {}}, bootstrap_iters=1_000)
    except ValueError as error:  # a metric that does not fit the task's answers, code to be confirmed, images
        raise InputError(f"{job.name}: lm-eval cannot evaluate it ({error}); change the task") from error
    if harness is None:
        return {}, []
    samples = harness.pop("samples")[job.name]
    for name in ("config_source", "pretrained"):  # paths of this machine
        (harness["configs"][job.name].get("metadata") or {}).pop(name, None)
    items = make_items(job.task, samples)
    return harness, job.named.mark(items, samples, form) if job.named else items


def job_metrics(job: Job, harness: Mapping[str, Any], items: Sequence[results.ItemResult]) -> dict[str, float | None]:
    """The metrics of the task, the first one first, then that of the names where it is asked with names."""
    return metric_values(job.task, harness) | (job.named.metrics(items) if job.named else {})


class TaskScores:
    """The scores of a model that is being trained: `TaskScores(tasks, num_fewshot, pretrained)(model, tokenizer)` gives
    `{"xcsqa_ja_4shot_acc": 0.25, ...}`. Each process scores all items, so that all make the same forward passes, which
    ZeRO-3 and FSDP need, and all get the same numbers. Raises what `find_tasks` raises, before any model is loaded."""

    def __init__(
        self, tasks: Sequence[str], num_fewshot: Sequence[int], pretrained: str, include_path: str | None = None
    ) -> None:
        self.jobs = find_tasks(tasks, num_fewshot, pretrained, include_path)
        self.name = pretrained

    def __call__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> dict[str, float]:
        from leia.evaluation.leia_lm import LeiaLM

        lm = LeiaLM(model, tokenizer=deepcopy(tokenizer), batch_size="auto")  # the harness gives it a padding token
        lm.quiet = True
        notes.note_bos(self.name, lm.config, lm.tokenizer, "paper")
        scores = {}
        for job in self.jobs:
            for name, value in job_metrics(job, *score_job(lm, job)).items():
                scores[f"{job.name}_{job.num_fewshot}shot_{name}"] = math.nan if value is None else value
        return scores
