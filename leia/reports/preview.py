"""Blocks of the training stream as text: in a terminal with coloured tags and names, elsewhere as plain text.

What a reader is shown of a token is its text, whole characters only, with nothing that could steer a terminal.
"""

import codecs
from collections.abc import Iterable, Iterator, Sequence

import click
from transformers import PreTrainedTokenizerBase

from leia.base.text import visible
from leia.data.alignment import token_bytes


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


def split_at_tags(ids: Sequence[int], start_token_id: int, end_token_id: int) -> Iterator[tuple[str, list[int]]]:
    """Yield `(kind, ids)` for each run of one kind: `text`, `tag` (one tag) or `name` (between two tags).

    A block may begin inside a name: what stands before a closing tag without an opening one is `text`, as it is for
    the loss.
    """
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


def render_blocks(blocks: Iterable[Sequence[int]], texts: TokenTexts, tag_ids: tuple[int, int]) -> Iterator[str]:
    """Yield each block under a line with its number, in the colours of a terminal (`click.unstyle` takes them off)."""
    styles = {"text": {}, "tag": {"fg": "bright_black"}, "name": {"fg": "green", "bold": True}}
    for number, ids in enumerate(blocks, 1):
        parts = [
            click.style(texts.join(run), **styles[kind]) if styles[kind] else texts.join(run)
            for kind, run in split_at_tags(ids, *tag_ids)
        ]
        names = list(ids).count(tag_ids[0])
        title = click.style(f"--- block {number}: {len(ids):,} tokens, {names:,} names ---", bold=True)
        yield f"{title}\n{''.join(parts)}\n"


def page_through(blocks: Iterable[str]) -> None:
    """Print one block after the other: Enter (or space) shows the next, `q` (or Ctrl-C, Ctrl-D) stops."""
    blocks = iter(blocks)
    block = next(blocks, None)
    while block is not None:
        click.echo(block)
        block = next(blocks, None)
        if block is None or not _asked_for_more():
            return


def _asked_for_more() -> bool:
    click.secho("Enter: next block, q: stop ", dim=True, nl=False)
    try:
        # Keys that were struck in quick succession come together: the last one counts.
        while (key := click.getchar()[-1]) not in ("\r", "\n", " ", "q", "Q"):
            pass
    except (KeyboardInterrupt, EOFError):
        key = "q"
    click.echo("\n")
    return key not in ("q", "Q")
