"""The preview page: the training stream in one HTML file, its blocks under any strategy and probability.

The page (preview_page.html) holds the articles token by token and the numbers that training draws for their entities,
so that it can do what `insert_entity_names` and `LeiaConstantLengthDataset` do.
"""

import json
import random
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from leia.base.datasets import EncodedArticle
from leia.base.outputs import write_file
from leia.base.text import visible
from leia.data.collator import LeiaDataCollator
from leia.data.insertion import ENTITY, NAME, STRATEGIES, draw_numbers
from leia.data.names import NameRule
from leia.data.packing import LeiaConstantLengthDataset
from leia.reports.links import LinkExplainer
from leia.reports.preview import TokenTexts


def write_page(path: str, data: dict[str, Any]) -> None:
    """Write the page for `data` of `page_data`, complete or not at all."""
    # In a script element nothing but "<" can end the element; inside of a JSON string \u003c is the same.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    page = Path(__file__).with_name("preview_page.html").read_text(encoding="utf-8")
    write_file(path, page.replace("PREVIEW_DATA", text))


def page_data(
    name: str,
    stream: LeiaConstantLengthDataset,
    num_blocks: int,
    titles: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    explainer: LinkExplainer | None,
    manifest: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the page needs to draw the first `num_blocks` blocks of `stream` for every strategy and probability.

    `name` and `manifest` are those of the dataset, `titles[row]` that of its article. Without an `explainer` the page
    knows no more of a link than the name that it gives.
    """
    texts = TokenTexts(tokenizer)
    readings = list(_readings(stream, num_blocks * stream.max_length))
    places = {row: place for place, row in enumerate(dict.fromkeys(row for row, _ in readings))}
    articles = [_article(row, stream.articles[row], titles[row], explainer, texts) for row in places]
    insertion = stream.insertion
    tag_ids = [insertion.start_token_id, insertion.end_token_id]
    return {
        "dataset": name,
        "language": explainer and explainer.language,
        "pivot_language": NameRule.of_manifest(manifest).pivot_language,
        "direction": _direction(piece for article in articles for piece in article["pieces"]),
        "blocks": num_blocks,
        "max_length": stream.max_length,
        "strategies": {name: {"help": one.help, "parts": one.parts} for name, one in STRATEGIES.items()},
        "strategy": insertion.strategy,
        "prob": insertion.prob,
        "seed": stream.seed,
        "shuffle": stream.shuffle,
        "separators": not insertion.no_separator_tokens,
        "tags": {"ids": tag_ids, "pieces": texts.split(tag_ids)},
        "special": tokenizer.all_special_ids,
        "without_loss": [LeiaDataCollator(tokenizer).padding_token_id],
        "explained": explainer is not None,
        "articles": articles,
        "stream": [[places[row], draws] for row, draws in readings],
    }


def _readings(stream: LeiaConstantLengthDataset, tokens: int) -> Iterator[tuple[int, list[float]]]:
    """The rows that the stream reads, with the number that training draws for each entity, until they fill `tokens`
    tokens under any strategy and probability."""
    rng = random.Random(stream.seed)
    for epoch in count():
        for row in stream.order_of_epoch(epoch):
            article = stream.articles[row]
            yield int(row), draw_numbers(len(article.names), rng)
            entities = zip(article.start_positions, article.end_positions, article.names, strict=True)
            tokens -= len(article.input_ids) - sum(_most_lost(end - start, len(name)) for start, end, name in entities)
            if tokens <= 0:
                return


def _most_lost(entity: int, name: int) -> int:
    """How many tokens fewer an entity of `entity` tokens with a name of `name` can be under any strategy."""
    lengths = {ENTITY: entity, NAME: name}
    return entity - min(entity, *(sum(lengths.get(part, 0) for part in one.parts) for one in STRATEGIES.values()))


def _article(
    row: int, article: EncodedArticle, title: str, explainer: LinkExplainer | None, texts: TokenTexts
) -> dict[str, Any]:
    ids = article.input_ids.tolist()
    names = [{"ids": name.tolist(), "pieces": texts.split(name.tolist())} for name in article.names]
    if explainer is None:  # of a dataset alone only the entities are known
        entities = zip(article.start_positions, article.end_positions, names, strict=True)
        links = [
            {"start": start, "end": end, "entity": number, "name": "".join(name["pieces"]).strip()}
            for number, (start, end, name) in enumerate(entities)
        ]
    else:
        links = [
            asdict(link) | {"title": visible(link.title), "name": link.name and visible(link.name)}
            for link in explainer.explain(row, article)
        ]
    return {"title": visible(title), "ids": ids, "pieces": texts.split(ids), "names": names, "links": links}


def _direction(pieces: Iterable[str]) -> str:
    """`rtl` where more letters are written from right to left than from left to right."""
    classes = [unicodedata.bidirectional(letter) for piece in pieces for letter in piece if letter.isalpha()]
    right_to_left = sum(kind in ("R", "AL") for kind in classes)
    return "rtl" if 2 * right_to_left > len(classes) else "ltr"
