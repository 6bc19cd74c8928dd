"""Tables of wikitext (https://www.mediawiki.org/wiki/Help:Tables), which are left out."""

import re

from leia.base.errors import DropReason
from leia.base.step import Tally
from leia.corpus.wikitext.marks import REMOVED, TEMPLATE

_START = re.compile(rf"[\s{REMOVED}{TEMPLATE}:]*\{{\|")
_END = re.compile(rf"[\s{REMOVED}{TEMPLATE}]*\|\}}")
_ROWS = re.compile(rf"^[ \t{REMOVED}{TEMPLATE}]*[|!]", re.MULTILINE)
_ROW = re.compile(rf"[\s{REMOVED}{TEMPLATE}]*[|!]")


def drop_tables(text: str, links: Tally) -> str:
    """`text` without its tables, which begin and end at the start of a line and may lie in each other.

    Of one that is never closed only the lines that begin as rows do are left out, and so are such lines right behind a
    template, which begins their table. `links` counts the `[[` in them.
    """
    if "{|" not in text and not _ROWS.search(text):
        return text
    kept: list[str] = []
    open_tables: list[list[str]] = []  # the lines of each table that is open, the outermost first
    behind_template = False
    for line in text.split("\n"):
        if "{|" in line and _START.match(line):
            open_tables.append([line])
        elif not open_tables:
            behind_template = line.rstrip().endswith(TEMPLATE) or (behind_template and _is_row_or_blank(line))
            if behind_template and _ROW.match(line):
                links.drop(DropReason.IN_TABLE, line.count("[["))
            else:
                kept.append(line)
        elif "|}" in line and (end := _END.match(line)):
            table = [*open_tables.pop(), line[: end.end()]]
            links.drop(DropReason.IN_TABLE, "\n".join(table).count("[["))
            (open_tables[-1] if open_tables else kept).append(line[end.end() :])
        else:
            open_tables[-1].append(line)
    for table in open_tables:
        rows = [line for line in table if _START.match(line) or _ROW.match(line)]
        links.drop(DropReason.IN_TABLE, "\n".join(rows).count("[["))
        kept += [line for line in table if not (_START.match(line) or _ROW.match(line))]
    return "\n".join(kept)


def _is_row_or_blank(line: str) -> bool:
    return not line.strip() or _ROW.match(line) is not None
