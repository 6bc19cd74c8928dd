"""What an example is made of, and from which draws: the published code's, one for one."""

import random
from collections import Counter

import pytest
from retrieval_pins import expected, pinned_pair, texts_of

from leia.retrieval.pair_examples import PairExamples
from leia.retrieval.pairs import Aligned, Pair
from leia.retrieval.recipe import QLM, RR

MANY = 100_000


def pair(negatives=(), sections=6):
    """Sections of two sentences, aligned one to one; `negatives` are the hard ones of the first source section."""
    rows = [Aligned(f"a{k}", f"b{k}", tuple(negatives) if k == 0 else (), ()) for k in range(sections)]
    texts = [{f"{side}{k}": f"{side.upper()} first {k}. Then {k}." for k in range(sections)} for side in "ab"]
    texts[1] |= dict.fromkeys(negatives, "Hard.")
    return Pair("a-b", "en", "en", rows, *map(texts_of, texts))


def test_the_published_draws(shared):
    for key, wanted in expected(shared, "items").items():
        objective, name, seed, max_pairs, num_negatives = key.split("/")
        rng = random.Random(int(seed.removeprefix("seed")))
        numbers = int(max_pairs.removeprefix("max_pairs")), int(num_negatives.removeprefix("num_neg"))
        examples = PairExamples(pinned_pair(shared, name), objective, rng, *numbers)
        assert [row.source for row in examples.rows] == wanted["order"], key
        assert examples.pools == [wanted["source_pool"], wanted["target_pool"]], key
        for place, item in enumerate(wanted["items"]):
            example = examples.draw(place)
            assert example.is_reversed == item["reversed"]
            assert (example.query, example.query_id) == (item["query"], item["query_section_ids"][0])
            assert example.document_ids == item["document_section_ids"]
        assert rng.random() == wanted["next_random"], key  # no draw more or less


def test_the_query_is_a_sentence_and_the_document_its_counterpart_in_the_other_language():
    examples = PairExamples(pair(), QLM, random.Random(0), MANY)
    seen = Counter()
    for _ in range(200):
        example = examples.draw(3)
        side, other = "ba" if example.is_reversed else "ab"
        assert example.query in (f"{side.upper()} first 3.", "Then 3.")
        assert (example.query_id, example.document_ids) == (f"{side}3", [f"{other}3"])
        seen[example.query, side] += 1
    assert len(seen) == 4 and min(seen.values()) > 25  # both directions, both sentences


@pytest.mark.parametrize(("hard", "share"), [(0, 1.0), (1, 0.75), (3, 0.75**3)])
def test_the_more_hard_negatives_the_fewer_easy_ones(hard, share):
    """With h of them an easy one, from a pool of 6 sections and these h, with probability 0.75^h."""
    examples = PairExamples(pair([f"h{k}" for k in range(hard)]), RR, random.Random(1), MANY, num_negatives=1)
    drawn = [one.document_ids[1] for one in (examples.draw(0) for _ in range(4000)) if not one.is_reversed]
    from_sections = sum(not one.startswith("h") for one in drawn) / len(drawn)
    assert from_sections == pytest.approx(share * 6 / (6 + hard), abs=0.04)


def test_easy_negatives_come_from_the_kept_sections_and_all_their_hard_negatives():
    rows = [Aligned("a0", "b0", ("b7",), ("a7",)), Aligned("a1", "b1", (), ())]
    texts = [{f"{side}{k}": "One. Two." for k in (7, 1, 8, 0)} for side in "ab"]
    two = Pair("a-b", "en", "en", rows, *map(texts_of, texts))
    assert PairExamples(two, RR, random.Random(0), MANY).pools == [["a7", "a1", "a0"], ["b7", "b1", "b0"]]
    assert PairExamples(two, QLM, random.Random(0), MANY).pools == [["a1", "a0"], ["b1", "b0"]]


def test_a_sample_decides_which_pairs_are_used_and_not_their_order():
    samples = [[row.source for row in PairExamples(pair(), QLM, random.Random(k), 3).rows] for k in range(20)]
    assert all(len(kept) == 3 and kept == sorted(kept) for kept in samples)
    assert len({tuple(kept) for kept in samples}) > 5


def test_a_counterpart_that_was_drawn_as_a_negative_is_counted():
    examples = PairExamples(pair(sections=2), RR, random.Random(0), MANY, num_negatives=4)
    found = [examples.draw(0) for _ in range(50)]
    assert [one.accidents for one in found] == [one.document_ids.count(one.document_ids[0]) - 1 for one in found]
    assert sum(one.accidents for one in found) > 50


def test_sentences_are_cut_as_the_language_of_the_section_or_the_named_one_says():
    texts = texts_of({"a0": "水は青い。空も青い。"}), texts_of({"b0": "Water is blue."})
    japanese = Pair("ja-en", "ja", "en", [Aligned("a0", "b0", (), ())], *texts)

    def queries(language):
        examples = PairExamples(japanese, QLM, random.Random(0), MANY, sentence_language=language)
        return {one.query for one in (examples.draw(0) for _ in range(40)) if not one.is_reversed}

    assert queries(None) == {"水は青い。", "空も青い。"}
    assert queries("en") == {"水は青い。空も青い。"} or queries("en") == queries(None)
