"""What is logged of a step: losses of names and of text, shares, speed, memory; and the line that is printed."""

import math
import resource
from collections.abc import Sequence
from typing import Any

import torch

from leia.data.collator import IGNORED_LABEL, LeiaDataCollator
from leia.training.losses import next_tokens

SUMS = ("loss", "name_loss", "labels", "name_labels", "inserted", "tokens", "stop")

PEAK_TFLOPS = {
    "B200": 2250,
    "H200": 989,
    "H100 NVL": 835,
    "H100 PCIe": 756,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "RTX 4090": 165,
    "RTX 3090": 71,
}
"""bf16 without sparsity, from the makers' data sheets."""


class StepSums:
    """Sums over the micro batches of a step, then over the processes; `sources`: the names of those of a mixture."""

    def __init__(self, sources: Sequence[str] = ()) -> None:
        self._sources = tuple(sources)
        self._sums: torch.Tensor | float = 0.0

    def add(self, losses: torch.Tensor, batch: dict[str, torch.Tensor], collator: LeiaDataCollator) -> None:
        """Of one micro batch of `collator`, with the loss of each token, [batch, length]."""
        labels, (names, inserted) = batch["labels"], inserted_tokens(batch, collator)
        trained = next_tokens(labels, IGNORED_LABEL) != IGNORED_LABEL
        trained_names = trained & next_tokens(names, False)
        losses = losses.double()
        tokens, stop = labels.new_full((), labels.numel()), labels.new_zeros(())
        values = (losses, losses * trained_names, trained, trained_names, inserted, tokens, stop)
        sums = torch.stack([value.sum().double() for value in values])
        if self._sources:
            of_rows = torch.stack([losses.sum(dim=1), trained.sum(dim=1).double()])
            of_sources = of_rows.new_zeros(2, len(self._sources)).index_add_(1, batch["source"], of_rows)
            sums = torch.cat([sums, of_sources.flatten()])
        self._sums = self._sums + sums

    def finish(self, accelerator: Any, stop: bool) -> dict[str, float]:
        """The sums over all processes, by the names of `SUMS`; `stop` is the number of processes asked to stop. Of
        each source `loss/NAME` and `labels/NAME`."""
        self._sums[SUMS.index("stop")] = stop
        sums = accelerator.reduce(self._sums, "sum").tolist()
        self._sums = 0.0
        of_sources = [f"{what}/{name}" for what in ("loss", "labels") for name in self._sources]
        return dict(zip((*SUMS, *of_sources), sums, strict=True))


def inserted_tokens(batch: dict[str, torch.Tensor], collator: LeiaDataCollator) -> tuple[torch.Tensor, torch.Tensor]:
    """Which ids of a batch are of names (with the opening tag, where tags tell), and which are inserted at all."""
    ids = batch["input_ids"]
    names = batch["entity_name_mask"] if "entity_name_mask" in batch else collator.names_by_tags(ids)
    return names, names | collator.are_tags(ids)


def mean_losses(sums: dict[str, float], prefix: str = "") -> dict[str, float]:
    """The mean loss over the labels of names, over those of text and over those of each source, where there are any."""
    losses = {}
    if sums["name_labels"]:
        losses[f"{prefix}loss_names"] = sums["name_loss"] / sums["name_labels"]
    if text_labels := sums["labels"] - sums["name_labels"]:
        losses[f"{prefix}loss_text"] = (sums["loss"] - sums["name_loss"]) / text_labels
    for name, total in sums.items():
        labels = sums.get(name.replace("loss/", "labels/", 1)) if name.startswith("loss/") else 0
        if labels:
            losses[f"{prefix}{name}"] = total / labels
    return losses


def flops_per_token(model: torch.nn.Module, length: int) -> int:
    """Floating-point operations that training needs for a token of a sequence of `length` tokens, recomputation apart.

    A weight costs 2 forward, 2 for the gradient of its input and 2 for its own, which a frozen weight does without;
    input embeddings cost nothing. Causal attention needs half of the square; Mamba, which has none, only its weights.
    """
    embedded = model.get_input_embeddings().weight
    tied = model.get_output_embeddings() is not None and model.get_output_embeddings().weight is embedded
    weights = (weight for weight in model.parameters() if tied or weight is not embedded)
    sizes = ((_numbers(weight), 6 if weight.requires_grad else 4) for weight in weights)
    matrices = sum(size * flops for size, flops in sizes)
    config = model.config.get_text_config()
    heads = getattr(config, "num_attention_heads", 0)
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads) if heads else 0
    return matrices + 6 * config.num_hidden_layers * width * length


def _numbers(weight: torch.nn.Parameter) -> int:
    """Those of the whole weight: under ZeRO-3 a process holds a part, and in a byte are two of 4 bits."""
    whole = getattr(weight, "quant_state", None)
    return getattr(weight, "ds_numel", weight.numel() if whole is None else math.prod(whole.shape))


def peak_flops(peak_tflops: float) -> float | None:
    """The bf16 rate of this process's GPU: as given, or from the table; None on a CPU or an unknown GPU."""
    if peak_tflops or not torch.cuda.is_available():
        return peak_tflops * 1e12 or None
    name = torch.cuda.get_device_name()
    return next((tflops * 1e12 for key, tflops in PEAK_TFLOPS.items() if key in name), None)


def peak_memory() -> int:
    """Bytes at most in use by this process: on the GPU where there is one, else in main memory."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


SHOWN = {
    "loss": "loss {:.4f}",
    "loss_names": "names {:.4f}",
    "loss_text": "text {:.4f}",
    "learning_rate": "lr {:.2e}",
    "grad_norm": "grad {:.3f}",
    "tokens_seen": "tokens {:,}",
    "tokens_per_second": "{:,.0f} tokens/s",
    "mfu": "mfu {:.1%}",
    "inserted_share": "inserted {:.1%}",
    "peak_memory_gib": "memory {:.2f} GiB",
}


def evaluation_line(step: int, steps: int, logs: dict[str, float]) -> str:
    """What is printed of an evaluation in training; the names of `logs` begin with `eval_`."""
    own = {name.removeprefix("eval_"): value for name, value in logs.items()}
    texts = [_of_source(name, own) or SHOWN.get(name, f"{name} {{:.3f}}").format(value) for name, value in own.items()]
    return "  ".join([f"step {step}/{steps}  evaluation:", *texts])


def step_line(step: int, steps: int, logs: dict[str, float]) -> str:
    """What is printed of a step."""
    shown = [text.format(logs[name]) for name, text in SHOWN.items() if name in logs]
    return "  ".join([f"step {step}/{steps}", *shown, *filter(None, (_of_source(name, logs) for name in logs))])


def _of_source(name: str, logs: dict[str, float]) -> str:
    """Of `loss/NAME` the loss of that source, with its tokens so far where they are logged; else nothing."""
    what, slash, source = name.partition("/")
    if what != "loss" or not slash:
        return ""
    tokens = logs.get(f"tokens/{source}")
    return f"{source} {logs[name]:.4f}" + (f" ({tokens:,} tokens)" if tokens is not None else "")
