"""Blocks of the training stream as text: in a terminal with coloured tags and names, elsewhere as plain text."""

from collections.abc import Iterable, Iterator, Sequence

import click

from leia.data.token_texts import TokenTexts


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
