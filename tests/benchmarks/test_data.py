"""The benchmark of packing and collating measures what it says: the blocks it compares hold the same tokens."""

from itertools import chain, islice

from benchmarks.data import benchmark_data, copied_blocks, made_up_articles


def test_it_prints_a_figure_for_each_strategy_and_way_of_collating():
    lines = list(benchmark_data(made_up_articles(5), max_length=64, tokens=640))
    assert len(lines) == 1 + 1 + 4 + 1 + 4
    assert all("tokens/s" in line and "x floor" in line for line in lines[1:])


def test_the_floor_copies_the_texts_into_blocks():
    dataset = made_up_articles(3)
    texts = list(chain(*dataset["input_ids"]))
    blocks = list(islice(copied_blocks(dataset, 64), len(texts) // 64))
    assert list(chain(*(block.tolist() for block in blocks))) == texts[: len(texts) // 64 * 64]
