"""Measure packing and collating on one core, in tokens a second.

The floor is only copying the same tokens into blocks. The articles are of a dataset folder, or made up, with a name
about every 25 tokens.

    python scripts/benchmark.py data
"""

import time
from collections.abc import Iterable, Iterator
from itertools import islice, repeat

import click
import numpy as np
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from leia.base.cli import command, input_folder
from leia.base.datasets import EncodedArticles, open_training_dataset
from leia.data import LeiaConstantLengthDataset, LeiaDataCollator
from leia.data.insertion import STRATEGIES
from leia.data.mixing import MixedDataset
from leia.data.name_tags import add_entity_name_tags

VOCABULARY_SIZE = 32_000


@command
@input_folder(
    "--wikipedia_dataset_dir", "build_wikipedia_dataset.py", "Articles to pack.", required=False, show_default="made up"
)
@click.option("--max_length", type=click.IntRange(min=1), default=2048, help="Tokens of a block.")
@click.option("--tokens", type=click.IntRange(min=1), default=20_000_000, help="Tokens to measure each figure with.")
def data(wikipedia_dataset_dir: str | None, max_length: int, tokens: int) -> None:
    dataset = open_training_dataset(wikipedia_dataset_dir) if wikipedia_dataset_dir else made_up_articles(2000)
    for line in benchmark_data(dataset, max_length, tokens):
        click.echo(line)


def benchmark_data(dataset: Dataset, max_length: int, tokens: int) -> Iterator[str]:
    """Measure with about `tokens` tokens each and yield the lines of a table."""
    torch.set_num_threads(1)
    blocks = max(tokens // max_length, 1)
    collator = make_collator(dataset)
    names = sum(len(article.names) for article in map(EncodedArticles(dataset).__getitem__, range(len(dataset))))
    yield f"{len(dataset):,} articles, {names:,} names, blocks of {max_length:,} tokens, one core"
    floor = rate(copied_blocks(dataset, max_length), blocks, max_length)
    yield row("copying the tokens into blocks (floor)", floor, floor)
    for strategy in STRATEGIES:
        stream = LeiaConstantLengthDataset(dataset, max_length, *collator.tag_ids[0], 0.5, strategy, shuffle=True)
        yield row(f"packing, {strategy}, p 0.5", rate(stream, blocks, max_length), floor)
    yield row(
        "packing, three sources, 0.5, 0.3, 0.2", rate(mixed(dataset, max_length, collator), blocks, max_length), floor
    )
    batch = list(islice(stream, 16))
    for disabled in (False, True):
        collator.disable_entity_name_token_loss = disabled
        for size in (1, 16):
            batches = (collator(batch[:size]) for _ in repeat(None))
            what = f"collating, batch of {size}, {'no loss on names' if disabled else 'loss on names'}"
            yield row(what, rate(batches, max(blocks // size, 1), size * max_length), floor)


def mixed(dataset: Dataset, max_length: int, collator: LeiaDataCollator) -> MixedDataset:
    """The same articles as three sources, each in an order of its own."""
    streams = {
        f"source {seed}": LeiaConstantLengthDataset(
            dataset, max_length, *collator.tag_ids[0], 0.5, "right", shuffle=True, seed=seed
        )
        for seed in range(3)
    }
    return MixedDataset(streams, [0.5, 0.3, 0.2])


def rate(items: Iterable, count: int, tokens_per_item: int) -> float:
    """Tokens a second over `count` items, the first one (which sets up) left out."""
    iterator = iter(items)
    next(iterator)
    start = time.perf_counter()
    for _ in islice(iterator, count):
        pass
    return count * tokens_per_item / (time.perf_counter() - start)


def row(what: str, tokens_per_second: float, floor: float) -> str:
    return f"{what:<48}{tokens_per_second / 1e6:>10.1f}M tokens/s{floor / tokens_per_second:>8.1f} x floor"


def copied_blocks(dataset: Dataset, max_length: int) -> Iterator[np.ndarray]:
    """The texts alone, in the order they lie, copied into blocks of 64-bit ids."""
    articles, block, filled = EncodedArticles(dataset), np.empty(max_length, dtype=np.int64), 0
    while True:
        for index in range(len(articles)):
            ids = articles[index].input_ids
            while len(ids):
                part = ids[: max_length - filled]
                block[filled : filled + len(part)] = part
                filled, ids = filled + len(part), ids[len(part) :]
                if filled == max_length:
                    yield block.copy()
                    filled = 0


def make_collator(dataset: Dataset) -> LeiaDataCollator:
    size = max(EncodedArticles(dataset).id_range()[1] + 1, VOCABULARY_SIZE)
    backend = Tokenizer(models.WordLevel({f"t{index}": index for index in range(size)}, unk_token="t0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="t2")
    add_entity_name_tags(tokenizer)
    return LeiaDataCollator(tokenizer)


def made_up_articles(count: int) -> Dataset:
    """Articles of 50 to 2,000 tokens, a name of 2 to 6 tokens about every 25 tokens."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(count):
        length = int(rng.integers(50, 2000))
        starts = np.cumsum(rng.integers(10, 40, size=length // 25))
        starts = starts[starts < length - 5]
        rows.append(
            {
                "title": "",
                "input_ids": rng.integers(3, VOCABULARY_SIZE, size=length, dtype=np.int32),
                "entity_start_positions": starts,
                "entity_end_positions": starts + rng.integers(1, 5, size=len(starts)),
                "alternative_entity_input_ids": [
                    rng.integers(3, VOCABULARY_SIZE, size=int(rng.integers(2, 7))).tolist() for _ in starts
                ],
            }
        )
    return Dataset.from_list(rows)
