"""Blocks of the training stream as text: with coloured tags and names in a notebook and in a terminal, elsewhere plain.

What a reader is shown of a token is its text, whole characters only, with nothing that could steer a terminal.
"""

import codecs
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from typing import TYPE_CHECKING

import click
from transformers import PreTrainedTokenizerBase

from leia.base.errors import DropReason
from leia.base.text import visible
from leia.data.alignment import token_bytes
from leia.data.encoding import Link, encode_text
from leia.data.insertion import Insertion, check_insertion, draw_numbers, insert_drawn, unmark
from leia.data.name_tags import add_entity_name_tags, choose_tags, entity_name_tag_ids
from leia.data.packing import LeiaConstantLengthDataset
from leia.data.suitability import article_end
from leia.data.tokenizers import check_dataset

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

_TERMINAL_STYLES = {"text": {"reset": False}, "tag": {"fg": "bright_black"}, "name": {"fg": "green", "bold": True}}
# Half transparent, so that they can be read on the white and on the black of notebooks.
_HTML_STYLES = {
    "text": "",
    "tag": "opacity:.55;font-size:85%",
    "name": "background:rgba(46,160,67,.25);font-weight:bold",
}


class TokenTexts:
    """The texts of token ids, for any tokenizer that `leia.data.alignment.token_bytes` knows."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._bytes_of = token_bytes(tokenizer)

    def split(self, ids: Sequence[int]) -> list[str]:
        """One `visible` text a token. A character made of several tokens stands at its first one, the others are
        empty; a character that the ids hold only a part of is U+FFFD."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        texts: list[str] = []
        unfinished = None
        for k, index in enumerate(ids):
            text = decoder.decode(self._bytes_of[index])
            if unfinished is not None and text:
                texts[unfinished] += text[0]
                text = text[1:]
                unfinished = None
            texts.append(text)
            if unfinished is None and decoder.getstate()[0]:
                unfinished = k
        if unfinished is not None:
            texts[unfinished] += decoder.decode(b"", final=True)
        return list(map(visible, texts))

    def join(self, ids: Sequence[int]) -> str:
        """The text of all `ids` together."""
        return "".join(self.split(ids))


@dataclass(frozen=True)
class Block:
    """A block's token ids; `names`: which of them are of inserted names, where tags do not tell it, else None."""

    ids: list[int]
    names: list[bool] | None = None

    @classmethod
    def of(cls, block: Mapping[str, "Tensor"]) -> "Block":
        """A block of `LeiaConstantLengthDataset`."""
        names = block.get("entity_name_mask")
        return cls(block["input_ids"].tolist(), None if names is None else names.tolist())

    def runs(self, tag_ids: tuple[int, int]) -> list[tuple[str, list[int]]]:
        """`(kind, ids)` for each run of one kind: `text`, `tag` (one tag) or `name`.

        A block may begin inside a name between tags: what stands before a closing tag without an opening one is `text`,
        as it is for the loss.
        """
        if self.names is None:
            return list(_split_at_tags(self.ids, *tag_ids))
        runs: list[tuple[str, list[int]]] = []
        for index, is_name in zip(self.ids, self.names, strict=True):
            kind = "tag" if index in tag_ids else "name" if is_name else "text"
            if not runs or kind == "tag" or kind != runs[-1][0]:
                runs.append((kind, []))
            runs[-1][1].append(index)
        return runs


def _split_at_tags(ids: Sequence[int], start_token_id: int, end_token_id: int) -> Iterator[tuple[str, list[int]]]:
    kind, run = "text", []
    for index in ids:
        if index in (start_token_id, end_token_id):
            if run:
                yield kind, run
            yield "tag", [index]
            kind, run = "name" if index == start_token_id else "text", []
        else:
            run.append(index)
    if run:
        yield kind, run


MOST_SKIPPED = 10_000


class NamedBlocks:
    """Of `blocks` those with a name, or a part of one; `skipped` counts the others before them. It ends where
    `MOST_SKIPPED` others follow each other: under a probability of 0, say, there is none."""

    def __init__(self, blocks: Iterable[Block], tag_ids: tuple[int, int]) -> None:
        self._blocks = blocks
        self._tag_ids = tag_ids
        self.skipped = 0

    def __iter__(self) -> Iterator[Block]:
        without = 0
        for block in self._blocks:
            if any(kind != "text" for kind, _ in block.runs(self._tag_ids)):
                self.skipped += without
                without = 0
                yield block
            elif (without := without + 1) == MOST_SKIPPED:
                break
        self.skipped += without


def render_blocks(blocks: Iterable[Block], texts: TokenTexts, tag_ids: tuple[int, int]) -> Iterator[str]:
    """Yield each block under a line with its number, in the colours of a terminal (`click.unstyle` takes them off)."""
    for number, block in enumerate(blocks, 1):
        runs = block.runs(tag_ids)
        text = "".join(click.style(texts.join(run), **_TERMINAL_STYLES[kind]) for kind, run in runs)
        yield f"{click.style(f'--- {_title(number, block, tag_ids)} ---', bold=True)}\n{text}\n"


def _title(number: int, block: Block, tag_ids: tuple[int, int]) -> str:
    opened = (
        block.ids.count(tag_ids[0]) if block.names is None else [kind for kind, _ in block.runs(tag_ids)].count("name")
    )
    return f"block {number}: {len(block.ids):,} tokens, {opened:,} names"


@dataclass(frozen=True, repr=False)
class Blocks:
    """Blocks to look at: the last line of a notebook's cell shows them in colour, `print` as plain text, and `show()`
    in the colours of the terminal.

    `tokenizer` knows all ids, the two tags among them. `dropped` are the links of a text of your own that could give no
    name, with the reason.
    """

    blocks: list[Block]
    tokenizer: PreTrainedTokenizerBase
    dropped: Mapping[Link, DropReason] = field(default_factory=dict)

    @property
    def ids(self) -> list[list[int]]:
        """The token ids of each block."""
        return [block.ids for block in self.blocks]

    def show(self) -> None:
        """Print the blocks, in colours where the output is a terminal."""
        click.echo(self._rendered())

    def __repr__(self) -> str:
        return click.unstyle(self._rendered())

    def _repr_html_(self) -> str:
        texts, tag_ids = TokenTexts(self.tokenizer), entity_name_tag_ids(self.tokenizer)
        parts = []
        for number, block in enumerate(self.blocks, 1):
            runs = "".join(
                f'<span style="{_HTML_STYLES[kind]}">{escape(texts.join(run))}</span>'
                for kind, run in block.runs(tag_ids)
            )
            parts.append(f"<p><b>{_title(number, block, tag_ids)}</b></p>")
            parts.append(f'<div dir="auto" style="white-space:pre-wrap;overflow-wrap:anywhere">{runs}</div>')
        return "\n".join([*parts, *(f"<p><small>{escape(line)}</small></p>" for line in self._dropped_lines())])

    def _rendered(self) -> str:
        blocks = render_blocks(self.blocks, TokenTexts(self.tokenizer), entity_name_tag_ids(self.tokenizer))
        return "\n".join([*blocks, *self._dropped_lines()])

    def _dropped_lines(self) -> Iterator[str]:
        for link, reason in self.dropped.items():
            yield visible(f"dropped: {link.name} at the characters {link.start} to {link.end}: {reason}")


def augment(
    text: str,
    links: Iterable[tuple[int, int, str]],
    tokenizer: PreTrainedTokenizerBase,
    strategy: str = "right",
    prob: float = 1.0,
    seed: int = 42,
    no_separator_tokens: bool = False,
    tags: tuple[str, str] | None = None,
) -> Blocks:
    """A text of your own as one block, the names of its links inserted as in training. The tokenizer stays as it is.

    A link is `(start, end, name)`: the characters of `text` that it covers, end exclusive, and the name to insert.
    `strategy` is one of `leia.data.insertion.STRATEGIES` (`left`, `right`, `replace`, `none`); `prob` is the share of
    names inserted, drawn with `seed`; `tags` are other ones than the tokenizer's own or `<translate>`, `</translate>`;
    `no_separator_tokens` leaves them out. A link that does not begin and end with a token is left out, as in the
    build, and named in `dropped` of the result.

    Raises `ValueError` for links outside the text or over one another, an unknown strategy, a `prob` outside 0 to 1.
    """
    check_insertion(strategy, prob)
    article, dropped = encode_text(text, links, tokenizer)
    tokenizer = deepcopy(tokenizer)
    if tags is not None:
        choose_tags(tokenizer, tags)
    insertion = Insertion(strategy, prob, *add_entity_name_tags(tokenizer), no_separator_tokens)
    draws = draw_numbers(len(article.names), random.Random(seed))
    ids, names = unmark(insert_drawn(*article, draws, insertion, insertion.needs_marks))
    block = Block(ids.tolist(), names.tolist() if insertion.needs_marks else None)
    return Blocks([block], tokenizer, dropped)


def preview(
    dataset: "Dataset",
    tokenizer: PreTrainedTokenizerBase,
    num_blocks: int = 3,
    max_length: int = 256,
    strategy: str = "right",
    prob: float = 1.0,
    shuffle: bool = True,
    seed: int = 42,
    no_separator_tokens: bool = False,
    tags: tuple[str, str] | None = None,
    separate_articles: bool = False,
) -> Blocks:
    """The first blocks that training with these settings reads from a training dataset. The tokenizer stays as it is.

    Raises `InputError` where the dataset was made with another tokenizer, `ValueError` for settings out of range.
    """
    check_dataset(dataset, tokenizer, None, "the dataset")
    tokenizer = deepcopy(tokenizer)
    if tags is not None:
        choose_tags(tokenizer, tags)
    tag_ids, end = add_entity_name_tags(tokenizer), article_end(tokenizer, separate_articles)
    stream = LeiaConstantLengthDataset(
        dataset, max_length, *tag_ids, prob, strategy, shuffle, seed, no_separator_tokens, end
    )
    return Blocks([Block.of(block) for block in islice(stream, num_blocks)], tokenizer)
