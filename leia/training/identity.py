"""What identifies a run: the settings that give its stream and its steps."""

from pathlib import Path
from typing import Any

from transformers import TrainingArguments

from leia.training.arguments import count_processes
from leia.training.experiment import Experiment
from leia.training.machine import Machine
from leia.training.streams import OpenSource, identity_of


def run_identity(
    experiment: Experiment, args: TrainingArguments, sources: list[OpenSource], machine: Machine
) -> dict[str, Any]:
    """What must be the same when a run is continued. The number of processes may change, but not under DeepSpeed, which
    saves the optimizer's states in as many parts."""
    settings = ("seed", "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "optim", "weight_decay",
                "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "fp16")  # fmt: skip
    own = ("max_length", "disable_entity_name_token_loss", "validation_articles",
           "global_batch_size", "lora_rank", "load_in_4bit", "fp8")  # fmt: skip
    states = "FSDP" if machine.sharding == "FSDP" else "whole"
    if machine.uses_deepspeed:
        stage = "" if machine.sharding == "ZeRO-3" else f" {machine.sharding}"
        states = f"DeepSpeed{stage}, {count_processes(machine.processes)}"
    later = ("separate_articles", "separate_attention", "separate_epochs")  # which runs did not have once
    return {
        "model": Path(experiment.model_name_or_path).name,
        **identity_of(sources),
        "optimizer_states": states,
        **{name: getattr(experiment, name) for name in own},
        **{name: getattr(args, name) for name in settings},
        **{name: True for name in later if getattr(experiment, name)},
    }
