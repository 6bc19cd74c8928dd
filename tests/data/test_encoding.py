"""The training dataset: every row as a plain reading of the method gives it, whatever the number of workers."""

import random
import re

import pyarrow as pa
import pytest
from datasets import Dataset, load_from_disk

from leia.base.datasets import PREPROCESSED_SCHEMA, save_dataset, training_schema
from leia.base.step import Counts
from leia.data.encoding import encode_dataset
from leia.data.names import PivotTitles, names_of_titles
from leia.data.tokenizers import load_tokenizer


@pytest.fixture(scope="module")
def tokenizer(sample_corpus):
    return load_tokenizer(str(sample_corpus.tiny_model))


def encode(rows, tokenizer, titles, max_length=None, workers=1):
    dataset = Dataset(pa.Table.from_pylist(rows, schema=PREPROCESSED_SCHEMA))
    counts = Counts()
    batches = list(encode_dataset(dataset, tokenizer, {"en": names_of_titles(titles)}, max_length, workers, counts))
    return pa.Table.from_batches(batches).to_pylist(), counts.count("anchors")


def plain_encode(row, tokenizer, titles):
    """The method read literally, a token at a time: the slow version that ours must equal."""
    text = row["text"]
    encoding = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    exact, behind_a_space = {}, {}
    for index, ((start, _), special) in enumerate(
        zip(encoding["offset_mapping"], encoding["special_tokens_mask"], strict=True)
    ):
        if not special:
            exact.setdefault(start, index)
            if text[start : start + 1] == " " and text[start + 1 : start + 2] not in ("", " "):
                behind_a_space.setdefault(start + 1, index)
    token_at = {**behind_a_space, **exact, len(text): len(encoding["input_ids"])}
    starts, ends, names = [], [], []
    for anchor in row["anchors"]:
        name, _ = titles.name_of(anchor["wikidata_id"])
        if name is not None and anchor["start"] in token_at and anchor["end"] in token_at:
            starts.append(token_at[anchor["start"]])
            ends.append(token_at[anchor["end"]])
            names.append(tokenizer(name, add_special_tokens=False)["input_ids"])
    return {
        "title": row["title"],
        "input_ids": encoding["input_ids"],
        "entity_start_positions": starts,
        "entity_end_positions": ends,
        "alternative_entity_input_ids": names,
    }


def random_articles(count):
    drawn = random.Random(7)
    words = ["Fuego", "火", "日本", "New York", "𠮷", "é", "(x)", "12", "Ñandú", "熱い"]
    articles = []
    for number in range(count):
        text, anchors = "", []
        for _ in range(drawn.randrange(1, 60)):
            text += drawn.choice(["", " ", " ", "  ", "\n"])
            word = drawn.choice(words)
            if drawn.random() < 0.5:
                qid = drawn.choice([None, "Q1", "Q2", "Q3", "Q404"])
                start = len(text) + drawn.choice([0, 0, 0, 1])
                anchors.append(
                    {"start": start, "end": max(start, len(text) + len(word)), "title": "x", "wikidata_id": qid}
                )
            text += word
        text += "."
        articles.append({"title": str(number), "language": "es", "text": text, "anchors": anchors})
    return articles


TITLES = PivotTitles({"Q1": "Fire (element)", "Q2": "Category:Fire", "Q3": "New York City"})


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_rows_equal_the_plain_reading_for_any_number_of_workers(tokenizer, workers):
    articles = random_articles(300)
    rows, tally = encode(articles, tokenizer, TITLES, workers=workers)
    assert rows == [plain_encode(article, tokenizer, TITLES) for article in articles]
    assert tally.read == sum(len(article["anchors"]) for article in articles)
    assert tally.kept == sum(len(row["entity_start_positions"]) for row in rows)
    assert set(tally.dropped) == {
        "no Wikidata id",
        "no title in the pivot language",
        "title in an excluded namespace",
        "start not on a token boundary",
    } | (set(tally.dropped) & {"end not on a token boundary"})


def test_max_length_cuts_articles_and_drops_the_entities_behind(tokenizer):
    articles = random_articles(50)
    whole, _ = encode(articles, tokenizer, TITLES)
    cut, tally = encode(articles, tokenizer, TITLES, max_length=20)
    for before, after in zip(whole, cut, strict=True):
        assert after["input_ids"] == before["input_ids"][:20]
        kept = [end for end in before["entity_end_positions"] if end <= 20]
        assert after["entity_end_positions"] == kept
    assert tally.dropped["beyond --max_length"] == sum(len(r["entity_end_positions"]) for r in whole) - tally.kept > 0


@pytest.mark.parametrize(("vocabulary_size", "width"), [(32_000, "int16"), (32_768, "int16"), (32_769, "int32")])
def test_the_id_width_follows_the_vocabulary(tmp_path, vocabulary_size, width):
    schema = training_schema(vocabulary_size)
    top = vocabulary_size - 1
    row = {"title": "a", "input_ids": [top], "entity_start_positions": [0], "entity_end_positions": [1]}
    batch = pa.RecordBatch.from_pylist([{**row, "alternative_entity_input_ids": [[top]]}], schema=schema)
    save_dataset(tmp_path, schema, [batch])
    dataset = load_from_disk(str(tmp_path))
    assert dataset.features["input_ids"].feature.dtype == width
    assert dataset[0]["alternative_entity_input_ids"] == [[top]]


def test_the_sample_gives_names_whose_tokens_spell_the_title(sample_corpus, tokenizer):
    titles = dict(
        reversed(line.split("\t")) for line in sample_corpus.pivot_ids.read_text(encoding="utf-8").splitlines()
    )
    allowed = {re.sub(r"\(.*?\)", "", title).strip() for title in titles.values()}
    for wiki in sample_corpus.wikis.values():
        dataset = load_from_disk(str(wiki.dataset))
        names = {tokenizer.decode(name) for row in dataset for name in row["alternative_entity_input_ids"]}
        assert len(names) > 100
        assert names <= allowed
