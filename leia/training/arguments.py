"""What a run is made of: the experiment (ours) and the `TrainingArguments` of transformers, from a YAML file and the
command line, which wins.

A configuration is flat: fields of `Experiment` and of `TrainingArguments` by their names. `base: FILE` (beside it)
takes another configuration over first, so that an ablation is its one line of difference.
"""

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from leia.base.errors import InputError
from leia.data.insertion import STRATEGIES
from leia.training.launch import without_compiler, without_gpu, without_outdated_calls

if TYPE_CHECKING:
    from transformers import TrainingArguments


def option(heading: str, help: str, default: Any = MISSING) -> Any:
    """A field of `Experiment` with the help text of its command-line option and the heading that this stands under."""
    return field(metadata={"heading": heading, "help": help}, **({} if default is MISSING else {"default": default}))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """The settings that transformers does not know. Each is an option of scripts/train.py."""

    model_name_or_path: str = option(
        "Model", "The model to fine-tune, with its tokenizer: a folder or a name on the hub."
    )
    wikipedia_dataset_dir: str = option("Data", "The dataset folder of build_wikipedia_dataset.py.")
    max_length: int = option("Data", "Tokens of a sequence.", 2048)
    entity_name_insertion_strategy: str = option("Names", f"Where names go: {', '.join(STRATEGIES)}.", "right")
    entity_name_insertion_prob: float = option("Names", "The probability that a name is inserted.", 0.5)
    disable_entity_name_token_loss: bool = option("Names", "Train without the loss on the inserted names.", False)
    global_batch_size: int = option("Data", "Sequences of one optimizer step, over all processes.", 2048)
    attn_implementation: str = option(
        "Model", "auto: flash attention where it is installed and the GPU can, else sdpa.", "auto"
    )
    use_flash_attention_2: bool = option("Model", "The same as --attn_implementation flash_attention_2.", False)
    trust_remote_code: bool = option("Model", "Run code that comes with the model.", False)
    lora_rank: int = option(
        "Model", "Train LoRA adapters of this rank instead of all weights (not in the paper). 0: off.", 0
    )
    peak_tflops: float = option("Machine", "bf16 TFLOP/s of the GPU, for the MFU. 0: known GPUs only.", 0.0)

    def __post_init__(self) -> None:
        if self.entity_name_insertion_strategy not in STRATEGIES:
            raise click.UsageError(
                f"entity_name_insertion_strategy is {self.entity_name_insertion_strategy}; "
                f"it is one of {', '.join(STRATEGIES)}"
            )
        if not 0 <= self.entity_name_insertion_prob <= 1:
            raise click.UsageError(f"entity_name_insertion_prob is {self.entity_name_insertion_prob}; expected 0 to 1")
        for name in ("max_length", "global_batch_size"):
            if getattr(self, name) < 1:
                raise click.UsageError(f"{name} is {getattr(self, name)}; expected at least 1")
        for name in ("lora_rank", "peak_tflops"):
            check_number(name, getattr(self, name))


LIMITS = {"adam_beta1": 1, "adam_beta2": 1, "seed": 2**32}
"""What a setting must be less than."""


def check_number(name: str, value: float) -> None:
    """Raise `click.UsageError` for a number that is NaN, infinite, negative or not below its limit."""
    limit = LIMITS.get(name, math.inf)
    if not 0 <= value < limit:
        expected = "a finite number of at least 0" if limit == math.inf else f"at least 0 and less than {limit}"
        raise click.UsageError(f"{name} is {value}; expected {expected}")


def read_config(path: str | Path) -> dict[str, Any]:
    """The settings of a YAML file over those of its `base`. Raises `InputError` when it is no flat mapping."""
    path = Path(path)
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such configuration; configs/train/ holds those of the project") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is no YAML file: {error}") from error
    if not settings or not isinstance(settings, dict) or any(isinstance(value, dict) for value in settings.values()):
        raise InputError(f"{path}: expected lines of the form `name: value`")
    base = settings.pop("base", None)
    return (read_config(path.parent / base) if base else {}) | settings


def parse(
    config: str | Path, options: Mapping[str, Any], more: Sequence[str]
) -> tuple[Experiment, "TrainingArguments"]:
    """The run that `config` describes, changed by the `options` that are not None and by `more`, words of
    the command line for `TrainingArguments`.

    Raises `click.UsageError` for unknown names and values out of range, `InputError` for a bad file.
    """
    settings = read_config(config) | {name: value for name, value in options.items() if value is not None}
    own = {field.name: settings.pop(field.name) for field in fields(Experiment) if field.name in settings}
    missing = [field.name for field in fields(Experiment) if field.default is MISSING and field.name not in own]
    if missing:
        raise click.UsageError(f"missing --{' and --'.join(missing)}")
    types = {field.name: field.type for field in fields(Experiment)}
    experiment = Experiment(**{name: _typed(config, name, types[name], value) for name, value in own.items()})
    return experiment, _training_arguments(experiment, settings, more)


def _typed(config: str | Path, name: str, kind: type, value: Any) -> Any:
    """`value` as a `kind`; "false" is no bool and 2048.5 no int, though Python makes them one."""
    try:
        if kind not in (bool, int) or type(value) is kind:
            return kind(value)
    except (TypeError, ValueError):
        pass
    raise click.UsageError(f"{config}: {name} is {value!r}; expected a value of type {kind.__name__}")


def _training_arguments(
    experiment: Experiment, settings: Mapping[str, Any], more: Sequence[str]
) -> "TrainingArguments":
    from transformers import HfArgumentParser, TrainingArguments
    from transformers.integrations import get_reporting_integration_callbacks

    without_gpu()
    without_outdated_calls()

    class Parser(HfArgumentParser):
        def error(self, message: str) -> None:
            raise click.UsageError(message)

    words = []
    for name, value in settings.items():
        values = value if isinstance(value, list) else [value]
        words += [f"--{name}", *map(str, values)] if value is not None else []
    parser = Parser(TrainingArguments, add_help=False, allow_abbrev=False)
    namespace = parser.parse_args([*words, *more])
    for name, why in COMPUTED.items():
        if getattr(namespace, name) != parser.get_default(name):
            raise click.UsageError(f"{name} is not to be given: {why}")
    if namespace.max_steps < 1:
        raise click.UsageError(f"max_steps is {namespace.max_steps}; the stream has no end, so expected at least 1")
    for name, value in vars(namespace).items():
        if isinstance(value, int | float) and value != parser.get_default(name):
            check_number(name, value)
    if namespace.save_strategy != "steps":
        raise click.UsageError("save_strategy is always steps; the final model is made from the last checkpoint")
    if not namespace.output_dir:
        raise click.UsageError("missing --output_dir")
    accumulation = accumulation_steps(
        experiment.global_batch_size, int(os.environ.get("WORLD_SIZE", "1")), namespace.per_device_train_batch_size
    )
    if os.environ.get("ACCELERATE_USE_DEEPSPEED") == "true":  # TrainingArguments starts it
        without_compiler()
    try:
        get_reporting_integration_callbacks(namespace.report_to)
    except ValueError as error:
        raise click.UsageError(f"report_to: {error}") from error
    try:
        return TrainingArguments(
            **vars(namespace)
            | {
                "gradient_accumulation_steps": accumulation,
                "average_tokens_across_devices": True,
                "ddp_find_unused_parameters": False,
                "disable_tqdm": True,
                "ignore_data_skip": True,
                "logging_nan_inf_filter": False,
                "remove_unused_columns": False,
            }
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


COMPUTED = {
    "gradient_accumulation_steps": "it follows from global_batch_size, the number of processes and the micro batch",
    "dataloader_num_workers": "each process packs its blocks itself, far faster than a model reads them",
    "auto_find_batch_size": "the micro batch is a part of the global batch",
    "eval_strategy": "training has no data to evaluate on; evaluate.sh evaluates the model",
    "label_smoothing_factor": "the loss is the paper's, of the tokens alone",
    "hub_token": "it would stand in the model card; log in with `hf auth login`, or set HF_TOKEN",
    "save_only_model": "a checkpoint must be one that can be continued",
}
"""Settings of `TrainingArguments` that are not the user's, and why."""


def accumulation_steps(global_batch_size: int, num_processes: int, micro_batch_size: int) -> int:
    """Micro batches of one optimizer step. Raises `click.UsageError` when the global batch does not divide."""
    per_pass = num_processes * micro_batch_size
    if per_pass < 1 or global_batch_size % per_pass:
        raise click.UsageError(
            f"the global batch of {global_batch_size} sequences does not divide by {count_processes(num_processes)} x "
            f"{micro_batch_size} sequences (per_device_train_batch_size); change one of the three"
        )
    return global_batch_size // per_pass


def count_processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number} processes"
