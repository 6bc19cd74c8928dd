"""What the machine of a run cannot do."""

from transformers import TrainingArguments

from leia.base.errors import InputError
from leia.training.experiment import Experiment
from leia.training.four_bits import check_four_bits
from leia.training.machine import Machine


def check_machine(experiment: Experiment, args: TrainingArguments, machine: Machine) -> None:
    """Raise `InputError` for what a process of this launch cannot do."""
    if args.n_gpu > 1:
        raise InputError(
            f"one process sees {args.n_gpu} GPUs; name one (CUDA_VISIBLE_DEVICES=0), or start it by train.sh"
        )
    if args.fp16 and machine.on_cpu:  # accelerate would leave it out and say nothing
        raise InputError("fp16 is true: it is for a GPU, this is a CPU; take bf16, or leave it out")
    if machine.fsdp_recomputes:
        raise InputError(
            "fsdp_activation_checkpointing is true in ACCELERATE_CONFIG or fsdp_config; leave it out, the experiment's "
            "activation_checkpointing says what is computed again"
        )
    if machine.compiler != "no":
        raise InputError(
            f"dynamo_backend is {machine.compiler} in ACCELERATE_CONFIG; leave the line out, the experiment's "
            "torch_compile compiles the layers"
        )
    if experiment.activation_checkpointing == "selective" and machine.sharding == "ZeRO-3":
        raise InputError(
            "activation_checkpointing is selective: what DeepSpeed ZeRO-3 does between the products cannot be computed "
            "again; take full or none, or ACCELERATE_CONFIG=configs/accelerate/zero1_8gpu.yaml or fsdp2_8gpu.yaml"
        )
    if experiment.load_in_4bit:
        check_four_bits(machine)
    if experiment.lora_rank and machine.sharding == "ZeRO-3":
        raise InputError(
            f"lora_rank is {experiment.lora_rank}: adapters are not trained under DeepSpeed ZeRO-3; "
            "ACCELERATE_CONFIG=configs/accelerate/single_gpu.yaml is for one GPU"
        )
