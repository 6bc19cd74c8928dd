"""`insert_entity_names`: the four strategies on one sentence, and what holds for every article."""

import random
from itertools import islice

import numpy as np
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st

import leia
from leia.data import LeiaConstantLengthDataset, insert_entity_names
from leia.data.collator import entity_name_mask
from leia.data.insertion import STRATEGIES, Insertion, Strategy, unmark
from leia.data.name_tags import entity_name_tag_ids
from leia.training.tiny_model import train_tokenizer

OPEN, CLOSE = 900, 901

# The sentence "10 11 12 13 14" whose entities are "11 12", named "77 78", and "14", named "79".
CASES = {
    "left": [10, OPEN, 77, 78, CLOSE, 11, 12, 13, OPEN, 79, CLOSE, 14],
    "right": [10, 11, 12, OPEN, 77, 78, CLOSE, 13, 14, OPEN, 79, CLOSE],
    "replace": [10, OPEN, 77, 78, CLOSE, 13, OPEN, 79, CLOSE],
    "none": [10, 11, 12, 13, 14],
}


def insert(ids, starts, ends, names, strategy="right", prob=1.0, seed=0):
    return insert_entity_names(
        ids,
        starts,
        ends,
        names,
        strategy=strategy,
        prob=prob,
        rng=random.Random(seed),
        start_token_id=OPEN,
        end_token_id=CLOSE,
    )


@pytest.mark.parametrize("strategy", CASES)
def test_each_strategy_puts_the_name_where_the_paper_says(strategy):
    assert insert([10, 11, 12, 13, 14], [1, 4], [3, 5], [[77, 78], [79]], strategy) == CASES[strategy]


# name: what it puts in place of an entity, what that makes of 10 [11 12] 13, and what of it is of names
OWN = {
    "both": (
        lambda entity, name, opening, closing: (opening, name, closing, entity, opening, name, closing),
        [10, OPEN, 77, 78, CLOSE, 11, 12, OPEN, 77, 78, CLOSE, 13],
    ),
    "again": (
        lambda entity, name, opening, closing: (entity, opening, name, closing, entity),
        [10, 11, 12, OPEN, 77, 78, CLOSE, 11, 12, 13],
    ),
    "entity in tags": (
        lambda entity, name, opening, closing: (name, opening, entity, closing),
        [10, 77, 78, OPEN, 11, 12, CLOSE, 13],
    ),
    "turned round": (
        lambda entity, name, opening, closing: (entity, opening, name[::-1], closing),
        [10, 11, 12, OPEN, 78, 77, CLOSE, 13],
    ),
    "where longer": (
        lambda entity, name, opening, closing: (name,) if len(name) > len(entity) else (entity, closing),
        [10, 11, 12, CLOSE, 13],
    ),
    "by hand": (
        lambda entity, name, opening, closing: ([*entity, *name[:1]], np.array(name)),
        [10, 11, 12, 77, 77, 78, 13],
    ),
    "nothing": (lambda entity, name, opening, closing: (), [10, 13]),
}


@pytest.mark.parametrize("name", OWN)
def test_a_strategy_of_ones_own_is_one_entry_of_the_table(monkeypatch, name):
    """Its names are known as such by labels, masks and colours, whatever stands between the tags."""
    place, expected = OWN[name]
    monkeypatch.setitem(STRATEGIES, name, Strategy("a try", place))
    assert insert([10, 11, 12, 13], [1], [3], [[77, 78]], name) == expected
    assert insert([11, 12], [0], [2], [[77, 78]], name, prob=0.0) == [11, 12]
    rows = {"input_ids": [10, 11, 12, 13], "entity_start_positions": [1], "entity_end_positions": [3]}
    dataset = Dataset.from_list([rows | {"alternative_entity_input_ids": [[77, 78]]}])
    (block,) = islice(LeiaConstantLengthDataset(dataset, len(expected), OPEN, CLOSE, 1.0, name), 1)
    assert block["input_ids"].tolist() == expected
    ids = block["input_ids"]
    names = block.get("entity_name_mask", entity_name_mask(ids, OPEN, CLOSE) & (ids != OPEN) & (ids != CLOSE))
    assert names.tolist() == [token in (77, 78) for token in expected]
    tokenizer = train_tokenizer(["agua y fuego"] * 9, 300)
    shown = leia.augment("el agua", [(3, 7, "W")], tokenizer, strategy=name)
    (index,) = tokenizer("W", add_special_tokens=False).input_ids[-1:]
    tags = entity_name_tag_ids(shown.tokenizer)
    told = [token for kind, run in shown.blocks[0].runs(tags) if kind == "name" for token in run]
    assert told.count(index) == shown.ids[0].count(index)


@pytest.mark.parametrize("strategy", CASES)
def test_the_papers_strategies_have_the_published_labels(strategy):
    """By the tags: a block that begins within a name has loss on its rest."""
    assert not Insertion(strategy, 1.0, OPEN, CLOSE).needs_marks and Insertion(strategy, 1.0, 8, 9, True).needs_marks
    assert STRATEGIES[strategy].changes_text == (strategy != "none")


@pytest.mark.parametrize("strategy", CASES)
def test_an_array_of_narrow_ids_gives_the_same_ids_wide_enough_for_the_tags(strategy):
    ids = np.array([10, 11, 12, 13, 14], dtype=np.int8)
    augmented = insert(ids, [1, 4], [3, 5], [np.array([77, 78], dtype=np.int8), []], strategy)
    assert augmented.dtype == np.int64
    assert augmented.tolist() == insert(ids.tolist(), [1, 4], [3, 5], [[77, 78], []], strategy)


@pytest.mark.parametrize("strategy", CASES)
def test_without_tags_the_bare_names_are_inserted_and_can_be_marked(strategy):
    article = ([10, 11, 12, 13, 14], [1, 4], [3, 5], [[77, 78], [79]])
    settings = {"strategy": strategy, "prob": 1.0, "start_token_id": OPEN, "end_token_id": CLOSE}
    bare, marked = (
        insert_entity_names(*article, rng=random.Random(0), no_separator_tokens=True, mark_names=mark, **settings)
        for mark in (False, True)
    )
    assert bare == [token for token in CASES[strategy] if token not in (OPEN, CLOSE)]
    ids, names = unmark(np.array(marked))
    assert ids.tolist() == bare and [token for token, name in zip(bare, names, strict=True) if name] == [
        token for token in bare if token > 70
    ]


def splice(ids, starts, ends, names, strategy, prob, rng):
    """The definition in `method.md`, word by word and slowly: last to first, into a list."""
    ids = list(ids)
    for start, end, name in reversed(list(zip(starts, ends, names, strict=True))):
        if rng.random() > prob:
            continue
        inserted = [OPEN, *name, CLOSE]
        if strategy == "left":
            ids[start:start] = inserted
        elif strategy == "right":
            ids[end:end] = inserted
        elif strategy == "replace":
            ids[start:end] = inserted
    return ids


@st.composite
def articles(draw):
    ids = draw(st.lists(st.integers(0, 800), max_size=40))
    bounds = sorted(draw(st.lists(st.integers(0, len(ids)), max_size=12)))
    starts, ends = bounds[: len(bounds) // 2 * 2 : 2], bounds[1::2]
    names = [draw(st.lists(st.integers(0, 800), max_size=4)) for _ in starts]
    return ids, starts, ends, names


@given(articles(), st.sampled_from(list(CASES)), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 99))
def test_every_article_is_augmented_as_the_method_defines_it(article, strategy, prob, seed):
    ids, starts, ends, names = article
    before = [list(part) for part in article]
    rng, slow_rng = random.Random(seed), random.Random(seed)
    augmented = insert_entity_names(
        ids, starts, ends, names, strategy=strategy, prob=prob, rng=rng, start_token_id=OPEN, end_token_id=CLOSE
    )
    assert augmented == splice(ids, starts, ends, names, strategy, prob, slow_rng)
    assert rng.getstate() == slow_rng.getstate(), "one draw an entity, under `none` as well"
    assert [list(part) for part in article] == before, "the inputs stay as they are"


@given(articles(), st.sampled_from(["left", "right"]), st.integers(0, 99))
def test_without_the_inserted_names_the_text_is_what_it_was(article, strategy, seed):
    kept, inside = [], False
    for token in insert(*article, strategy, prob=0.5, seed=seed):
        if token in (OPEN, CLOSE):
            inside = token == OPEN
        elif not inside:
            kept.append(token)
    assert kept == article[0]


def test_an_unknown_strategy_is_named():
    with pytest.raises(ValueError, match=r"'middle'.*left, right, replace, none"):
        insert([1, 2], [0], [1], [[3]], "middle")


@pytest.mark.parametrize("strategy", CASES)
@pytest.mark.parametrize(
    ("starts", "ends", "message"),
    [
        ([0, 1], [2, 3], "covers the tokens 1 to 3, the one before it ends at 2"),
        ([1, 0], [2, 1], "covers the tokens 0 to 1, the one before it ends at 2"),
        ([2, 2], [1, 3], "covers the tokens 2 to 1"),
        ([-1, 1], [0, 2], "covers the tokens -1 to 0"),
        ([0, 2], [1, 4], "ends at token 4, the article has 3"),
        ([0], [1], "argument"),  # two names for one entity
    ],
)
def test_entities_that_are_no_spans_of_the_text_in_its_order_are_refused(starts, ends, message, strategy):
    for prob in (0.0, 1.0):
        with pytest.raises(ValueError, match=message):
            insert([1, 2, 3], starts, ends, [[7], [8]], strategy, prob)
