"""A run looked at before it begins, on any machine: what it checks before it trains, its step, what it needs of a GPU's
memory and of the disk, and its time. Starts no process, reads no weights and writes nothing."""

import shutil
from argparse import ArgumentParser
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerBase, TrainingArguments

from leia.base.errors import InputError
from leia.data.name_tags import add_tag_pairs, tag_pairs
from leia.data.tokenizers import count_ids
from leia.training import checkpoints
from leia.training.arguments import count_processes
from leia.training.estimate import Memory, Size, checkpoint_bytes, kept_for_backward, memory, size_of
from leia.training.experiment import Experiment
from leia.training.launch import read_machine
from leia.training.layers import prepare_layers
from leia.training.machine import Machine, machine_of_file
from leia.training.machine_checks import check_machine
from leia.training.model import add_lora, check_weights, first_line
from leia.training.run import Run, checked_tokenizer, find_optimizer, find_run, step_of
from leia.training.streams import make_streams
from leia.training.trial import GPU_SHARE
from leia.training.weights import wanted_dtype

CHANGES: tuple[dict[str, Any], ...] = (
    {"per_device_train_batch_size": 1},
    {"activation_checkpointing": "full"},
    {"per_device_train_batch_size": 1, "activation_checkpointing": "full"},
    {"per_device_train_batch_size": 1, "activation_checkpointing": "full", "optim": "adamw_torch_8bit"},
)
"""What makes a run smaller, tried in this order where it does not fit."""


def machine_named(config_file: str | None, launch_args: str) -> Machine:
    """The machine of a file of accelerate and of options of the launcher; without a file one process.
    Raises `InputError`."""
    parser = ArgumentParser(add_help=False)
    parser.add_argument("--num_processes", type=int)
    given = {name: value for name, value in vars(parser.parse_known_args(launch_args.split())[0]).items() if value}
    return machine_of_file((read_machine(config_file) if config_file else {}) | given)


def look_at(
    experiment: Experiment,
    args: TrainingArguments,
    machine: Machine,
    gpu_memory_gb: float | None,
    tokens_per_second: float | None,
) -> str:
    """What the run will do and need, in lines. Raises `InputError` for what would stop it before it trains."""
    check_machine(experiment, args, machine)
    output_dir = Path(args.output_dir).absolute()
    run = find_run(experiment, args, output_dir, machine)
    if run.finished:
        return run.beginning()
    tokenizer = checked_tokenizer(run)
    check_weights(experiment.model_name_or_path)
    model = empty_model(experiment, args, tokenizer)  # `tokenizer` has the tags then
    make_streams(run.sources, experiment, tokenizer, args.seed)
    find_optimizer(args, model)
    size = size_of(model)
    lines = [run.beginning(), step_of(run)]
    total = args.max_steps * experiment.global_batch_size * experiment.max_length
    lines.append(f"tokens: {experiment.global_batch_size * experiment.max_length:,} a step, {total:,} in all")
    adapters = f" (LoRA of rank {experiment.lora_rank})" if experiment.lora_rank else ""
    lines.append(f"parameters: {size.all:,}, of which {size.trained:,} are trained{adapters}")
    lines += _lines_of_memory(experiment, args, machine, model, size, gpu_memory_gb)
    prepare_layers(model, experiment.activation_checkpointing, experiment.torch_compile)  # are they known?
    lines.append(_line_of_disk(run, size))
    if tokens_per_second:
        lines.append(_line_of_time(run, total, tokens_per_second))
    return "\n".join(lines)


def empty_model(experiment: Experiment, args: TrainingArguments, tokenizer: PreTrainedTokenizerBase) -> torch.nn.Module:
    """The model of a run with its tags and adapters, without a single number. Raises `InputError`."""
    name, trusted = experiment.model_name_or_path, experiment.trust_remote_code
    config = AutoConfig.from_pretrained(name, trust_remote_code=trusted)
    add_tag_pairs(tokenizer, tag_pairs(tokenizer))
    tag_ids = tokenizer.convert_tokens_to_ids([tag for pair in tag_pairs(tokenizer) for tag in pair])
    config.get_text_config().vocab_size = max(config.get_text_config().vocab_size, count_ids(tokenizer))
    dtype = torch.bfloat16 if args.bf16 else torch.float32
    eager = {"attn_implementation": "eager"} if experiment.attn_implementation == "eager" else {}
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=trusted, **eager)
    except (OSError, ValueError, ImportError) as error:
        raise InputError(f"{name}: no model can be made from its config ({first_line(error)})") from error
    return add_lora(model, experiment.lora_rank, tag_ids, args.seed) if experiment.lora_rank else model


def _lines_of_memory(
    experiment: Experiment,
    args: TrainingArguments,
    machine: Machine,
    model: torch.nn.Module,
    size: Size,
    gpu_memory_gb: float | None,
) -> list[str]:
    settings = {
        "per_device_train_batch_size": args.per_device_train_batch_size,
        "activation_checkpointing": experiment.activation_checkpointing,
        "optim": args.optim.value,
    }
    machine = replace(machine, offloads_optimizer=_offloads(experiment, machine))
    needed = partial(_memory_with, experiment, args, machine, model, size, settings)
    try:
        found = needed({})
    except (RuntimeError, NotImplementedError, ValueError, TypeError) as error:
        return [f"memory of a GPU: unknown, {type(model).__name__} does not run without numbers ({first_line(error)})"]
    parts = ", ".join(f"{name.replace('_', ' ')} {_gib(value)}" for name, value in asdict(found).items())
    shared = "" if machine.sharding == "none" else f"{machine.sharding} over {count_processes(machine.processes)}, "
    how = f"{shared}{args.optim.value}, recomputed: {experiment.activation_checkpointing}"
    lines = [
        f"memory of a GPU: {_gib(found.total)} GiB at its peak ({how})",
        f"  {parts} GiB; activations and output layer are estimates",
    ]
    if gpu_memory_gb is None:
        return lines
    room = GPU_SHARE * gpu_memory_gb * 2**30
    card = f"{_gib(room)} GiB, {GPU_SHARE:.0%} of a card of {gpu_memory_gb:g} GB"
    if found.total <= room:
        return [*lines, f"fits: {_gib(found.total)} of {card}"]
    return [*lines, f"does not fit: {_gib(found.total)} GiB of {card}; {_advice(needed, settings, size, room)}"]


def _memory_with(
    experiment: Experiment,
    args: TrainingArguments,
    machine: Machine,
    model: torch.nn.Module,
    size: Size,
    settings: dict[str, Any],
    changed: dict[str, Any],
) -> Memory:
    settings = settings | changed
    micro_batch = settings["per_device_train_batch_size"]
    return memory(
        size,
        kept_for_backward(model, micro_batch, experiment.max_length),
        machine,
        tokens=micro_batch * experiment.max_length,
        bf16=args.bf16,
        recomputed=settings["activation_checkpointing"],
        compiled=experiment.torch_compile,
        four_bits=experiment.load_in_4bit,
        optimizer=settings["optim"],
    )


def _advice(needed: Callable[[dict[str, Any]], Memory], settings: dict[str, Any], size: Size, room: float) -> str:
    """The first of `CHANGES` that fits."""
    for change in CHANGES:
        options = {name: value for name, value in change.items() if settings[name] != value}
        if options and size.in_layers and (less := needed(options).total) <= room:
            words = " ".join(f"--{name} {value}" for name, value in options.items())
            return f"{words} needs {_gib(less)} GiB"
    return (
        "take more GPUs that share the states (ACCELERATE_CONFIG=configs/accelerate/zero3_8gpu.yaml), "
        "OFFLOAD_OPTIMIZER_DEVICE=cpu (DeepSpeed), lora_rank or a smaller model"
    )


def _offloads(experiment: Experiment, machine: Machine) -> bool:
    return {"cpu": True, "none": False}.get(experiment.offload_optimizer_device, machine.offloads_optimizer)


def _line_of_disk(run: Run, size: Size) -> str:
    """Checkpoints and the final model against what is free."""
    experiment, args = run.experiment, run.args
    each = checkpoint_bytes(size, run.machine, args.bf16, args.optim.value)
    saved = max(1, -(-args.max_steps // max(1, round(args.save_steps))))
    kept = min(saved, args.save_total_limit or saved)
    at_once = kept + (1 if kept < saved else 0)  # the oldest one goes when the new one is there
    final = final_bytes(experiment, size, args.bf16 and run.machine.uses_deepspeed)
    needed = at_once * each + final
    folder = next(one for one in (run.output_dir, *run.output_dir.parents) if one.is_dir())
    there = sum(file.stat().st_size for file in run.output_dir.rglob("*") if file.is_file())
    free = shutil.disk_usage(folder).free + there
    stays = kept if experiment.keep_checkpoints is None else min(kept, experiment.keep_checkpoints)
    says = "" if needed <= free else ": not enough; lower save_total_limit, or choose another --output_dir"
    return (
        f"disk: at most {at_once} checkpoints x {_gb(each)} + the final model of {_gb(final)} = {_gb(needed)} (then "
        f"{_gb(stays * each + final)} with {stays} of them), {_gb(free)} free{says}"
    )


def final_bytes(experiment: Experiment, size: Size, trained_in_16_bits: bool) -> float:
    """The weights of the final model: in `save_dtype`, else in the precision of the base, else as they were trained."""
    config = AutoConfig.from_pretrained(
        experiment.model_name_or_path, trust_remote_code=experiment.trust_remote_code
    ).to_dict()
    dtype = wanted_dtype(experiment.save_dtype, config)  # no weights are read
    width = dtype.itemsize if dtype else 2 if trained_in_16_bits else 4
    return width * (size.all - (size.trained if experiment.lora_rank else 0))


def _line_of_time(run: Run, total: int, tokens_per_second: float) -> str:
    done = 0
    if run.checkpoint is not None:
        done = checkpoints.read_saved(run.checkpoint / checkpoints.LOG_FILE)["global_step"]
    left = run.args.max_steps - done
    hours = left * total / run.args.max_steps / tokens_per_second / 3600
    gpus = run.machine.processes
    rate = f"{tokens_per_second:,.0f} tokens/s of {count_processes(gpus)} together"
    cost = f"{hours:,.2f} hours, {hours * gpus:,.2f} GPU hours"
    return f"time: {cost}, for {left} steps at {rate} (checkpoints and evaluation apart)"


def _gib(number: float) -> str:
    return f"{number / 2**30:,.2f}"


def _gb(number: float) -> str:
    return f"{number / 1e9:,.2f} GB"
