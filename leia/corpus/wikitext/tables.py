"""Tables of wikitext (https://www.mediawiki.org/wiki/Help:Tables), which are left out."""

import re
from collections import Counter

from leia.base.errors import DropReason
from leia.corpus.wikitext.marks import REMOVED, TEMPLATE

_START = re.compile(rf"[\s{REMOVED}{TEMPLATE}:]*\{{\|")
_END = re.compile(rf"[\s{REMOVED}{TEMPLATE}]*\|\}}")
_ROWS = re.compile(rf"^[ \t{REMOVED}{TEMPLATE}]*[|!]", re.MULTILINE)
_ROW = re.compile(rf"[\s{REMOVED}{TEMPLATE}]*[|!]")


def drop_tables(text: str, dropped: Counter[DropReason]) -> str:
    """`text` without its tables, which begin and end at the start of a line and may lie in each other.

    Of one that is never closed only the lines that begin as rows do are left out, and so are such lines right behind a
    template, which begins their table. `dropped` gets the `[[` in them.
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
                _count([line], dropped)
            else:
                kept.append(line)
        elif "|}" in line and (end := _END.match(line)):
            table = [*open_tables.pop(), line[: end.end()]]
            _count(table, dropped)
            (open_tables[-1] if open_tables else kept).append(line[end.end() :])
        else:
            open_tables[-1].append(line)
    for table in open_tables:
        rows = [line for line in table if _START.match(line) or _ROW.match(line)]
        _count(rows, dropped)
        kept += [line for line in table if not (_START.match(line) or _ROW.match(line))]
    return "\n".join(kept)


def _is_row_or_blank(line: str) -> bool:
    return not line.strip() or _ROW.match(line) is not None


def _count(lines: list[str], dropped: Counter[DropReason]) -> None:
    if links := sum(line.count("[[") for line in lines):
        dropped[DropReason.IN_TABLE] += links
