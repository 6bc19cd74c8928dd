"""A few rows of a dataset as text for its card: decoded, with the names in their place, or as counts of tokens."""

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from leia.base.datasets import EncodedArticle, EncodedArticles
from leia.data.insertion import insert_entity_names

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

COUNT = 3
_TOKENS, _CHARACTERS = 100, 300


class Examples(NamedTuple):
    """A table of plain text, and the sentence in front of it."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str


def examples_of_articles(preprocessed: "Dataset") -> Examples:
    """The beginnings of the first articles, and the links in them."""
    rows = [_beginning(row) for row in preprocessed.select(range(min(COUNT, len(preprocessed))))]
    note = f"The first {_CHARACTERS} characters of the first articles, and the links in them."
    return Examples(["title", "text", "links"], rows, note)


def _beginning(row: dict[str, Any]) -> list[str]:
    text = row["text"]
    links = [
        f"{text[anchor['start'] : anchor['end']]} → {_target(anchor)}"
        for anchor in row["anchors"]
        if anchor["end"] <= _CHARACTERS
    ]
    return [row["title"], text[:_CHARACTERS] + "…" * (len(text) > _CHARACTERS), "; ".join(links)]


def _target(anchor: dict[str, Any]) -> str:
    """The name that the text itself gives, else the page."""
    if name := anchor.get("name"):
        return name
    title, qid = anchor["title"], anchor["wikidata_id"]
    return f"{title} ({qid or 'no id'})" if title else qid


def examples_of_training(dataset: "Dataset", tokenizer: "PreTrainedTokenizerBase | None") -> Examples:
    """The beginnings of the first articles with every name inserted after its entity; without a `tokenizer` counts.

    The tokenizer gets the two tags where it lacks them.
    """
    articles, count = EncodedArticles(dataset), min(COUNT, len(dataset))
    titles = dataset.select(range(count))["title"]
    if tokenizer is None:
        rows = [[title, *_counts(articles[k])] for k, title in enumerate(titles)]
        note = "The first articles by their numbers of tokens; the tokenizer turns their ids into text."
        return Examples(["title", "tokens", "entities", "tokens of names"], rows, note)
    from leia.data.name_tags import add_entity_name_tags
    from leia.reports.preview import TokenTexts

    tags = add_entity_name_tags(tokenizer)
    texts = TokenTexts(tokenizer)
    several = articles.languages > 1
    rows = []
    for k, title in enumerate(titles):
        article = articles[k]._replace(names=_first_names(articles[k].names, articles.languages))
        rows.append([title, texts.join(_with_names(article, tags))])
    note = (
        f"The first {_TOKENS} tokens of the first articles as text, with the name of each entity"
        f"{' in the first language that names it' if several else ''} after it, between two tags: as training reads "
        "them when every name is inserted. The names and tags are not in `input_ids`."
    )
    return Examples(["title", "text with names"], rows, note)


def _counts(article: EncodedArticle) -> list[str]:
    names = sum(map(len, article.names))
    return [f"{number:,}" for number in (len(article.input_ids), len(article.start_positions), names)]


def _first_names(names: Sequence[memoryview], languages: int) -> list[memoryview]:
    """Of each entity's names in several languages the first that there is."""
    of_entities = (names[start : start + languages] for start in range(0, len(names), languages))
    return [next(filter(len, of_entity), of_entity[0]) for of_entity in of_entities]


def _with_names(article: EncodedArticle, tags: tuple[int, int]) -> list[int]:
    kept = sum(end <= _TOKENS for end in article.end_positions)
    ids = insert_entity_names(
        article.input_ids[:_TOKENS],
        article.start_positions[:kept],
        article.end_positions[:kept],
        article.names[:kept],
        strategy="right",
        prob=1.0,
        rng=random.Random(0),
        start_token_id=tags[0],
        end_token_id=tags[1],
    )
    return [int(one) for one in ids]
