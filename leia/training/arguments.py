"""The settings of a run from a YAML file and the command line, which wins: the fields of `Experiment` (ours) and of
`TrainingArguments` (transformers) by their names. In the file `base: FILE` (beside it) takes another one over first, so
that an ablation is its one line of difference.
"""

import json
import math
import os
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leia.base.errors import InputError, UsageError
from leia.base.text import read_yaml
from leia.training.experiment import Experiment
from leia.training.launch import without_gpu
from leia.training.machine import Machine
from leia.training.settings import Parser, words_of

if TYPE_CHECKING:
    from transformers import TrainingArguments

LIMITS = {"adam_beta1": 1, "adam_beta2": 1, "seed": 2**32}
"""What a setting must be less than."""

COMPUTED = {
    "gradient_accumulation_steps": "it follows from global_batch_size, the number of processes and the micro batch",
    "dataloader_num_workers": "each process packs its blocks itself, far faster than a model reads them",
    "auto_find_batch_size": "the micro batch is a part of the global batch",
    "eval_strategy": "validation_articles and tasks say what is evaluated, eval_steps how often",
    "eval_on_start": "a continued run would evaluate once more; eval_steps says how often",
    "label_smoothing_factor": "the loss is the paper's, of the tokens alone",
    "hub_token": "it would stand in the model card; log in with `hf auth login`, or set HF_TOKEN",
    "save_only_model": "a checkpoint must be one that can be continued",
    "gradient_checkpointing": "activation_checkpointing says what is computed again",
    "torch_compile_backend": "it would compile the whole model; torch_compile compiles its layers",
    "torch_compile_mode": "it would compile the whole model; torch_compile compiles its layers",
}
"""Settings of `TrainingArguments` that are not the user's, and why."""

FIXED = {
    "average_tokens_across_devices": True,
    "ddp_find_unused_parameters": True,
    "disable_tqdm": True,
    "ignore_data_skip": True,
    "logging_nan_inf_filter": False,
    "remove_unused_columns": False,
}
"""Settings of `TrainingArguments` that the data, the loss and the log of `leia.training` need."""


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings of a YAML file over those of its `base`, `sources` as one text. Raises `InputError` unless it is a
    flat mapping."""
    advice = "configs/train/ holds examples"
    settings = read_yaml(Path(path), advice)
    for name, value in settings.items():
        if isinstance(value, dict):
            raise InputError(f"{path}: expected lines of the form `name: value`, found a mapping in {name}; {advice}")
    if isinstance(settings.get("sources"), list):
        settings["sources"] = json.dumps(settings["sources"], ensure_ascii=False, default=str)
    base = settings.pop("base", None)
    return (read_config(Path(path).parent / base) if base else {}) | settings


def read_experiment(settings: Mapping[str, Any]) -> Experiment:
    """The experiment of `settings`, as `read_config` reads them; those of transformers and of the machine are passed
    over. Raises `UsageError` for values out of range."""
    names = {field.name for field in fields(Experiment)}
    own = {name: value for name, value in settings.items() if name in names}
    return Experiment(**vars(Parser(Experiment).parse_args(words_of(own))))


def parse(
    config: str | Path, options: Mapping[str, Any], more: Sequence[str], dry_on: Machine | None = None
) -> tuple[Experiment, "TrainingArguments"]:
    """The run of `config`, changed by the `options` that are not None and by `more`, words of the command line.
    `dry_on`: the machine of a dry run, which this one need not be.

    Raises `UsageError` for unknown names and values out of range, `InputError` for a bad file.
    """
    from transformers import TrainingArguments

    _quieten()
    words = words_of(read_config(config) | {name: value for name, value in options.items() if value is not None})
    # Where both have a setting, ours counts: the last one.
    parser = Parser(TrainingArguments, Experiment, conflict_handler="resolve")
    namespace = parser.parse_args([*words, *more])
    experiment = Experiment(**{field.name: vars(namespace).pop(field.name) for field in fields(Experiment)})
    _check(vars(experiment) | vars(namespace), parser)  # before `TrainingArguments` connects the processes
    if namespace.eval_steps and not (experiment.validation_articles or experiment.tasks):
        raise UsageError(
            f"eval_steps is {namespace.eval_steps:g}, with nothing to evaluate; give validation_articles or tasks"
        )
    if (experiment.keep_checkpoints or 0) > (limit := namespace.save_total_limit or math.inf):
        raise UsageError(
            f"keep_checkpoints is {experiment.keep_checkpoints}, save_total_limit {limit} leaves fewer; "
            "raise save_total_limit or lower keep_checkpoints"
        )
    if experiment.offload_optimizer_device:
        _offload_optimizer(experiment.offload_optimizer_device, dry_on)
    if dry_on:
        namespace.use_cpu = True
    namespace.gradient_accumulation_steps = accumulation_steps(
        experiment.global_batch_size,
        dry_on.processes if dry_on else int(os.environ.get("WORLD_SIZE", "1")),
        namespace.per_device_train_batch_size,
    )
    if experiment.try_steps:
        _cut(namespace, experiment.try_steps)
    try:
        return experiment, TrainingArguments(**vars(namespace) | FIXED)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _cut(namespace: Namespace, steps: int) -> None:
    """Make a run a try of so many steps, of one micro batch whose gradients are kept and one that ends the step."""
    namespace.max_steps, namespace.logging_steps = steps, 1
    namespace.gradient_accumulation_steps = min(2, namespace.gradient_accumulation_steps)
    namespace.save_strategy, namespace.report_to, namespace.push_to_hub = "no", "none", False
    namespace.resume_from_checkpoint = None


def _quieten() -> None:
    """Keep DeepSpeed and peft from what they do and say by themselves."""
    without_gpu()
    for name in (r"torch\.distributed\.\w+", "is_gradient_checkpointing"):  # which they call at each step
        warnings.filterwarnings("ignore", f"`{name}` is deprecated", FutureWarning)
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":  # `TrainingArguments` starts it
        import deepspeed

        # At the start of a run it compiles a sum over the memory of CPU processes that training never calls. torch
        # guards a compilation by a file, which a killed run leaves and all later ones would wait for.
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False


def _offload_optimizer(device: str, dry_on: Machine | None) -> None:
    """Set what the launcher took from the file of accelerate; `TrainingArguments` reads it when it starts DeepSpeed."""
    if not (dry_on.uses_deepspeed if dry_on else os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true"):
        raise UsageError(
            "offload_optimizer_device is for DeepSpeed, which ACCELERATE_CONFIG does not use; "
            "configs/accelerate/zero3_8gpu.yaml does"
        )
    os.environ["ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE"] = device


def _check(settings: dict[str, Any], parser: Parser) -> None:
    """Raise `UsageError` for settings that a run of ours cannot have."""
    from transformers.integrations import get_reporting_integration_callbacks

    for name, why in COMPUTED.items():
        if settings[name] != parser.get_default(name):
            raise UsageError(f"{name} is not to be given: {why}")
    if settings["max_steps"] < 1:
        raise UsageError(f"max_steps is {settings['max_steps']}; the stream has no end, so expected at least 1")
    for name, value in settings.items():
        if isinstance(value, int | float) and value != parser.get_default(name):
            _check_number(name, value)
    if settings["save_strategy"] != "steps":
        raise UsageError("save_strategy is always steps; the final model is made from the last checkpoint")
    if not settings["output_dir"]:
        raise UsageError("missing --output_dir")
    try:
        get_reporting_integration_callbacks(settings["report_to"])
    except ValueError as error:
        raise UsageError(f"report_to: {error}") from error


def _check_number(name: str, value: float) -> None:
    """Raise `UsageError` for a number that is NaN, infinite, negative or not below its limit."""
    if not 0 <= value < LIMITS.get(name, math.inf):
        expected = f"at least 0 and less than {LIMITS[name]}" if name in LIMITS else "a finite number of at least 0"
        raise UsageError(f"{name} is {value}; expected {expected}")


def accumulation_steps(global_batch_size: int, num_processes: int, micro_batch_size: int) -> int:
    """Micro batches of one optimizer step. Raises `UsageError` when the global batch does not divide."""
    per_pass = num_processes * micro_batch_size
    if per_pass < 1 or global_batch_size % per_pass:
        raise UsageError(
            f"the global batch of {global_batch_size} sequences does not divide by {count_processes(num_processes)} x "
            f"{micro_batch_size} sequences (per_device_train_batch_size); change one of the three"
        )
    return global_batch_size // per_pass


def count_processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
