"""The training stream: the published blocks bit for bit, one order for any ranks and workers, exact continuation."""

import gzip
import hashlib
import json
import random
from itertools import chain, islice
from pathlib import Path

import pytest
import torch
from datasets import Dataset, Features, load_from_disk
from hypothesis import given
from hypothesis import strategies as st
from streams import CLOSE, OPEN, make_stream, random_dataset, run_ranks, take
from torch.utils.data import DataLoader
from transformers import AutoTokenizer

from leia.base.datasets import training_schema
from leia.base.errors import InputError
from leia.data import LeiaConstantLengthDataset, LeiaDataCollator
from leia.data.collator import entity_name_mask
from leia.data.name_tags import add_entity_name_tags

SHARED = Path(__file__).parents[3] / "shared"


def take_with_masks(stream, count: int) -> list[list[list[int]]]:
    return [[values.tolist() for values in block.values()] for block in islice(stream, count)]


def digest(blocks: list[list[int]]) -> str:
    return hashlib.sha256("".join(" ".join(map(str, block)) + "\n" for block in blocks).encode()).hexdigest()


@pytest.mark.skipif(not (SHARED / "expected/packing-no-separator.json").exists(), reason="needs ../shared/expected")
@pytest.mark.parametrize("wiki", ["nvwiki", "ltgwiki"])
def test_blocks_without_tags_are_those_of_the_authors_later_code(wiki):
    with gzip.open(SHARED / f"expected/{wiki}-dataset.jsonl.gz", "rt", encoding="utf-8") as lines:
        dataset = Dataset.from_list([json.loads(line) for line in lines])
    settings = json.loads((SHARED / "expected/packing-no-separator.json").read_text())[wiki]
    assert settings
    for setting in settings:
        assert setting.pop("no_separator_tokens") is True
        named = {name: setting[name] for name in ("max_length", "shuffle", "seed")}
        place = {"entity_name_insertion_prob": setting["prob"], "entity_name_insertion_strategy": setting["strategy"]}
        stream = make_stream(dataset, **named, **place, no_separator_tokens=True)
        blocks = take(stream, setting["blocks"])
        assert blocks[0] == setting["first_block"] and digest(blocks) == setting["sha256"]


@given(st.integers(0, 99), st.sampled_from(["left", "right", "replace", "none"]))
def test_the_mask_of_a_stream_without_tags_is_where_the_tags_of_the_other_say(seed, strategy):
    dataset, options = random_dataset(8, seed), {"entity_name_insertion_strategy": strategy, "seed": seed}
    tagged = torch.tensor(list(chain(*take(make_stream(dataset, **options), 40))))
    bare = list(islice(make_stream(dataset, **options, no_separator_tokens=True), 30))
    assert all(block["entity_name_mask"].dtype == torch.bool for block in bare)
    names, ids = entity_name_mask(tagged, OPEN, CLOSE), tagged
    kept = (ids != OPEN) & (ids != CLOSE)
    found_ids, found_names = (torch.cat([block[key] for block in bare]) for key in ("input_ids", "entity_name_mask"))
    length = min(len(found_ids), int(kept.sum()))
    assert length > 1000 or strategy == "none"
    assert found_ids[:length].tolist() == ids[kept][:length].tolist()
    assert found_names[:length].tolist() == names[kept][:length].tolist()


def test_the_state_of_a_stream_with_tags_is_what_it_was_before_there_were_others():
    state = make_stream(random_dataset()).state_dict()
    assert "no_separator_tokens" not in state["settings"]
    with pytest.raises(ValueError, match=r"no_separator_tokens None \(now True\)"):
        make_stream(random_dataset(), no_separator_tokens=True).load_state_dict(state)
    with pytest.raises(ValueError, match=r"no_separator_tokens True \(now None\)"):
        make_stream(random_dataset()).load_state_dict(
            make_stream(random_dataset(), no_separator_tokens=True).state_dict()
        )


def test_an_end_is_put_after_each_article_and_the_stream_without_it_is_what_it_was():
    dataset, plain = random_dataset(8), make_stream(random_dataset(8))
    ended = make_stream(dataset, article_end_token_id=990)
    assert "article_end_token_id" not in plain.state_dict()["settings"]
    ids = list(chain(*take(ended, 60)))
    assert (
        ids.count(990) > 24
        and [token for token in ids if token != 990] == list(chain(*take(plain, 60)))[: -ids.count(990)]
    )
    lengths = [len(article) for article in " ".join(map(str, ids)).split("990")][:8]
    bare = list(chain(*take(make_stream(dataset, article_end_token_id=990, entity_name_insertion_strategy="none"), 60)))
    first = bare[: bare.index(990)]
    assert first == dataset.shuffle(seed=42)[0]["input_ids"] and len(lengths) == 8
    for one, other in ((plain, ended), (ended, plain)):
        with pytest.raises(ValueError, match="article_end_token_id"):
            one.load_state_dict(other.state_dict())


@given(st.integers(0, 99), st.booleans(), st.sampled_from(["left", "right", "replace", "none"]))
def test_positions_begin_anew_at_each_article_and_leave_the_ids_as_they_are(seed, no_tags, strategy):
    options = {"entity_name_insertion_strategy": strategy, "seed": seed, "article_end_token_id": 990}
    options |= {"no_separator_tokens": no_tags}
    dataset = random_dataset(8, seed)
    plain = take_with_masks(make_stream(dataset, **options), 40)
    blocks = list(islice(make_stream(dataset, **options, separate_attention=True), 40))
    assert [[block[key].tolist() for key in block if key != "position_ids"] for block in blocks] == plain
    after_an_end = True  # a block begins with 0, too
    for block in blocks:
        expected = []
        for token in block["input_ids"].tolist():
            expected.append(0 if after_an_end or not expected else expected[-1] + 1)
            after_an_end = token == 990
        assert block["position_ids"].tolist() == expected


def test_no_block_holds_tokens_of_two_epochs_where_they_are_separate():
    dataset = random_dataset(6)
    epochs = [list(chain(*(row["input_ids"] for row in dataset.shuffle(seed=42 + epoch)))) for epoch in range(4)]
    whole = [tokens[start : start + 64] for tokens in epochs for start in range(0, len(tokens) - 63, 64)]
    stream = make_stream(dataset, entity_name_insertion_strategy="none", separate_epochs=True)
    assert len(whole) > 8 and take(stream, len(whole)) == whole


def test_epochs_shorter_than_a_block_are_refused_where_they_are_separate():
    with pytest.raises(InputError, match="all 3 articles together hold less than one block of 4,096 tokens"):
        make_stream(random_dataset(3), 4096, separate_epochs=True)


def test_a_later_epoch_with_too_few_names_for_a_block_is_left_out_where_they_are_separate():
    """The draws of a name differ by epoch: here the text alone lacks one token of a block, which the name gives."""
    row = {
        "input_ids": [1] * 63,
        "entity_start_positions": [5],
        "entity_end_positions": [6],
        "alternative_entity_input_ids": [[9]],
    }
    dataset = Dataset.from_list([{"title": "", **row}])
    options = {"no_separator_tokens": True, "entity_name_insertion_prob": 0.5, "separate_epochs": True}
    seed = next(seed for seed in range(99) if random.Random(seed).random() <= 0.5)  # the first epoch has the name
    stream = make_stream(dataset, **options, seed=seed)
    blocks = take(stream, 50)
    assert all(block.count(9) == 1 for block in blocks)
    assert 60 < stream.state_dict()["epoch"] < 150


@pytest.mark.parametrize("setting", ["separate_attention", "separate_epochs"])
def test_the_state_of_a_stream_is_what_it_was_before_there_were_these_settings(setting):
    plain, own = make_stream(random_dataset()), make_stream(random_dataset(), **{setting: True})
    assert setting not in plain.state_dict()["settings"]
    for one, other in ((plain, own), (own, plain)):
        with pytest.raises(ValueError, match=setting):
            one.load_state_dict(other.state_dict())


@pytest.mark.skipif(not (SHARED / "expected/packing.json").exists(), reason="needs ../shared/expected")
@pytest.mark.parametrize("wiki", ["nvwiki", "ltgwiki"])
def test_blocks_and_labels_are_those_of_the_published_implementation(wiki):
    with gzip.open(SHARED / f"expected/{wiki}-dataset.jsonl.gz", "rt", encoding="utf-8") as lines:
        dataset = Dataset.from_list([json.loads(line) for line in lines])
    tokenizer = AutoTokenizer.from_pretrained(SHARED / "data/tokenizer")
    assert add_entity_name_tags(tokenizer) == (32000, 32001)
    settings = json.loads((SHARED / "expected/packing.json").read_text())[wiki]
    assert len(settings) == 6
    for setting in settings:
        stream = LeiaConstantLengthDataset(
            dataset,
            setting["max_length"],
            32000,
            32001,
            setting["prob"],
            setting["strategy"],
            shuffle=setting["shuffle"],
            seed=setting["seed"],
        )
        blocks = list(islice(stream, setting["blocks"]))
        assert blocks[0]["input_ids"].tolist() == setting["first_block"]
        assert digest([block["input_ids"].tolist() for block in blocks]) == setting["sha256"]
        for disabled, key in ((False, "labels40_sha256"), (True, "labels40_no_name_loss_sha256")):
            collate = LeiaDataCollator(tokenizer, disable_entity_name_token_loss=disabled)
            assert digest(collate(blocks[:40])["labels"].tolist()) == setting[key]


def test_the_order_of_an_epoch_is_that_of_dataset_shuffle():
    dataset = random_dataset()
    tokens = []
    for epoch in range(3):
        for row in dataset.shuffle(seed=42 + epoch):
            tokens += row["input_ids"]
    blocks = take(make_stream(dataset, entity_name_insertion_strategy="none"), len(tokens) // 64)
    assert list(chain(*blocks)) == tokens[: len(blocks) * 64]


def test_every_block_is_a_long_tensor_of_max_length():
    for block in islice(make_stream(random_dataset(), max_length=7), 500):
        assert block["input_ids"].shape == (7,) and block["input_ids"].dtype == torch.long


def test_a_dataset_on_disk_of_narrow_ids_gives_the_same_blocks(tmp_path):
    dataset = random_dataset()
    dataset.save_to_disk(tmp_path / "wide", num_shards=3)
    dataset.cast(Features.from_arrow_schema(training_schema(902))).save_to_disk(tmp_path / "narrow")
    expected = take(make_stream(dataset), 300)
    assert take(make_stream(load_from_disk(tmp_path / "wide")), 300) == expected
    assert take(make_stream(load_from_disk(tmp_path / "narrow")), 300) == expected


def test_a_selection_of_rows_is_packed_as_if_it_were_the_whole_dataset():
    dataset = random_dataset()
    rows = [7, 3, 11, 3, 20]
    expected = take(make_stream(Dataset.from_list([dataset[row] for row in rows])), 60)
    assert take(make_stream(dataset.select(rows)), 60) == expected


def test_iterating_again_starts_again():
    stream = make_stream(random_dataset())
    first = take(stream, 50)
    assert take(stream, 50) == first
    one, other = iter(stream), iter(stream)
    assert [next(one)["input_ids"].tolist() for _ in range(50)] == first
    assert [next(other)["input_ids"].tolist() for _ in range(50)] == first


SEPARATED = {"article_end_token_id": 7, "separate_attention": True, "separate_epochs": True}


@pytest.mark.parametrize("strategy", ["left", "right", "replace", "none", "no tags", "separated"])
def test_a_saved_state_continues_without_replaying(strategy, monkeypatch):
    dataset, options = random_dataset(articles=6), {"entity_name_insertion_strategy": strategy}
    if strategy == "no tags":
        options = {"no_separator_tokens": True}
    if strategy == "separated":
        options = SEPARATED
    taken = take_with_masks if strategy in ("no tags", "separated") else take
    undisturbed = taken(make_stream(dataset, 16, **options), 60)
    for stop in (0, 1, 2, 3, 4, 13, 37, 38, 39):
        stream = make_stream(dataset, 16, **options)
        assert taken(stream, stop) == undisturbed[:stop]
        state = json.loads(json.dumps(stream.state_dict()))
        resumed = make_stream(dataset, 16, **options)
        resumed.load_state_dict(state)
        assert resumed.state_dict() == state
        read = []
        articles = resumed.articles
        monkeypatch.setattr(resumed, "articles", Recorder(articles, read))
        assert taken(resumed, 1) == undisturbed[stop : stop + 1]
        assert sum(len(articles[index].input_ids) for index in read[:-1]) <= 16, "only what the next block needs"
        assert taken(resumed, 60 - stop) == undisturbed[stop:], "iterating again starts at the loaded state"


class Recorder:
    """The articles, and which of them were read."""

    def __init__(self, articles, read: list[int]) -> None:
        self.articles, self.read = articles, read

    def __len__(self) -> int:
        return len(self.articles)

    def __getitem__(self, index: int):
        self.read.append(index)
        return self.articles[index]


@pytest.mark.parametrize("workers", [1, 2])
def test_loader_workers_neither_repeat_nor_lose_nor_reorder_blocks(workers):
    stream = make_stream(random_dataset())
    loader = DataLoader(stream, batch_size=4, num_workers=workers)
    batches = [batch["input_ids"].tolist() for batch in islice(loader, 12)]
    assert list(chain(*batches)) == take(stream, 48)


def make_one() -> LeiaConstantLengthDataset:
    return make_stream(random_dataset())


def test_ranks_share_one_order_and_a_state_serves_any_number_of_them(tmp_path):
    alone = make_stream(random_dataset())
    undisturbed = take(alone, 60)
    blocks, states = run_ranks(2, make_one, tmp_path, None)
    assert blocks == undisturbed[:24]
    take(alone, 24)
    assert states == [alone.state_dict()] * 2, "all ranks stand where one alone would stand"
    blocks, _ = run_ranks(3, make_one, tmp_path, states[0])
    assert blocks == undisturbed[24:60]


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"entity_name_insertion_strategy": "left"},
        {"entity_name_insertion_prob": 1.0},
        {"max_length": 32},
        {"shuffle": False},
        {"no_separator_tokens": True},
    ],
)
def test_the_state_of_another_run_is_refused(change):
    state = make_stream(random_dataset()).state_dict()
    with pytest.raises(ValueError, match="now"):
        make_stream(random_dataset(), **change).load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"entity_name_insertion_strategy": "middle"}, "middle"),
        ({"entity_name_insertion_prob": 1.5}, "0 to 1"),
        ({"entity_name_insertion_prob": float("nan")}, "0 to 1"),
        ({"max_length": 0}, "max_length is 0"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_stream(random_dataset(), **options)


@pytest.mark.parametrize("articles", [0, 1])
def test_a_dataset_without_tokens_is_refused_instead_of_searched_for_ever(articles):
    columns = random_dataset(1).column_names
    empty = Dataset.from_dict(
        {name: [[]] * articles for name in columns if name != "title"} | {"title": [""] * articles}
    )
    with pytest.raises(InputError, match="no token"):
        make_stream(empty)
