"""The settings of a run from a YAML file and the command line, which wins: the fields of `Experiment` (ours) and of
`TrainingArguments` (transformers) by their names. In the file `base: FILE` (beside it) takes another one over first, so
that an ablation is its one line of difference.
"""

import math
import os
import warnings
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leia.base.cli import setting
from leia.base.errors import InputError, UsageError
from leia.base.text import read_yaml
from leia.training.launch import without_gpu
from leia.training.machine import Machine
from leia.training.settings import Parser, words_of
from leia.training.sources import ListedSource, Source, read_sources

if TYPE_CHECKING:
    from transformers import TrainingArguments

DTYPES = ("auto", "float32", "bfloat16", "float16")
RECOMPUTED = ("none", "selective", "full")
"""What backward computes again."""


@dataclass(frozen=True, kw_only=True)
class Experiment(Source):
    """The settings that transformers does not know. Each is an option of scripts/train.py. Those of a `Source` are of
    the one dataset, or of all `sources` that do not say otherwise."""

    model_name_or_path: str = setting(
        "Model", "The model to fine-tune, with its tokenizer: a folder or a name on the hub."
    )
    sources: str = setting("Data", "Several sources in place of one dataset: a YAML list (docs/experiments.md).", "")
    max_length: int = setting("Data", "Tokens of a sequence.", 2048)
    validation_articles: int = setting(
        "Evaluation", "Articles that training never reads; their loss is logged each --eval_steps (the save_steps).", 0
    )
    tasks: str = setting(
        "Evaluation", "Tasks of evaluate.py to score each --eval_steps, with commas between. Empty: none.", ""
    )
    num_fewshot_samples: str = setting("Evaluation", "Solved examples in front of an item, one number a task.", "")
    include_path: str = setting("Evaluation", "Folder of further tasks, as lm-eval's.", "")
    disable_entity_name_token_loss: bool = setting("Names", "Train without the loss on the inserted names.", False)
    separate_articles: bool = setting("Data", "Put EOS after each article (not in the paper).", False)
    separate_attention: bool = setting(
        "Data", "Let attention and positions begin anew at each article of a block (not in the paper).", False
    )
    separate_epochs: bool = setting(
        "Data", "Leave out the last tokens of an epoch, too few for a block, so that no block crosses epochs.", False
    )
    global_batch_size: int = setting("Data", "Sequences of one optimizer step, over all processes.", 2048)
    attn_implementation: str = setting(
        "Model", "auto: flash attention where it is installed and the GPU can, else sdpa.", "auto"
    )
    use_flash_attention_2: bool = setting("Model", "The same as --attn_implementation flash_attention_2.", False)
    trust_remote_code: bool = setting("Model", "Run code that comes with the model.", False)
    lora_rank: int = setting(
        "Model", "Train LoRA adapters of this rank instead of all weights (not in the paper). 0: off.", 0
    )
    save_dtype: str = setting(
        "Model", f"Precision of the finished model: {', '.join(DTYPES)}; auto is that of the base.", "auto"
    )
    load_in_4bit: bool = setting(
        "Model", "Keep the weights below the adapters in 4 bits while they train; needs lora_rank, bitsandbytes.", False
    )
    activation_checkpointing: str = setting(
        "Machine",
        "What backward computes again to save memory: none, selective (all but matrix products and attention), full.",
        "none",
    )
    torch_compile: bool = setting("Machine", "Compile the layers; it needs a C compiler.", False)
    fp8: bool = setting(
        "Machine",
        "Multiply in 8 bits, not in the paper; needs torchao and a GPU that can, best with compiling.",
        False,
    )
    offload_optimizer_device: str = setting(
        "Machine", "Where DeepSpeed keeps the optimizer's states: none or cpu. Empty: as its file says.", ""
    )
    peak_tflops: float = setting("Machine", "bf16 TFLOP/s of the GPU, for the MFU. 0: known GPUs only.", 0.0)
    keep_checkpoints: int | None = setting(
        "Machine",
        "Checkpoints that stay once the final model is there; not given: all that save_total_limit has left.",
        None,
        type=click.IntRange(0),
    )
    try_steps: int = setting(
        "Machine", "Only try so many steps, cut to 2 micro batches, for speed and memory; write nothing. 0: train.", 0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.wikipedia_dataset_dir) == bool(self.sources):
            what = "have both" if self.sources else "are both missing"
            raise UsageError(f"--wikipedia_dataset_dir and sources {what}; give one dataset, or a list of sources")
        self.listed_sources()
        for name in ("max_length", "global_batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.activation_checkpointing not in RECOMPUTED:
            raise UsageError(
                f"activation_checkpointing is {self.activation_checkpointing}; expected one of {', '.join(RECOMPUTED)}"
            )
        if self.save_dtype not in DTYPES:
            raise UsageError(f"save_dtype is {self.save_dtype}; expected one of {', '.join(DTYPES)}")
        if self.load_in_4bit and not self.lora_rank:
            raise UsageError("load_in_4bit is for adapters, below which weights do not change; give lora_rank, 16 say")
        if self.fp8 and self.lora_rank:
            raise UsageError("fp8 is for training all weights; leave it or lora_rank out")
        if self.offload_optimizer_device not in ("", "none", "cpu"):
            raise UsageError(f"offload_optimizer_device is {self.offload_optimizer_device}; expected none or cpu")
        for name in ("validation_articles", "try_steps", "keep_checkpoints"):
            if (getattr(self, name) or 0) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 0")

    def listed_sources(self) -> list[ListedSource]:
        """`sources`, or the one source without a name that the experiment is by itself."""
        return read_sources(self.sources, self)


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
    """The settings of a YAML file over those of its `base`. Raises `InputError` unless it is a flat mapping."""
    advice = "configs/train/ holds examples"
    settings = read_yaml(Path(path), advice)
    for name, value in settings.items():
        if isinstance(value, dict):
            raise InputError(f"{path}: expected lines of the form `name: value`, found a mapping in {name}; {advice}")
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
