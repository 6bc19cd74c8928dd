"""The preview page: the training stream in one HTML file, its blocks under any strategy and probability.

The page (preview_page.html) holds the articles token by token and the numbers that training draws for their entities,
so that it can do what `insert_entity_names` and `LeiaConstantLengthDataset` do.
"""

import json
import random
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from transformers import PreTrainedTokenizerBase

from leia.base.datasets import EncodedArticle
from leia.base.outputs import write_file
from leia.base.text import visible
from leia.data.collator import LeiaDataCollator
from leia.data.insertion import draw_numbers
from leia.data.packing import LeiaConstantLengthDataset
from leia.reports.links import ExplainedLink, LinkExplainer
from leia.reports.preview import TokenTexts

TEMPLATE = Path(__file__).with_name("preview_page.html")
_PLACE_OF_DATA = "PREVIEW_DATA"


def write_page(path: str, data: dict[str, Any]) -> None:
    """Write the page for `data` of `page_data`, complete or not at all."""
    # In a script element nothing but "<" can end the element; inside of a JSON string \u003c is the same.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    before, after = TEMPLATE.read_text(encoding="utf-8").split(_PLACE_OF_DATA)
    write_file(path, before + text + after)


class _Reading(NamedTuple):
    """An article that the stream reads: its row, and the number that training draws for each of its entities."""

    row: int
    draws: list[float]


def page_data(
    name: str,
    stream: LeiaConstantLengthDataset,
    num_blocks: int,
    titles: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    explainer: LinkExplainer | None,
    pivot_language: str,
) -> dict[str, Any]:
    """What the page needs to draw the first `num_blocks` blocks of `stream` for every strategy and probability.

    `name` is that of the dataset, `titles[row]` that of its article. Without an `explainer` the page knows no more of a
    link than the name that it gives.
    """
    texts = TokenTexts(tokenizer)
    readings = list(_readings(stream, num_blocks * stream.max_length))
    rows = list(dict.fromkeys(reading.row for reading in readings))
    articles = []
    for row in rows:
        article = stream.articles[row]
        links = None if explainer is None else explainer.explain(row, article)
        articles.append(_article(article, visible(titles[row]), links, texts))
    places = {row: place for place, row in enumerate(rows)}
    insertion = stream.insertion
    tag_ids = [insertion.start_token_id, insertion.end_token_id]
    return {
        "dataset": name,
        "language": None if explainer is None else explainer.language,
        "pivot_language": pivot_language,
        "direction": _direction(piece for article in articles for piece in article["pieces"]),
        "blocks": num_blocks,
        "max_length": stream.max_length,
        "strategy": insertion.strategy,
        "prob": insertion.prob,
        "seed": stream.seed,
        "shuffle": stream.shuffle,
        "tags": {"ids": tag_ids, "pieces": texts.split(tag_ids)},
        "special": tokenizer.all_special_ids,
        "without_loss": [LeiaDataCollator(tokenizer).padding_token_id],
        "explained": explainer is not None,
        "articles": articles,
        "stream": [[places[reading.row], reading.draws] for reading in readings],
    }


def _readings(stream: LeiaConstantLengthDataset, tokens: int) -> Iterator[_Reading]:
    """The articles in the order of the stream, until they fill `tokens` tokens under any strategy and probability."""
    rng = random.Random(stream.seed)
    for epoch in count():
        for row in stream.order_of_epoch(epoch):
            article = stream.articles[row]
            yield _Reading(int(row), draw_numbers(len(article.names), rng))
            tokens -= _least_length(article)
            if tokens <= 0:
                return


def _least_length(article: EncodedArticle) -> int:
    """The article's tokens when each name that is shorter than its entity, tags included, has replaced it."""
    entities = zip(article.start_positions, article.end_positions, article.names, strict=True)
    return len(article.input_ids) - sum(max(0, end - start - len(name) - 2) for start, end, name in entities)


def _article(
    article: EncodedArticle, title: str, links: list[ExplainedLink] | None, texts: TokenTexts
) -> dict[str, Any]:
    ids = article.input_ids.tolist()
    names = [{"ids": name.tolist(), "pieces": texts.split(name.tolist())} for name in article.names]
    shown = _entities(article, names) if links is None else _links(links)
    return {"title": title, "ids": ids, "pieces": texts.split(ids), "names": names, "links": shown}


def _entities(article: EncodedArticle, names: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a dataset alone says of its links: those that are entities, by their number in the article."""
    spans = zip(article.start_positions, article.end_positions, names, strict=True)
    return [
        {"start": start, "end": end, "entity": number, "name": "".join(name["pieces"]).strip()}
        for number, (start, end, name) in enumerate(spans)
    ]


def _links(links: Sequence[ExplainedLink]) -> list[dict[str, Any]]:
    """All links; those that are entities have the number of theirs in the article."""
    numbers = count()
    return [
        {
            "start": link.start,
            "end": link.end,
            "entity": next(numbers) if link.reason is None else None,
            "title": visible(link.title),
            "qid": link.qid,
            "name": None if link.name is None else visible(link.name),
            "reason": link.reason,
        }
        for link in links
    ]


def _direction(pieces: Iterable[str]) -> str:
    """`rtl` where more letters are written from right to left than from left to right."""
    classes = [unicodedata.bidirectional(letter) for piece in pieces for letter in piece if letter.isalpha()]
    right_to_left = sum(kind in ("R", "AL") for kind in classes)
    return "rtl" if 2 * right_to_left > len(classes) else "ltr"
