"""Streams of made-up articles for the tests of packing and of mixing, in this process and on several ranks."""

import json
import socket
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing
from datasets import Dataset

from leia.data import LeiaConstantLengthDataset

OPEN, CLOSE = 900, 901


def random_dataset(articles: int = 40, seed: int = 5) -> Dataset:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(articles):
        length = int(rng.integers(0, 120))
        bounds = np.sort(rng.integers(0, length + 1, size=2 * int(rng.integers(0, 6)))).tolist()
        rows.append(
            {
                "title": f"Article {number}",
                "input_ids": rng.integers(0, 800, size=length).tolist(),
                "entity_start_positions": bounds[::2],
                "entity_end_positions": bounds[1::2],
                "alternative_entity_input_ids": [
                    rng.integers(0, 800, size=int(rng.integers(0, 5))).tolist() for _ in bounds[::2]
                ],
            }
        )
    return Dataset.from_list(rows)


def make_stream(dataset: Dataset, max_length: int = 64, **options) -> LeiaConstantLengthDataset:
    options = {
        "entity_name_insertion_prob": 0.5,
        "entity_name_insertion_strategy": "right",
        "shuffle": True,
        "seed": 42,
    } | options
    return LeiaConstantLengthDataset(dataset, max_length, OPEN, CLOSE, **options)


def take(stream, count: int) -> list[list[int]]:
    return [block["input_ids"].tolist() for block in islice(stream, count)]


def _stream_of_rank(rank: int, ranks: int, port: int, make: Callable, folder: Path, state: dict | None) -> None:
    torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=ranks)
    stream = make()
    if state is not None:
        stream.load_state_dict(state)
    blocks = take(stream, 12)
    (folder / f"{rank}.json").write_text(json.dumps([blocks, stream.state_dict()]))
    torch.distributed.destroy_process_group()


def run_ranks(ranks: int, make: Callable, folder: Path, state: dict | None) -> tuple[list[list[int]], list[dict]]:
    """The blocks of the stream that `make` makes, 12 a rank in the stream's order, and each rank's state after them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torch.multiprocessing.start_processes(
        _stream_of_rank, (ranks, port, make, folder, state), nprocs=ranks, start_method="fork"
    )
    results = [json.loads((folder / f"{rank}.json").read_text()) for rank in range(ranks)]
    interleaved = [block for round_ in zip(*(blocks for blocks, _ in results), strict=True) for block in round_]
    return interleaved, [state for _, state in results]
