"""Sitelinks in Wikidata's dumps: which item is which page of which Wikipedia.

The JSON dump (`wikidata-<date>-all.json.bz2`) is one JSON array, an entity a line:
https://doc.wikimedia.org/Wikibase/master/php/docs_topics_json.html. Every line is parsed whole by simdjson, which takes
less time than the decompression; what simdjson refuses and Python's `json` accepts (a lone surrogate, say) goes there.

The SQL table `wb_items_per_site` is the short cut, about 2 GB to download instead of over 100. Its dump
(`wikidatawiki-<date>-wb_items_per_site.sql.gz`, by mysqldump) has INSERT statements of rows
`(row id, item id, 'site', 'title')`, thousands on a line or one a line. The bytes `,'jawiki','` can only be a whole
value: inside a string a quote is escaped, so a quote behind a comma opens a string or closes one, and `jawiki` follows
no closing quote. So the rows of a site are found without reading the others.
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import simdjson

from leia.base.errors import DropReason, InputError, UsageError
from leia.base.step import Counts
from leia.corpus.dumps import BrokenDump, accept_break, read_blocks, refusal, start_of_dump

EXPECTED_WIKIDATA_DUMP = (
    "a Wikidata JSON dump like wikidata-20230703-all.json.bz2 or its table like "
    "wikidatawiki-20230701-wb_items_per_site.sql.gz"
)
"""Either has the sitelinks; `sitelinks_sql` reads the table."""

Sitelinks = dict[str, list[bytes]]
"""Site code (`jawiki`) -> a row `title<TAB>QID` for each of its pages, in UTF-8, as it stands in an id file. Whether it
can stand there is seen when it is written: the title may hold a tab or be no valid Unicode."""

_QID = re.compile(r"Q[1-9][0-9]*")
_OBJECTS = (dict, simdjson.Object)


def read_sitelinks(
    path: str | Path, sites: Collection[str], counts: Counts, max_errors: int = 0, allow_truncated: bool = False
) -> Iterator[Sitelinks]:
    """`read_sql_sitelinks` or `read_json_sitelinks`, by the first bytes of the dump."""
    if is_table_dump(start_of_dump(path)):
        return read_sql_sitelinks(path, sites, counts, allow_truncated)
    return read_json_sitelinks(path, sites, counts, max_errors, allow_truncated)


def read_json_sitelinks(
    path: str | Path, sites: Collection[str], counts: Counts, max_errors: int = 0, allow_truncated: bool = False
) -> Iterator[Sitelinks]:
    """Yield the sitelinks to `sites` of the dump's items, block by block in its order; `counts` gets the entities.

    Raises `InputError` for a file that is no such dump, at the broken line after the first `max_errors`, and for a dump
    that breaks off unless `allow_truncated`.
    """
    path, tally = Path(path), counts.count("entities")
    parser = simdjson.Parser()
    number, last_id, broken_lines, closed = 0, b"", 0, False
    try:
        for block in read_blocks(path, b"\n", is_json_dump, EXPECTED_WIKIDATA_DUMP):
            found: Sitelinks = {site: [] for site in sites}
            for line in block.splitlines():
                number += 1
                line = line.strip(b" \t\r,")
                if line in (b"", b"[", b"]"):
                    closed = closed or line == b"]"
                    continue
                try:
                    qid, titles, why = _parse_entity(line, sites, parser)
                except ValueError as error:
                    if not block.endswith(b"\n"):  # the line that the download broke off in
                        continue
                    broken_lines += 1
                    if broken_lines > max_errors:
                        raise InputError(
                            f"{path}, line {number:,}: is no JSON ({error}); expected one entity a line; "
                            "download the dump again, or pass over up to N such lines with --max_errors N"
                        ) from error
                    tally.drop(DropReason.BROKEN_LINE)
                    continue
                if why:
                    tally.drop(why)
                else:
                    tally.kept += 1
                    last_id = qid
                    for site, title in titles:
                        found[site].append(title + b"\t" + qid)
            yield found
        if not closed:
            raise BrokenDump(f"{path}: ends without the closing ], as a download that broke off does")
    except BrokenDump as error:
        last_used = "none of its lines was used"
        if last_id:
            last_used = f"the last of its {number:,} lines that was used is that of {last_id.decode()}"
        accept_break(error, path, allow_truncated, tally, last_used)


Titles = list[tuple[str, bytes]]
"""Site code and title."""


def _parse_entity(line: bytes, sites: Collection[str], parser: simdjson.Parser) -> tuple[bytes, Titles, str]:
    """QID and titles of one line, or why it has none, being in order; `ValueError` when it is not."""
    try:
        return _titles_of(parser.parse(line), sites)
    except ValueError:
        try:
            return _titles_of(json.loads(line), sites)
        except RecursionError as error:
            raise ValueError("nested too deep") from error


def _titles_of(entity: Any, sites: Collection[str]) -> tuple[bytes, Titles, str]:
    if not isinstance(entity, _OBJECTS):
        raise ValueError("not an object")
    if entity.get("type") != "item":
        return b"", [], DropReason.NOT_AN_ITEM
    qid = entity.get("id")
    if not isinstance(qid, str) or not _QID.fullmatch(qid):
        return b"", [], DropReason.NOT_A_QID
    sitelinks = entity.get("sitelinks")
    if not sitelinks:  # missing, {} or, as PHP writes an empty map, []
        return b"", [], DropReason.NO_SITELINKS
    if not isinstance(sitelinks, _OBJECTS):
        raise ValueError("sitelinks is no object")
    titles = []
    for site in sites:
        sitelink = sitelinks.get(site)
        if sitelink is not None:
            title = sitelink.get("title") if isinstance(sitelink, _OBJECTS) else None
            if not isinstance(title, str):
                raise ValueError("a sitelink has no title")
            titles.append((site, title.encode("utf-8", "surrogatepass")))
    return qid.encode(), titles, "" if titles else DropReason.NO_SITELINK_ASKED_FOR


def is_json_dump(start: bytes) -> bool:
    """Whether these are the first bytes of a JSON array."""
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[")


_LAST_LINE = b"-- Dump completed"
_ESCAPE = re.compile(rb"\\(.)|''", re.DOTALL)
_CONTROL_ESCAPES = {b"0": b"\0", b"b": b"\b", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"Z": b"\x1a"}


def read_sql_sitelinks(
    path: str | Path, sites: Collection[str], counts: Counts, allow_truncated: bool = False
) -> Iterator[Sitelinks]:
    """Yield the rows of `sites`, block by block, in the order of the table; the set is that of the JSON dump.

    `counts` gets the rows.
    Raises `InputError` for a file that is no such dump, for a row of these sites in another layout, and for a dump that
    breaks off unless `allow_truncated`.
    """
    path, tally = Path(path), counts.count("table rows of these Wikipedias")
    values = [b"'%b'" % site.encode() for site in sites]
    names = b"|".join(re.escape(site.encode()) for site in sites)
    site_value = re.compile(rb",\s*'(?:" + names + rb")'\s*,\s*'")
    title = rb"'([^'\\]*(?:(?:\\.|'')[^'\\]*)*)'"
    row = re.compile(rb"\(\s*\d+\s*,\s*(\d+)\s*,\s*'(" + names + rb")'\s*,\s*" + title + rb"\s*\)", re.DOTALL)
    usual_row = re.compile(rb"\(\d+,(\d+),'(" + names + rb")'," + title + rb"\)", re.DOTALL)
    completed = False
    try:
        for block in read_blocks(path, b"\n", is_table_dump, EXPECTED_WIKIDATA_DUMP):
            rows = usual_row.findall(block)
            if len(rows) != sum(map(block.count, values)):  # spaces between the values, or a page with a site's name
                rows = row.findall(block)
                # A block without its line break ends where the download broke off, and its last row may be cut.
                if block.endswith(b"\n") and len(rows) != len(site_value.findall(block)):
                    raise InputError(f"{path}: holds rows in an unknown layout; expected {EXPECTED_WIKIDATA_DUMP}")
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


def check_wikidata_dump(path: Path, source: str | None) -> None:
    """Raise `UsageError` when the file is not of Wikidata, or not of the kind `source` (sql, json; None: either)."""
    start = start_of_dump(path)
    kind = "sql" if is_table_dump(start) else "json" if is_json_dump(start) else ""
    if start and not kind:
        raise UsageError(str(refusal(path, start, EXPECTED_WIKIDATA_DUMP)))
    if start and source not in (None, kind):
        raise UsageError(f"{path}: expected a dump of the kind {source}, found {kind}; check --wikidata_source")
