"""Labels: a table of cases, and the vectorised mask against a slow reading of the rule."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from leia.base.errors import UsageError
from leia.data import LeiaDataCollator
from leia.data.collator import entity_name_mask
from leia.data.name_tags import (
    ENTITY_NAME_TAGS,
    add_entity_name_tags,
    add_tag_pairs,
    choose_tags,
    entity_name_tag_ids,
    entity_name_tags,
)
from leia.data.tokenizers import load_tokenizer, tokenizer_identity
from leia.training.tiny_model import train_tokenizer

EOS, PAD, OPEN, CLOSE = 0, 1, 10, 11


def make_tokenizer(pad: bool = False) -> PreTrainedTokenizerFast:
    vocabulary = {token: index for index, token in enumerate(["</s>", "<pad>", *"abcdefgh"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="a"))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="</s>", **({"pad_token": "<pad>"} if pad else {})
    )


def collate(*sequences: list[int], pad: bool = False, **options) -> dict[str, list[list[int]]]:
    tokenizer = make_tokenizer(pad)
    add_entity_name_tags(tokenizer)
    batch = LeiaDataCollator(tokenizer, **options)([{"input_ids": torch.tensor(ids)} for ids in sequences])
    return {name: tensor.tolist() for name, tensor in batch.items()}


# name: ids, labels, labels without the loss on names
CASES = {
    "text only": ([2, 3, 4], [2, 3, 4], [2, 3, 4]),
    "a name": ([2, OPEN, 5, 6, CLOSE, 3], [2, -100, 5, 6, -100, 3], [2, -100, -100, -100, -100, 3]),
    "open to the end": ([2, OPEN, 5, 6], [2, -100, 5, 6], [2, -100, -100, -100]),
    "a close without an open": ([5, CLOSE, 3], [5, -100, 3], [5, -100, 3]),
    "two names": (
        [OPEN, 5, CLOSE, 2, OPEN, 6, CLOSE],
        [-100, 5, -100, 2, -100, 6, -100],
        [-100] * 3 + [2] + [-100] * 3,
    ),
    "an empty name": ([2, OPEN, CLOSE, 3], [2, -100, -100, 3], [2, -100, -100, 3]),
    "EOS is padding": ([2, EOS, 3], [2, -100, 3], [2, -100, 3]),
}


@pytest.mark.parametrize("case", CASES)
def test_labels(case):
    ids, labels, without_names = CASES[case]
    assert collate(ids) == {"input_ids": [ids], "attention_mask": [[1] * len(ids)], "labels": [labels]}
    assert collate(ids, disable_entity_name_token_loss=True)["labels"] == [without_names]


@pytest.mark.parametrize("disabled", [False, True])
def test_names_without_tags_are_told_by_the_mask_that_the_blocks_carry(disabled):
    tokenizer = make_tokenizer(pad=True)
    add_entity_name_tags(tokenizer)
    blocks = [
        {"input_ids": torch.tensor([2, 5, 6]), "entity_name_mask": torch.tensor([False, True, True])},
        {"input_ids": torch.tensor([7, 3]), "entity_name_mask": torch.tensor([True, False])},
    ]
    batch = LeiaDataCollator(tokenizer, disable_entity_name_token_loss=disabled)(blocks)
    assert batch["entity_name_mask"].tolist() == [[False, True, True], [True, False, False]]
    expected = [[2, -100, -100], [-100, 3, -100]] if disabled else [[2, 5, 6], [7, 3, -100]]
    assert batch["labels"].tolist() == expected


@given(st.lists(st.sampled_from([2, 3, OPEN, CLOSE, CLOSE + 1]), min_size=1, max_size=30))
def test_pairs_of_tags_may_share_one(ids):
    """Sources with one opening tag and two closing ones: a name ends at whichever comes first."""
    tokenizer = make_tokenizer()
    pairs = [("<t>", "</es>"), ("<t>", "</en>")]
    choose_tags(tokenizer, *pairs)
    add_tag_pairs(tokenizer, pairs)
    assert tokenizer.convert_tokens_to_ids(["<t>", "</es>", "</en>"]) == [OPEN, CLOSE, CLOSE + 1]
    found = LeiaDataCollator(tokenizer).names_by_tags(torch.tensor([ids]))
    as_one_pair = torch.tensor([[min(one, CLOSE) for one in ids]])
    assert torch.equal(found, entity_name_mask(as_one_pair, OPEN, CLOSE))


def test_a_tokenizer_with_padding_keeps_the_loss_on_eos():
    assert collate([2, EOS, 3], [4], pad=True) == {
        "input_ids": [[2, EOS, 3], [4, PAD, PAD]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "labels": [[2, EOS, 3], [4, -100, -100]],
    }


def test_sequences_are_padded_to_max_length_and_never_cut():
    assert collate([2, 3], max_length=4)["input_ids"] == [[2, 3, EOS, EOS]]
    with pytest.raises(ValueError, match="longer than max_length"):
        collate([2, 3, 4], max_length=2)


@given(st.lists(st.sampled_from([2, 3, OPEN, CLOSE]), min_size=1, max_size=30))
def test_the_mask_of_names_follows_the_rule_token_by_token(ids):
    inside, expected = False, []
    for token in ids:
        inside = token == OPEN or (inside and token != CLOSE)
        expected.append(inside)
    rows = torch.tensor([ids, ids[::-1]])
    assert entity_name_mask(rows, OPEN, CLOSE)[0].tolist() == expected


def test_tags_are_added_once_as_special_tokens_and_change_no_identity(tmp_path):
    tokenizer = make_tokenizer()
    identity = tokenizer_identity(tokenizer)
    assert identity["vocabulary_size"] == 10
    with pytest.raises(ValueError, match="<translate>"):
        LeiaDataCollator(tokenizer)
    assert add_entity_name_tags(tokenizer) == add_entity_name_tags(tokenizer) == (OPEN, CLOSE)
    tokenizer.save_pretrained(tmp_path)
    again = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert entity_name_tag_ids(again) == add_entity_name_tags(again) == (OPEN, CLOSE)
    assert tokenizer_identity(tokenizer) == tokenizer_identity(again) == identity
    assert again.decode([2, OPEN, 3, CLOSE], skip_special_tokens=True).split() == ["a", "b"]


def test_tags_of_ones_own_are_kept_by_the_tokenizer_and_change_no_identity(tmp_path, caplog):
    tokenizer = make_tokenizer()
    identity = tokenizer_identity(tokenizer)
    choose_tags(tokenizer, ("[en]", "[/en]"))
    assert add_entity_name_tags(tokenizer) == (OPEN, CLOSE) and tokenizer_identity(tokenizer) == identity
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert entity_name_tags(again) == ("[en]", "[/en]") and tokenizer_identity(again) == identity
    labels = LeiaDataCollator(again, disable_entity_name_token_loss=True)([{"input_ids": [2, OPEN, 5, CLOSE, 3]}])
    assert labels["labels"].tolist() == [[2, -100, -100, -100, 3]]
    assert not caplog.records
    other = load_tokenizer(str(tmp_path), tags=[ENTITY_NAME_TAGS])
    assert "has the tags [en] and [/en] of an earlier training; this one adds <translate>" in caplog.text
    assert add_entity_name_tags(other) == (12, 13) and "entity_name_tags" not in other.init_kwargs


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        (("<a>", "<a>"), "entity_name_start_tag and entity_name_end_tag are both <a>; expected two"),
        (("<a>", " "), "entity_name_end_tag is empty; expected the text of a tag"),
        (("b", "<b>"), "entity_name_start_tag is b, which the tokenizer of .* has as an ordinary token; choose"),
        (("<a>", "</s>"), "entity_name_end_tag is </s>, which the tokenizer of .* has as its eos_token; choose"),
    ],
)
def test_tags_that_cannot_be_told_from_text_are_refused(tags, said):
    with pytest.raises(UsageError, match=said):
        choose_tags(make_tokenizer(), tags)


def test_a_special_token_that_is_there_may_serve_as_a_tag_and_an_ordinary_one_with_a_space_may_not():
    tokenizer = make_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<reserved>"]})
    choose_tags(tokenizer, ("<reserved>", "<end>"))
    assert add_entity_name_tags(tokenizer) == (10, 11)
    words = train_tokenizer(["agua y fuego"] * 9, 300)
    assert words.tokenize("agua") == ["▁agua"]
    with pytest.raises(UsageError, match=r"agua, which the tokenizer of .* has as an ordinary token"):
        choose_tags(words, ("agua", "<end>"))
