"""Sitelinks in Wikidata's SQL table `wb_items_per_site`: the short cut, about 2 GB to download instead of over 100.

The dump (`wikidatawiki-<date>-wb_items_per_site.sql.gz`, by mysqldump) has INSERT statements of rows
`(row id, item id, 'site', 'title')`, thousands on a line or one a line. The bytes `,'jawiki','` can only be a whole
value: inside a string a quote is escaped, so a quote behind a comma opens a string or closes one, and `jawiki` follows
no closing quote. So the rows of a site are found without reading the others.
"""

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from leia.corpus.dumps import BrokenDump, accept_break, read_blocks
from leia.corpus.wikidata import EXPECTED_DUMP, Sitelinks
from leia.errors import InputError
from leia.manifest import Tally

_LAST_LINE = b"-- Dump completed"
_ESCAPE = re.compile(rb"\\(.)|''", re.DOTALL)
_CONTROL_ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}


def read_sql_sitelinks(
    path: str | Path, sites: Collection[str], tally: Tally, allow_truncated: bool = False
) -> Iterator[Sitelinks]:
    """Yield the rows of `sites`, block by block, in the order of the table; the set is that of the JSON dump.

    `tally` counts them.
    Raises `InputError` for a file that is no such dump, for a row of these sites in another layout, and for a dump that
    breaks off unless `allow_truncated`.
    """
    path = Path(path)
    values = [b"'%b'" % site.encode() for site in sites]
    names = b"|".join(re.escape(site.encode()) for site in sites)
    site_value = re.compile(rb",\s*'(?:" + names + rb")'\s*,\s*'")
    title = rb"'([^'\\]*(?:(?:\\.|'')[^'\\]*)*)'"
    row = re.compile(rb"\(\s*\d+\s*,\s*(\d+)\s*,\s*'(" + names + rb")'\s*,\s*" + title + rb"\s*\)", re.DOTALL)
    usual_row = re.compile(rb"\(\d+,(\d+),'(" + names + rb")'," + title + rb"\)", re.DOTALL)
    completed = False
    try:
        for block in read_blocks(path, b"\n", is_table_dump, EXPECTED_DUMP):
            rows = usual_row.findall(block)
            if len(rows) != sum(map(block.count, values)):  # spaces between the values, or a page with a site's name
                rows = row.findall(block)
                # A block without its line break ends where the download broke off, and its last row may be cut.
                if block.endswith(b"\n") and len(rows) != len(site_value.findall(block)):
                    raise InputError(f"{path}: holds rows in an unknown layout; expected {EXPECTED_DUMP}")
            found: Sitelinks = {site: [] for site in sites}
            lists = {site.encode(): of_site for site, of_site in found.items()}
            for item, site, title in rows:
                if b"\\" in title or b"''" in title:
                    title = _unescape(title)
                lists[site].append(title + b"\tQ" + item)
            tally.kept += len(rows)
            yield found
            completed = completed or block.startswith(_LAST_LINE) or b"\n" + _LAST_LINE in block
        if not completed:
            raise BrokenDump(f"{path}: ends without '-- Dump completed', as a download that broke off does")
    except BrokenDump as error:
        accept_break(error, path, allow_truncated, tally)


def _unescape(value: bytes) -> bytes:
    return _ESCAPE.sub(lambda match: _CONTROL_ESCAPES.get(match[1], match[1]) if match[1] else b"'", value)


def is_table_dump(start: bytes) -> bool:
    """Whether these are the first bytes of the table's dump."""
    return b"wb_items_per_site" in start
