"""Several sources in one stream: shares, one order for any ranks and workers, exact continuation, sources apart."""

import json
from itertools import chain, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streams import make_stream, random_dataset, run_ranks
from torch.utils.data import DataLoader

from leia.data.mixing import MixedDataset, turn, whole_weights

WEIGHTS = {"spanish": 0.5, "japanese": 0.3, "english": 0.2}


def make_sources(names=tuple(WEIGHTS), **options):
    """A stream each, of different articles and by different strategies."""
    strategies = {"spanish": "right", "japanese": "left", "english": "none", "swahili": "replace"}
    return {
        name: make_stream(random_dataset(30, seed), entity_name_insertion_strategy=strategies[name], **options)
        for seed, name in enumerate(strategies)
        if name in names
    }


def make_mixture(**options) -> MixedDataset:
    return MixedDataset(make_sources(**options), list(WEIGHTS.values()))


def take(stream, count: int) -> list[tuple[int, list[int]]]:
    return [(int(block["source"]), block["input_ids"].tolist()) for block in islice(stream, count)]


def of_source(blocks, number: int) -> list[list[int]]:
    return [ids for source, ids in blocks if source == number]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=7).filter(any), st.integers(1, 400))
def test_the_share_of_a_source_stays_within_one_block_of_its_weight(weights, blocks):
    given_blocks = [0] * len(weights)
    for number in range(1, blocks + 1):
        given_blocks[turn(weights, given_blocks)] += 1
        for weight, done in zip(weights, given_blocks, strict=True):
            assert abs(done * sum(weights) - number * weight) < sum(weights)


def test_greedy_turns_would_leave_that_bound():
    """Why the turns are not simply those of the source that lies furthest behind."""
    weights = [300, 200, 200, 200, 21, 21, 21, 21]
    given_blocks, worst = [0] * len(weights), 0.0
    for number in range(1, 3000):
        behind = [number * weight - done * sum(weights) for weight, done in zip(weights, given_blocks, strict=True)]
        given_blocks[behind.index(max(behind))] += 1
        worst = max(worst, *(abs(number * w - d * sum(weights)) for w, d in zip(weights, given_blocks, strict=True)))
    assert worst >= sum(weights)


def test_a_source_gives_the_blocks_that_it_gives_alone():
    blocks = take(make_mixture(), 200)
    for number, (stream, share) in enumerate(zip(make_sources().values(), WEIGHTS.values(), strict=True)):
        mine = of_source(blocks, number)
        assert abs(len(mine) - 200 * share) < 1
        assert mine == [block["input_ids"].tolist() for block in islice(stream, len(mine))]


def test_a_fourth_source_leaves_the_blocks_of_the_others_as_they_were():
    three = take(make_mixture(), 200)
    names = (*WEIGHTS, "swahili")
    four = take(MixedDataset(make_sources(names), [*WEIGHTS.values(), 0.7]), 300)
    assert len(of_source(four, 3)) == pytest.approx(300 * 0.7 / 1.7, abs=1)
    for number in range(3):
        before, after = of_source(three, number), of_source(four, number)
        shorter = min(len(before), len(after))
        assert shorter > 30 and before[:shorter] == after[:shorter]


def test_ranks_share_one_order_and_a_state_serves_any_number_of_them(tmp_path):
    alone = make_mixture()
    undisturbed = [ids for _, ids in take(alone, 96)]
    blocks, states = run_ranks(2, make_mixture, tmp_path, None)
    assert blocks == undisturbed[:24]
    take(alone, 24)
    assert states == [alone.state_dict()] * 2, "all ranks stand where one alone would stand"
    blocks, states = run_ranks(4, make_mixture, tmp_path, states[1])
    assert blocks == undisturbed[24:72]
    again = make_mixture()
    again.load_state_dict(states[3])
    assert [ids for _, ids in take(again, 24)] == undisturbed[72:]


def test_a_saved_state_continues_the_stream_exactly():
    undisturbed = take(make_mixture(), 80)
    for stop in (0, 1, 2, 7, 40, 79):
        stream = make_mixture()
        take(stream, stop)
        state = json.loads(json.dumps(stream.state_dict()))
        resumed = make_mixture()
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state and resumed.given == stream.given and sum(resumed.given) == stop
        assert take(resumed, 80 - stop) == undisturbed[stop:]
        assert take(resumed, 80 - stop) == undisturbed[stop:], "iterating again starts at the loaded state"


@pytest.mark.parametrize("workers", [1, 2])
def test_loader_workers_neither_repeat_nor_lose_nor_reorder_blocks(workers):
    loader = DataLoader(make_mixture(), batch_size=4, num_workers=workers)
    for _ in range(2):  # started again, it gives the same again
        batches = islice(loader, 12)
        ids = list(chain.from_iterable(batch["input_ids"].tolist() for batch in batches))
        assert ids == [ids for _, ids in take(make_mixture(), 48)]


def test_a_source_of_weight_zero_gives_nothing():
    stream = MixedDataset(make_sources(), [1, 0, 2])
    take(stream, 30)
    assert stream.given == [10, 0, 20]


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, -0.1, 0.6], "a weight is -0.1"),
        ([0, 0, 0.0], "all weights are 0"),
        ([1, float("nan"), 1], "a weight is nan"),
        ([1, float("inf"), 1], "a weight is inf"),
        ([1, 2], "3 sources and 2 weights"),
    ],
)
def test_weights_that_give_no_shares_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        MixedDataset(make_sources(), weights)


def test_weights_are_taken_as_their_decimal_digits_say():
    assert whole_weights([0.1, 0.2]) == whole_weights([1, 2]) == whole_weights([10, 20.0]) == [1, 2]


@pytest.mark.parametrize(
    ("sources", "weights"), [(tuple(WEIGHTS), [0.5, 0.2, 0.3]), (("spanish", "japanese"), [0.5, 0.3])]
)
def test_the_state_of_other_sources_is_refused(sources, weights):
    state = make_mixture().state_dict()
    with pytest.raises(ValueError, match=r"the saved stream had the sources .* \(now "):
        MixedDataset(make_sources(sources), weights).load_state_dict(state)
    with pytest.raises(ValueError, match="the saved stream had seed 42"):
        MixedDataset(make_sources(seed=1), list(WEIGHTS.values())).load_state_dict(state)
