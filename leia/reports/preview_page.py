"""The preview page: the training stream in one HTML file, which draws its blocks anew for any strategy and probability.

The page (preview_page.html) holds the articles token by token and the numbers that training draws for their entities,
so that it can do what `insert_entity_names` and `LeiaConstantLengthDataset` do.
"""

import json
import random
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from leia.base.datasets import EncodedArticle
from leia.base.outputs import new_file
from leia.base.text import visible
from leia.data.collator import LeiaDataCollator
from leia.data.insertion import draw_numbers
from leia.data.packing import LeiaConstantLengthDataset
from leia.reports.links import ExplainedLink, LinkExplainer
from leia.reports.preview import TokenTexts

TEMPLATE = Path(__file__).with_name("preview_page.html")
_PLACE_OF_DATA = "PREVIEW_DATA"


def write_page(path: str, data: dict[str, Any]) -> None:
    """Write the page for `data` of `page_data`, whole or not at all."""
    # In a script element nothing but "<" can end the element; inside of a JSON string \u003c is the same.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    before, after = TEMPLATE.read_text(encoding="utf-8").split(_PLACE_OF_DATA)
    with new_file(path) as partial:
        partial.write_text(before + text + after, encoding="utf-8")


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
    rows: dict[int, int] = {}
    articles, order = [], []
    for row, draws in _articles_read(stream, num_blocks * stream.max_length):
        if row not in rows:
            rows[row] = len(articles)
            article = stream.articles[row]
            links = None if explainer is None else explainer.explain(row, article)
            articles.append(_article(article, visible(titles[row]), links, texts))
        order.append([rows[row], draws])
    insertion = stream.insertion
    tag_ids = [insertion["start_token_id"], insertion["end_token_id"]]
    return {
        "dataset": name,
        "language": None if explainer is None else explainer.language,
        "pivot_language": pivot_language,
        "direction": _direction(piece for article in articles for piece in article["pieces"]),
        "blocks": num_blocks,
        "max_length": stream.max_length,
        "strategy": insertion["strategy"],
        "prob": insertion["prob"],
        "seed": stream.seed,
        "shuffle": stream.shuffle,
        "tags": {"ids": tag_ids, "pieces": texts.split(tag_ids)},
        "special": tokenizer.all_special_ids,
        "without_loss": [LeiaDataCollator(tokenizer).padding_token_id],
        "explained": explainer is not None,
        "articles": articles,
        "stream": order,
    }


def _articles_read(stream: LeiaConstantLengthDataset, tokens: int) -> Iterator[tuple[int, list[float]]]:
    """`(row, draws of its entities)` of the articles in the order of the stream, until they make up `tokens` tokens
    under whatever strategy and probability."""
    rng = random.Random(stream.seed)
    epoch = 0
    while True:
        for row in stream.order_of_epoch(epoch):
            article = stream.articles[row]
            yield int(row), draw_numbers(len(article.names), rng)
            tokens -= _least_length(article)
            if tokens <= 0:
                return
        epoch += 1


def _least_length(article: EncodedArticle) -> int:
    """The article's tokens when each name that is shorter than its entity, tags included, has replaced it."""
    entities = zip(article.start_positions, article.end_positions, article.names, strict=True)
    return len(article.input_ids) - sum(max(0, end - start - len(name) - 2) for start, end, name in entities)


def _article(
    article: EncodedArticle, title: str, links: list[ExplainedLink] | None, texts: TokenTexts
) -> dict[str, Any]:
    names = [{"ids": ids.tolist(), "pieces": texts.split(ids.tolist())} for ids in article.names]
    if links is None:
        spans = zip(article.start_positions, article.end_positions, names, strict=True)
        shown = [
            {"start": start, "end": end, "entity": k, "name": "".join(name["pieces"]).strip()}
            for k, (start, end, name) in enumerate(spans)
        ]
    else:
        shown = []
        entity = 0
        for link in links:
            shown.append(
                {
                    "start": link.start,
                    "end": link.end,
                    "entity": entity if link.reason is None else None,
                    "title": visible(link.title),
                    "qid": link.qid,
                    "name": None if link.name is None else visible(link.name),
                    "reason": link.reason,
                }
            )
            entity += link.reason is None
    ids = article.input_ids.tolist()
    return {"title": title, "ids": ids, "pieces": texts.split(ids), "names": names, "links": shown}


def _direction(pieces: Iterable[str]) -> str:
    """`rtl` where more letters are written from right to left than from left to right."""
    classes = [unicodedata.bidirectional(letter) for piece in pieces for letter in piece if letter.isalpha()]
    right_to_left = sum(kind in ("R", "AL") for kind in classes)
    return "rtl" if 2 * right_to_left > len(classes) else "ltr"
