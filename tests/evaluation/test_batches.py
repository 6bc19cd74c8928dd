"""Batches of items of similar length: which items run together."""

import torch
from tqdm import tqdm

from leia.evaluation.batches import AUTO_BATCH_TOKENS, run_in_batches


def batches_of(lengths, batch_size, alike=0.0):
    """The lengths in each batch."""
    batches = []

    def run(batch):
        batches.append([lengths[index] for index in batch])
        return batch

    with tqdm(disable=True) as bar:
        results = run_in_batches(lengths, batch_size, torch.device("cuda"), run, bar, alike)
    assert results == list(range(len(lengths)))
    return batches


def test_a_batch_with_enough_to_do_takes_no_item_that_it_would_have_to_pad_much():
    tokens = AUTO_BATCH_TOKENS["cuda"]
    lengths = [tokens // 64] * 40 + [tokens // 128] * 20
    first, second = batches_of(lengths, "auto", alike=0.9)
    assert first == [tokens // 64] * 40 and second == [tokens // 128] * 20
    assert len(batches_of(lengths, "auto")) == 1


def test_a_quarter_of_a_batch_is_filled_whatever_the_lengths():
    tokens = AUTO_BATCH_TOKENS["cuda"]
    lengths = [tokens // 64 - number for number in range(64)]
    assert min(map(len, batches_of(lengths, "auto", alike=0.99)[:-1])) >= 16


def test_a_batch_size_that_is_named_is_kept():
    assert list(map(len, batches_of([100] * 3 + [10] * 7, 5, alike=0.9))) == [5, 5]
