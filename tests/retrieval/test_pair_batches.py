"""Rows, masks and labels: bit for bit the published ones, and what holds for any."""

import random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from retrieval_pins import expected, pinned_pair, pinned_tokenizer, tensors
from transformers import DataCollatorForLanguageModeling

from leia.retrieval.pair_batches import (
    collate,
    masked_batch,
    ranking_batch,
    truncate,
    with_global_attention,
    without_long_queries,
    without_padding,
)
from leia.retrieval.pair_examples import Example, PairExamples
from leia.retrieval.recipe import MASK_MODES
from leia.retrieval.small_model import small_tokenizer

TEXTS = ["Bread is baked in an oven.", "Brot wird im Ofen gebacken.", "The oven is hot. Who ate the bread?"]


@pytest.fixture(scope="module")
def tokenizer():
    return small_tokenizer(TEXTS)


def example(query, *documents):
    return Example(query, "q", [str(k) for k in range(len(documents))], list(documents), False)


def test_published_truncation(shared):
    tokenizer = pinned_tokenizer(shared)
    for key, wanted in expected(shared, "truncation").items():
        batch = collate(tokenizer, [(wanted["query"], wanted["document"])], int(key.partition("len")[2]))
        for name, matrix in batch.items():
            assert matrix[0].tolist() == wanted[name], (key, name)


def test_published_batches(shared):
    tokenizer = pinned_tokenizer(shared)
    for key, wanted in expected(shared, "batches").items():
        objective, name, _, length, *mode, attention = key.split("/")
        length = int(length.removeprefix("len"))
        examples = PairExamples(pinned_pair(shared, name), objective, random.Random(1), 100_000, 1)
        some = [examples.draw(place) for place in (0, 1, 2, 5)]
        if objective == "rr":
            batch = ranking_batch(tokenizer, some, length)
        else:
            batch = masked_batch(tokenizer, some, length, torch.Generator().manual_seed(11), 0.3, mode[0])
        if attention == "global":
            batch = with_global_attention(batch)
        for what, matrix in tensors(wanted).items():
            assert torch.equal(batch[what], matrix), (key, what)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 50))
def test_truncation_is_the_loop_that_drops_one_token_after_the_other(query, document, budget):
    left, right = list(range(query)), list(range(100, 100 + document))
    cut = truncate(list(left), list(right), budget)
    while len(left) + len(right) > budget:
        (left if len(left) > len(right) else right).pop()
    assert cut == (left, right)


@pytest.mark.parametrize("mode", MASK_MODES)
def test_masks_are_those_of_transformers_with_a_mask_of_its_own(tokenizer, mode):
    examples = [example(TEXTS[0], TEXTS[1]), example(TEXTS[2], TEXTS[0])]
    plain = collate(tokenizer, [(one.query, one.documents[0]) for one in examples], 64)
    special = (plain["input_ids"] < 4) | ~plain["attention_mask"].bool()  # [PAD], [UNK], [CLS], [SEP]
    in_document = plain["token_type_ids"].bool()
    hidden = {"query": special | in_document, "document": special | ~in_document, "mixed": special}[mode]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3, seed=5)
    collator.generator = torch.Generator().manual_seed(5)
    ids, labels = collator.torch_mask_tokens(plain["input_ids"].clone(), special_tokens_mask=hidden)
    ours = masked_batch(tokenizer, examples, 64, torch.Generator().manual_seed(5), 0.3, mode)
    assert torch.equal(ours["input_ids"], ids) and torch.equal(ours["labels"], labels)
    assert (labels != -100).any()


def test_an_unknown_word_may_be_masked(tokenizer):
    batch = masked_batch(tokenizer, [example("☃", "Brot")], 8, torch.Generator().manual_seed(0), 1.0)
    assert batch["labels"][0].tolist() == [-100, tokenizer.unk_token_id, *[-100] * 6]


def test_labels_of_ranking_are_one_for_the_counterpart(tokenizer):
    batch = ranking_batch(tokenizer, [example(TEXTS[0], TEXTS[1], TEXTS[2]), example(TEXTS[2], *TEXTS)], 64)
    assert batch["labels"].tolist() == [1, 0, 1, 0, 0] and len(batch["input_ids"]) == 5


@pytest.mark.parametrize(("number", "is_long"), [(255, False), (256, True), (257, True)])
def test_a_long_query_has_no_global_attention_in_pretraining(number, is_long):
    mask = torch.tensor([[2] * number + [1] * (700 - number) + [0] * 324, [2] * 10 + [1] * 1014])
    after = without_long_queries({"attention_mask": mask})["attention_mask"]
    assert after[0].tolist() == ([1] * 512 + [0] * 512 if is_long else mask[0].tolist())
    assert torch.equal(after[1], mask[1])


def test_the_published_rule_of_long_queries(shared):
    for case in expected(shared, "long")["long_query_rule_at_1024"].values():
        of_query, of_document = case["query_positions"], case["document_positions"]
        mask = torch.tensor([[2] * of_query + [1] * of_document + [0] * (1024 - of_query - of_document)])
        after = without_long_queries({"attention_mask": mask})["attention_mask"][0].tolist()
        assert after == [value for value, count in case["runs_after"] for _ in range(count)]


def test_global_attention_is_that_of_the_query_with_its_two_marks(tokenizer):
    batch = with_global_attention(collate(tokenizer, [("bread", "Brot wird")], 8))
    assert batch["attention_mask"][0].tolist() == [2, 2, 2, 1, 1, 1, 0, 0]


def test_only_what_is_padding_in_all_rows_is_taken_away(tokenizer):
    batch = ranking_batch(tokenizer, [example("bread", "Brot", "Brot wird im Ofen")], 64)
    cut = without_padding(batch)
    assert cut["input_ids"].shape == (2, 8) and cut["labels"].tolist() == [1, 0]
    assert torch.equal(cut["input_ids"], batch["input_ids"][:, :8]) and not batch["attention_mask"][:, 8:].any()
