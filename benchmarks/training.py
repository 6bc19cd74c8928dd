"""Measure tokens a second and MFU of full fine-tuning on one device: the published settings, then change after change.

The trainer of train.py runs on made-up articles and a model with random weights: of the shape of Llama 2 7B, with fewer
layers for a small GPU, or tiny to try it on a CPU (no figure worth keeping). A line has one change more than the line
before, so that it says what the change gives; where memory does not hold its micro batch, it has a smaller one.
Weights, gradients and optimizer states have 32 bits, as in a run of configs/accelerate/single_gpu.yaml; with `--fsdp2`
the same is measured under configs/accelerate/fsdp2_8gpu.yaml, on one GPU. MFU counts the operations of the model (what
is computed a second time does not count) against the rate on the data sheet and, beside it, against the rate of a large
matrix product measured in the same run (bf16; 32 bits on a CPU).

    python scripts/benchmark.py training --shape llama2_7b
"""

import gc
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path

import click
import torch

from benchmarks.data import VOCABULARY_SIZE, made_up_articles, make_collator
from benchmarks.random_llama import SHAPES, make_random_llama
from leia.base.cli import command, option
from leia.base.errors import InputError
from leia.base.text import markdown_table
from leia.data import LeiaConstantLengthDataset
from leia.training.arguments import parse
from leia.training.metrics import peak_flops
from leia.training.model import attentions, prepare
from leia.training.trainer import LeiaTrainer

CONFIGS = Path(__file__).parents[1] / "configs" / "train"
HEAD = ("settings", "tokens/s", "MFU", "MFU of matrix product", "x published", "memory")


@dataclass(frozen=True)
class Settings:
    """A line of the table. `change`: its name; `config`: of configs/train; `optim`: where it is not the config's."""

    change: str = "published"
    config: str = "llama2_7b.yaml"
    whole_logits: bool = True
    micro_batch_size: int = 1
    activation_checkpointing: str = "full"
    torch_compile: bool = False
    optim: str = ""
    fp8: bool = False


def variants(micro_batch_size: int) -> Iterator[Settings]:
    """The published settings, then each line the one before with one change."""
    settings = Settings()
    for change in (
        {"change": "loss without logits", "whole_logits": False},
        {"change": f"micro batch {micro_batch_size}", "micro_batch_size": micro_batch_size},
        {"change": "torch.compile", "torch_compile": True},
        {"change": "selective checkpointing", "activation_checkpointing": "selective"},
        {
            "change": f"8-bit AdamW, so that micro batch {2 * micro_batch_size} fits (outside the paper)",
            "optim": "adamw_torch_8bit",
            "micro_batch_size": 2 * micro_batch_size,
        },
        {"change": "fp8 (outside the paper)", "fp8": True},
    ):
        yield settings
        settings = replace(settings, **change)
    yield settings


LORA = Settings("LoRA of configs/train/lora_24gb.yaml", "lora_24gb.yaml", whole_logits=False)


@dataclass(frozen=True)
class Work:
    """What is trained: the model's shape and layers, tokens of a sequence, sequences of a step, steps after one that
    warms up."""

    shape: str
    num_layers: int | None
    max_length: int
    sequences: int
    steps: int


@command
@option("Model", "--shape", type=click.Choice(list(SHAPES)), default="llama2_7b", help="The model's size.")
@option("Model", "--num_layers", type=click.IntRange(min=1), help="Layers, if not the shape's own.")
@option("Step", "--max_length", type=click.IntRange(min=2), default=2048, help="Tokens of a sequence.")
@option("Step", "--micro_batch_size", type=click.IntRange(min=1), default=4, help="Sequences at once, if not 1.")
@option("Step", "--sequences", type=click.IntRange(min=1), default=32, help="Sequences of an optimizer step.")
@option("Step", "--steps", type=click.IntRange(min=1), default=1, help="Optimizer steps to measure; one more warms up.")
@option("Machine", "--fsdp2", is_flag=True, help="Under FSDP2, on one GPU.")
@option("Machine", "--memory_gb", type=click.FloatRange(min=1), help="GB of the GPU's memory to use.")
@option("Lines", "--lines", default="", help="The lines with this in their name alone.")
@option("Lines", "--lora", is_flag=True, help="Adapters alone, as configs/train/lora_24gb.yaml has them.")
def training(
    shape: str,
    num_layers: int | None,
    max_length: int,
    micro_batch_size: int,
    sequences: int,
    steps: int,
    fsdp2: bool,
    memory_gb: float | None,
    lines: str,
    lora: bool,
) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if memory_gb and device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(memory_gb * 1e9 / torch.cuda.mem_get_info()[1])
    if fsdp2:
        use_fsdp2()
    work = Work(shape, num_layers, max_length, sequences, steps)
    product, nominal = matrix_product_rate(device), peak_flops(0.0)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    said = f", {nominal / 1e12:,.0f} on the data sheet" if nominal else ""
    click.echo(
        f"{shape}{f', {num_layers} layers' if num_layers else ''}, on {name}: {product / 1e12:.2f} TFLOP/s in a matrix "
        f"product{said}; {attentions()[0]}, {max_length} tokens, {sequences} sequences a step, "
        f"torch {torch.__version__}{', FSDP2' if fsdp2 else ''}"
    )
    rows, published = [], None
    for settings in [LORA] if lora else variants(micro_batch_size):
        if lines not in settings.change:
            continue
        try:
            what, rate, flops, memory = measure_what_fits(settings, work, device)
        except (ImportError, InputError, torch._dynamo.exc.TorchDynamoException) as error:
            why = str(error).strip().splitlines()[0]
            click.echo(f"{settings.change}: {why}", err=True)
            rows.append((settings.change, why, "", "", "", ""))
            continue
        published = published or rate
        rows.append(
            (
                what,
                f"{rate:,.0f}",
                f"{rate * flops / nominal:.1%}" if nominal else "",
                f"{rate * flops / product:.1%}",
                f"{rate / published:.2f}",
                f"{memory:.1f} GiB",
            )
        )
        click.echo(f"{what}: {rate:,.0f} tokens/s", err=True)
    click.echo("\n" + markdown_table(HEAD, rows))


def measure_what_fits(settings: Settings, work: Work, device: torch.device) -> tuple[str, float, int, float]:
    """The name of the line and `measure`, with half of the micro batch again and again until memory holds it."""
    try:
        return settings.change, *measure(settings, work, device)
    except torch.OutOfMemoryError as error:
        if settings.micro_batch_size == 1:
            raise InputError("out of memory") from error
    fewer = settings.micro_batch_size // 2
    change = f"{settings.change.split(' (micro')[0]} (micro batch {fewer})"
    return measure_what_fits(replace(settings, change=change, micro_batch_size=fewer), work, device)


def measure(settings: Settings, work: Work, device: torch.device) -> tuple[float, int, float]:
    """Tokens a second, floating-point operations of a token, GiB of memory at most."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            trainer = make_trainer(settings, work, device, folder)
            with redirect_stdout(sys.stderr):
                trainer.train()
            measured = [entry for entry in trainer.state.log_history if "loss" in entry][1:]
            seconds = sum(1 / entry["tokens_per_second"] for entry in measured)
            return len(measured) / seconds, trainer.flops_per_token, measured[-1]["peak_memory_gib"]
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it holds the trainer
        trainer = None
        release(device)


def make_trainer(settings: Settings, work: Work, device: torch.device, folder: str) -> LeiaTrainer:
    """The trainer of a run with these settings, which saves nothing."""
    options = {
        "model_name_or_path": "random",
        "wikipedia_dataset_dir": "made up",
        "max_length": work.max_length,
        "global_batch_size": work.sequences,
        "activation_checkpointing": settings.activation_checkpointing,
        "torch_compile": settings.torch_compile,
        "fp8": settings.fp8,
    }
    words = ["--output_dir", folder, "--report_to", "none", "--max_steps", str(work.steps + 1)]
    words += ["--per_device_train_batch_size", str(settings.micro_batch_size)]
    words += ["--use_cpu", "true", "--bf16", "false", "--optim", "adamw_torch"] if device.type == "cpu" else []
    words += ["--optim", settings.optim] if settings.optim else []
    experiment, args = parse(CONFIGS / settings.config, options, words)
    args.save_strategy = "no"
    dataset = made_up_articles(200)
    collator = make_collator(dataset)
    tag_ids = list(collator.tag_ids[0])
    dtype = torch.bfloat16 if experiment.lora_rank else torch.float32
    size, attention = VOCABULARY_SIZE + len(tag_ids), attentions()[0]
    model = make_random_llama(work.shape, size, device, dtype, attention, work.num_layers).train()
    trainer = LeiaTrainer(
        model=prepare(model, experiment, args, tag_ids),
        args=args,
        train_dataset=LeiaConstantLengthDataset(dataset, work.max_length, *tag_ids, 0.5, "right", shuffle=True),
        data_collator=collator,
        run={"max_length": work.max_length, "global_batch_size": work.sequences},
        peak_flops=None,
    )
    if settings.whole_logits:
        trainer.token_losses.needs_logits = True
    return trainer


def use_fsdp2() -> None:
    """Have accelerate run this process as the only one of configs/accelerate/fsdp2_8gpu.yaml."""
    os.environ |= {
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "29500",
        "ACCELERATE_USE_FSDP": "true",
        "ACCELERATE_MIXED_PRECISION": "bf16",
        "FSDP_VERSION": "2",
        "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
        "FSDP_RESHARD_AFTER_FORWARD": "false",
    }


def release(device: torch.device) -> None:
    torch._dynamo.reset()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def matrix_product_rate(device: torch.device) -> float:
    """Floating-point operations a second of a large matrix product."""
    size, dtype = (8192, torch.bfloat16) if device.type == "cuda" else (1024, torch.float32)
    matrix = torch.randn(size, size, device=device, dtype=dtype)
    count = 1000 if device.type == "cuda" else 20  # over a second, for the rate that the GPU can hold
    return 2 * size**3 / timed(lambda: torch.mm(matrix, matrix), count, device)


def timed(function: Callable[[], object], count: int, device: torch.device) -> float:
    """Seconds of one call, over `count` calls after one that warms up."""
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(count):
        function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / count
