"""Sitelinks in Wikidata's dumps: which item is which page of which Wikipedia.

The JSON dump (`wikidata-<date>-all.json.bz2`) is one JSON array, an entity a line:
https://doc.wikimedia.org/Wikibase/master/php/docs_topics_json.html. msgspec parses every line whole, in less time
than the decompression takes; what it refuses and Python's `json` accepts (a lone surrogate, say) goes there.

The SQL table `wb_items_per_site` is the short cut, about 2 GB to download instead of over 100. Its dump
(`wikidatawiki-<date>-wb_items_per_site.sql.gz`, by mysqldump) has INSERT statements of rows
`(row id, item id, 'site', 'title')`, thousands on a line or one a line. The bytes `,'jawiki','` can only be a whole
value: inside a string a quote is escaped, so a quote after a comma opens a string or closes one, and `jawiki` follows
no closing quote. So the rows of a site are found without reading the others.
"""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from leia.base.errors import DropReason, InputError, UsageError
from leia.base.step import Counts, Tally
from leia.corpus.dumps import BrokenDump, accept_break, read_blocks, start_of_dump
from leia.corpus.file_kinds import refusal

EXPECTED_WIKIDATA_DUMP = (
    "a Wikidata JSON dump like wikidata-20230703-all.json.bz2 or its table like "
    "wikidatawiki-20230701-wb_items_per_site.sql.gz"
)
ENTITIES, TABLE_ROWS = "entities", "table rows of these Wikipedias"  # what is counted

Sitelinks = dict[str, list[bytes]]
"""Site code (`jawiki`) -> a row `title<TAB>QID` in UTF-8 for each of its pages. The title may hold a tab or bytes that
are not Unicode: that is seen when the row is written to an id file."""

Rows = list[tuple[str, bytes]]  # of one item: each site with the row for it

_QID = re.compile(r"Q[1-9][0-9]*")


def read_sitelinks(
    path: str | Path, sites: Collection[str], counts: Counts, max_errors: int = 0, allow_truncated: bool = False
) -> Iterator[Sitelinks]:
    """`read_sql_sitelinks` or `read_json_sitelinks`, by the first bytes of the dump."""
    is_table = is_table_dump(start_of_dump(path))
    counts.count(TABLE_ROWS if is_table else ENTITIES)  # stands first in the manifest
    if is_table:
        return read_sql_sitelinks(path, sites, counts, allow_truncated)
    return read_json_sitelinks(path, sites, counts, max_errors, allow_truncated)


def read_json_sitelinks(
    path: str | Path, sites: Collection[str], counts: Counts, max_errors: int = 0, allow_truncated: bool = False
) -> Iterator[Sitelinks]:
    """Yield the sitelinks to `sites` of the dump's items, block by block in its order; `counts` gets the entities.

    Raises `InputError` for a file that is not this dump, at the broken line after the first `max_errors`, and for a
    dump that breaks off unless `allow_truncated`.
    """
    reader = _EntityReader(Path(path), sites, counts.count(ENTITIES), max_errors)
    try:
        yield from map(reader.read_block, read_blocks(path, b"\n", is_json_dump, EXPECTED_WIKIDATA_DUMP))
        if not reader.closed:
            raise BrokenDump(f"{path}: ends without the closing ], as a download that broke off does")
    except BrokenDump as error:
        last_used = "none of its lines was used"
        if reader.last_row:
            qid = reader.last_row.rpartition(b"\t")[2].decode()
            last_used = f"the last of its {reader.lines:,} lines that was used is that of {qid}"
        accept_break(error, Path(path), allow_truncated, reader.tally, last_used)


class _Sitelink(msgspec.Struct):
    title: str


class _Entity(msgspec.Struct):
    type: str = ""
    id: str = ""
    sitelinks: msgspec.Raw = msgspec.Raw(b"{}")


class _EntityReader:
    """Reads lines of the JSON dump: of each item the rows of the `sites` asked for; `tally` counts the entities."""

    def __init__(self, path: Path, sites: Collection[str], tally: Tally, max_errors: int) -> None:
        self.tally = tally
        self.lines, self.last_row, self.closed = 0, b"", False
        self._path, self._sites, self._max_errors = path, sites, max_errors
        self._entity = msgspec.json.Decoder(_Entity)
        fields = [(site, _Sitelink | None, None) for site in sites]
        self._sitelinks = msgspec.json.Decoder(msgspec.defstruct("Sitelinks", fields))

    def read_block(self, block: bytes) -> Sitelinks:
        found: Sitelinks = {site: [] for site in self._sites}
        is_utf8 = _is_utf8(block)
        for line in block.splitlines():
            self.lines += 1
            line = line.strip(b" \t\r,")
            if line in (b"", b"[", b"]"):
                self.closed = self.closed or line == b"]"
                continue
            try:
                rows = self._read(line, is_utf8)
            except ValueError as error:
                if block.endswith(b"\n"):  # else it is the line that the download broke off in
                    self._pass_over(error)
                continue
            if isinstance(rows, DropReason):
                self.tally.drop(rows)
                continue
            self.tally.kept += 1
            for site, self.last_row in rows:
                found[site].append(self.last_row)
        return found

    def _pass_over(self, error: ValueError) -> None:
        self.tally.drop(DropReason.BROKEN_LINE)
        if self.tally.dropped[DropReason.BROKEN_LINE] > self._max_errors:
            raise InputError(
                f"{self._path}, line {self.lines:,}: is not JSON ({error}); expected one entity a line; "
                "download the dump again, or pass over up to N such lines with --max_errors N"
            ) from error

    def _read(self, line: bytes, is_utf8: bool) -> Rows | DropReason:
        """Raises `ValueError` for a line that is not one entity in JSON. msgspec does not look whether strings that it
        passes over are UTF-8: without `is_utf8` Python's json reads the line."""
        try:
            if is_utf8:
                return self._read_quickly(line)
        except (ValueError, RecursionError):  # it refuses some lines that json takes
            pass
        return self._read_by_json(line)

    def _read_quickly(self, line: bytes) -> Rows | DropReason:
        entity = self._entity.decode(line)
        if reason := _why_not_an_item(entity.type, entity.id):
            return reason
        sitelinks = memoryview(entity.sitelinks)
        if len(sitelinks) < 8 and not sitelinks.tobytes().strip(b"{}[] "):  # {} or [], with a few spaces
            return DropReason.NO_SITELINKS
        found = self._sitelinks.decode(sitelinks)
        links = ((site, getattr(found, site)) for site in self._sites)
        return _rows(entity.id, [(site, link.title) for site, link in links if link is not None])

    def _read_by_json(self, line: bytes) -> Rows | DropReason:
        try:
            entity = json.loads(line)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        if not isinstance(entity, dict):
            raise ValueError("expected an object")
        if reason := _why_not_an_item(entity.get("type"), entity.get("id")):
            return reason
        sitelinks = entity.get("sitelinks")
        if not sitelinks:  # missing, {} or, as PHP writes an empty map, []
            return DropReason.NO_SITELINKS
        if not isinstance(sitelinks, dict):
            raise ValueError("expected an object as sitelinks")
        links = [(site, sitelinks[site]) for site in self._sites if sitelinks.get(site) is not None]
        if not all(isinstance(link, dict) and isinstance(link.get("title"), str) for _, link in links):
            raise ValueError("a sitelink has no title")
        return _rows(entity["id"], [(site, link["title"]) for site, link in links])


def _why_not_an_item(kind: Any, qid: Any) -> DropReason | None:
    if kind != "item":
        return DropReason.NOT_AN_ITEM
    return None if isinstance(qid, str) and _QID.fullmatch(qid) else DropReason.NOT_A_QID


def _rows(qid: str, titles: Sequence[tuple[str, str]]) -> Rows | DropReason:
    rows = [(site, f"{title}\t{qid}".encode("utf-8", "surrogatepass")) for site, title in titles]
    return rows or DropReason.NO_SITELINK_ASKED_FOR


def _is_utf8(block: bytes) -> bool:
    try:
        return block.isascii() or bool(block.decode())  # Wikidata escapes all letters beyond ASCII
    except UnicodeDecodeError:
        return False


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
    Raises `InputError` for a file that is not this dump, for a row of these sites in another layout, and for a dump
    that breaks off unless `allow_truncated`.
    """
    path, tally = Path(path), counts.count(TABLE_ROWS)
    names = b"|".join(re.escape(site.encode()) for site in sites)
    site_value = re.compile(rb",\s*'(?:" + names + rb")'\s*,\s*'")
    title = rb"'([^'\\]*(?:(?:\\.|'')[^'\\]*)*)'"
    row = re.compile(rb"\(\s*\d+\s*,\s*(\d+)\s*,\s*'(" + names + rb")'\s*,\s*" + title + rb"\s*\)", re.DOTALL)
    usual_row = re.compile(rb"\(\d+,(\d+),'(" + names + rb")'," + title + rb"\)", re.DOTALL)
    completed = False
    try:
        for block in read_blocks(path, b"\n", is_table_dump, EXPECTED_WIKIDATA_DUMP):
            found: dict[bytes, list[bytes]] = {site.encode(): [] for site in sites}
            rows = usual_row.findall(block)
            quoted = sum(block.count(b"'%b'" % site) for site in found)
            if len(rows) != quoted:  # spaces between the values, or a page with a site's name
                rows = row.findall(block)
                # A block without its line break ends where the download broke off, and its last row may be cut.
                if block.endswith(b"\n") and len(rows) != len(site_value.findall(block)):
                    raise InputError(f"{path}: holds rows in an unknown layout; expected {EXPECTED_WIKIDATA_DUMP}")
            for item, site, title in rows:
                if b"\\" in title or b"''" in title:
                    title = _unescape(title)
                found[site].append(title + b"\tQ" + item)
            tally.kept += len(rows)
            yield {site.decode(): of_site for site, of_site in found.items()}
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
