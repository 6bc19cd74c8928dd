"""Measure tokens a second and MFU of full fine-tuning on one device: the published settings, then change after change.

The weights are random, of the shape of Llama 2 7B for one GPU of 141 GB, or tiny to try it on a CPU (no figure worth
keeping). Each line has one change more than the line before, so that it says what the change gives. The MFU is against
the bf16 rate of a large matrix product measured in the same run (32-bit on a CPU). It counts the operations of the
model; what checkpointing computes a second time does not count. Weights and optimizer states are bf16 here; a run keeps
32-bit ones as well.

    python scripts/benchmark.py training --shape llama2_7b
"""

import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import click
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from leia.base.cli import command
from leia.training.metrics import flops_per_token, token_losses
from leia.training.model import choose_attention

SHAPES = {
    "llama2_7b": {
        "hidden_size": 4096,
        "intermediate_size": 11008,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "max_position_embeddings": 4096,
    },
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4},
}
VOCABULARY_SIZE = 32_002


@dataclass(frozen=True)
class Settings:
    """`checkpoint_every`: one layer in so many forgets its activations and computes them again; 0: none does."""

    change: str = "published: checkpointing, micro batch 1"
    checkpoint_every: int = 1
    micro_batch_size: int = 1
    fused_optimizer: bool = False
    vocabulary_size: int = VOCABULARY_SIZE
    compiled: bool = False


def variants(micro_batch_size: int) -> Iterator[Settings]:
    """The published settings, then each line the one before with one change."""
    settings = Settings()
    for change in (
        {"change": "fused AdamW", "fused_optimizer": True},
        {"change": "vocabulary padded to 64", "vocabulary_size": -(-VOCABULARY_SIZE // 64) * 64},
        {"change": f"micro batch {micro_batch_size}", "micro_batch_size": micro_batch_size},
        {"change": "checkpointing of every second layer", "checkpoint_every": 2},
        {"change": "no checkpointing", "checkpoint_every": 0},
        {"change": "torch.compile", "compiled": True},
        {"change": "micro batch 1", "micro_batch_size": 1},
    ):
        yield settings
        settings = replace(settings, **change)
    yield settings


@command
@click.option("--shape", type=click.Choice(list(SHAPES)), default="llama2_7b", help="The model's size.")
@click.option("--max_length", type=click.IntRange(min=2), default=2048, help="Tokens of a sequence.")
@click.option("--micro_batch_size", type=click.IntRange(min=1), default=4, help="Sequences at once, where it is not 1.")
@click.option("--accumulation", type=click.IntRange(min=1), default=16, help="Sequences of an optimizer step.")
@click.option("--steps", type=click.IntRange(min=1), default=3, help="Optimizer steps to measure; one more warms up.")
def training(shape: str, max_length: int, micro_batch_size: int, accumulation: int, steps: int) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    peak = matrix_product_rate(device)
    attention = choose_attention("auto")
    click.echo(f"{shape} on {name}, {peak / 1e12:.2f} TFLOP/s in a matrix product, {attention}, {max_length} tokens")
    published = None
    for settings in variants(micro_batch_size):
        try:
            rate, flops, memory = measure(settings, shape, attention, max_length, accumulation, steps, device)
        except torch.OutOfMemoryError:
            click.echo(f"{settings.change:<42} out of memory")
            continue
        except torch._dynamo.exc.TorchDynamoException as error:  # it needs a C compiler, for one
            click.echo(f"{settings.change:<42} does not compile here: {str(error).strip().splitlines()[0]}")
            continue
        published = published or rate
        click.echo(
            f"{settings.change:<42}{rate:>12,.0f} tokens/s{rate * flops / peak:>8.1%} MFU"
            f"{rate / published:>7.2f} x published{memory / 2**30:>8.1f} GiB"
        )


def measure(
    settings: Settings, shape: str, attention: str, length: int, accumulation: int, steps: int, device: torch.device
) -> tuple[float, int, int]:
    """Tokens a second, floating-point operations of a token, peak bytes of the GPU (0 on a CPU)."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=settings.vocabulary_size, attn_implementation=attention, **SHAPES[shape])
    with device:
        model = LlamaForCausalLM(config).to(dtype).train()
    flops = flops_per_token(model, length)
    if settings.checkpoint_every:
        model.activation_checkpointing_enable({"use_reentrant": False}, every_n_layers=settings.checkpoint_every)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=settings.fused_optimizer or None)
    forward: Callable = torch.compile(model) if settings.compiled else model
    ids = torch.randint(0, VOCABULARY_SIZE, (settings.micro_batch_size, length), device=device)

    def step() -> None:
        for _ in range(max(accumulation // settings.micro_batch_size, 1)):
            losses = token_losses(forward(input_ids=ids, use_cache=False).logits, ids)
            (losses.sum() / (accumulation * length)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    seconds = timed(step, steps, device)
    tokens = max(accumulation // settings.micro_batch_size, 1) * settings.micro_batch_size * length
    return tokens / seconds, flops, torch.cuda.max_memory_allocated() if device.type == "cuda" else 0


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
