"""Work on items in batches of similar length, smaller ones whenever the device's memory runs out."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from tqdm import tqdm

from leia.base.errors import InputError

Result = TypeVar("Result")

AUTO_BATCH_TOKENS = {"cuda": 16_384, "cpu": 2_048}
"""Tokens a batch, padding included, where the batch size is "auto"."""


def run_in_batches(
    lengths: Sequence[int],
    batch_size: int | str,
    device: torch.device,
    run: Callable[[list[int]], Sequence[Result]],
    progress: tqdm,
    alike: float = 0.0,
) -> list[Result]:
    """The result of each item, in the order of the items: `run` gets the numbers of those of a batch, the longest
    first.

    `lengths`: tokens of each item. `batch_size`: items, or "auto" (`AUTO_BATCH_TOKENS`). `alike`: with "auto", a batch
    that has a quarter of its tokens takes no item that is shorter than this share of its longest, because padding costs
    time. Where the GPU's memory does not hold a batch, this and all later ones are halved. Raises `InputError` where it
    does not hold a single item.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    results: dict[int, Result] = {}
    tokens = AUTO_BATCH_TOKENS["cpu" if device.type == "cpu" else "cuda"]
    halvings = 0
    while order:
        if batch_size == "auto":
            longest = max(1, lengths[order[0]])
            size = tokens // longest
            size = max(size // 4, sum(lengths[index] >= alike * longest for index in order[:size]))
        else:
            size = int(batch_size)
        batch = order[: max(1, size >> halvings)]
        try:
            found = run(batch)
        except torch.cuda.OutOfMemoryError:
            if len(batch) == 1:
                raise InputError("the GPU's memory does not hold a single item; use --dtype or a larger GPU") from None
            torch.cuda.empty_cache()
            halvings += 1
            continue
        results.update(zip(batch, found, strict=True))
        del order[: len(batch)]
        progress.update(len(batch))
    return [results[index] for index in range(len(lengths))]
