"""The preview page: the training stream in one HTML file, its blocks under any strategy and probability.

The page (preview_page.html) holds the articles token by token, what each strategy puts in place of each entity, and the
numbers that training draws for them, so that it can do what `LeiaConstantLengthDataset` does.
"""

import json
import random
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from itertools import count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from leia.base.datasets import EncodedArticle
from leia.base.errors import UsageError
from leia.base.outputs import write_file
from leia.base.text import visible
from leia.data.collator import LeiaDataCollator
from leia.data.insertion import STRATEGIES, Insertion, draw_numbers, insert_drawn, unmark
from leia.data.names import NameRule
from leia.data.packing import LeiaConstantLengthDataset
from leia.reports.links import LinkExplainer
from leia.reports.preview import Block, NamedBlocks, TokenTexts


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
    with_names: bool = False,
) -> dict[str, Any]:
    """What the page needs to draw the first `num_blocks` blocks of `stream` for every strategy and probability; with
    `with_names` the first ones that have an inserted name, where there are any.

    `name` and `manifest` are those of the dataset, `titles[row]` that of its article. Without an `explainer` the page
    knows no more of a link than the name that it gives.
    """
    if stream.switching is not None or stream.separate_epochs:
        what = "separate_epochs" if stream.separate_epochs else "names in several languages"
        raise UsageError(f"--html cannot show {what}; leave --html out, the terminal and --text show them")
    texts = TokenTexts(tokenizer)
    made = _made(stream, num_blocks) if with_names else num_blocks
    readings = list(_readings(stream, made * stream.max_length))
    places = {reading.row: place for place, reading in enumerate({one.row: one for one in readings}.values())}
    articles = [_article(row, stream, titles[row], explainer, texts) for row in places]
    insertion = stream.insertion
    end = stream.article_end_token_id
    tag_ids = [insertion.start_token_id, insertion.end_token_id]
    return {
        "dataset": name,
        "language": explainer and explainer.language,
        "pivot_language": NameRule.of_manifest(manifest).pivot_language,
        "direction": _direction(piece for article in articles for piece in article["pieces"]),
        "blocks": num_blocks,
        "made": made,
        "with_names": with_names,
        "max_length": stream.max_length,
        "strategies": [
            {"name": name, "help": one.help, "marked": replace(insertion, strategy=name).needs_marks}
            for name, one in STRATEGIES.items()
        ],
        "strategy": insertion.strategy,
        "prob": insertion.prob,
        "seed": stream.seed,
        "shuffle": stream.shuffle,
        "separators": not insertion.no_separator_tokens,
        "tags": {"ids": tag_ids, "pieces": texts.split(tag_ids)},
        "article_end": None if end is None else {"id": end, "piece": texts.join([end])},
        "special": tokenizer.all_special_ids,
        "without_loss": [LeiaDataCollator(tokenizer).padding_token_id],
        "explained": explainer is not None,
        "articles": articles,
        "stream": [[places[reading.row], reading.draws] for reading in readings],
    }


def _made(stream: LeiaConstantLengthDataset, num_blocks: int) -> int:
    """How many blocks the stream makes until so many have an inserted name; at most a hundred times as many."""
    tag_ids = (stream.insertion.start_token_id, stream.insertion.end_token_id)
    blocks = NamedBlocks(map(Block.of, islice(stream, 100 * num_blocks)), tag_ids)
    shown = sum(1 for _ in islice(blocks, num_blocks))
    return max(num_blocks, shown + blocks.skipped)


class _Reading(NamedTuple):
    """An article that the stream reads, by its row, and the number that training draws for each of its entities."""

    row: int
    draws: list[float]


def _readings(stream: LeiaConstantLengthDataset, tokens: int) -> Iterator[_Reading]:
    """What the stream reads until it fills `tokens` tokens under any strategy and probability."""
    rng = random.Random(stream.seed)
    for epoch in count():
        for row in stream.order_of_epoch(epoch):
            article = stream.articles[row]
            yield _Reading(int(row), draw_numbers(len(article.names), rng))
            # Least is left where each entity is made as short as a strategy can make it.
            spans = zip(article.start_positions, article.end_positions, strict=True)
            lengths = [end - start for start, end in spans]
            covered = sum(lengths)
            for placed in _placed(stream.insertion, article).values():
                lengths = [min(length, len(ids)) for length, ids in zip(lengths, placed, strict=True)]
            tokens -= len(article.input_ids) - covered + sum(lengths)
            if tokens <= 0:
                return


def _placed(insertion: Insertion, article: EncodedArticle) -> dict[str, list[np.ndarray]]:
    """For each strategy what stands in place of each entity when its name is inserted; ids of names are marked."""
    entities = list(zip(article.start_positions, article.end_positions, article.names, strict=True))
    return {
        strategy: [
            insert_drawn(
                article.input_ids[start:end],
                [0],
                [end - start],
                [name],
                [0.0],
                replace(insertion, strategy=strategy),
                mark_names=True,
            )
            for start, end, name in entities
        ]
        for strategy in STRATEGIES
    }


def _runs(marked: np.ndarray, tag_ids: tuple[int, int], texts: TokenTexts) -> list[list[Any]]:
    """`[part, ids, pieces]` for each run of text, of a tag or of a name."""
    ids, names = unmark(marked)
    block = Block(ids.tolist(), names.tolist())
    return [[part, run, texts.split(run)] for part, run in block.runs(tag_ids)]


def _article(
    row: int, stream: LeiaConstantLengthDataset, title: str, explainer: LinkExplainer | None, texts: TokenTexts
) -> dict[str, Any]:
    article, insertion = stream.articles[row], stream.insertion
    ids = article.input_ids.tolist()
    if explainer is None:  # of a dataset alone only the entities are known
        entities = zip(article.start_positions, article.end_positions, article.names, strict=True)
        links = [
            {"start": start, "end": end, "entity": number, "name": texts.join(name.tolist()).strip()}
            for number, (start, end, name) in enumerate(entities)
        ]
    else:
        links = [
            asdict(link) | {"title": visible(link.title), "name": link.name and visible(link.name)}
            for link in explainer.explain(stream.articles.row_on_disk(row), article)
        ]
    tag_ids = (insertion.start_token_id, insertion.end_token_id)
    placed = {
        # None where nothing is inserted: the entity stays
        strategy: [_runs(ids, tag_ids, texts) for ids in each] if STRATEGIES[strategy].changes_text else None
        for strategy, each in _placed(insertion, article).items()
    }
    return {"title": visible(title), "ids": ids, "pieces": texts.split(ids), "placed": placed, "links": links}


def _direction(pieces: Iterable[str]) -> str:
    """`rtl` where more letters are written from right to left than from left to right."""
    classes = [unicodedata.bidirectional(letter) for piece in pieces for letter in piece if letter.isalpha()]
    right_to_left = sum(kind in ("R", "AL") for kind in classes)
    return "rtl" if 2 * right_to_left > len(classes) else "ltr"
