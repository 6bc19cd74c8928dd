"""Sitelinks in Wikidata's JSON dump: which item is which page of which Wikipedia.

The dump (`wikidata-<date>-all.json.bz2`) is one JSON array, an entity a line:
https://doc.wikimedia.org/Wikibase/master/php/docs_topics_json.html. Every line is parsed whole by simdjson, which takes
less time than the decompression; what simdjson refuses and Python's `json` accepts (a lone surrogate, say) goes there.
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import simdjson

from leia.corpus.dumps import BrokenDump, accept_break, read_blocks
from leia.errors import InputError
from leia.manifest import Tally

EXPECTED_DUMP = (
    "a Wikidata JSON dump like wikidata-20230703-all.json.bz2 or its table like "
    "wikidatawiki-20230701-wb_items_per_site.sql.gz"
)
"""Either has the sitelinks; `sitelinks_sql` reads the table."""

Sitelinks = dict[str, list[bytes]]
"""Site code (`jawiki`) -> a row `title<TAB>QID` for each of its pages, in UTF-8, as it stands in an id file. Whether it
can stand there is seen when it is written: the title may hold a tab or be no valid Unicode."""

_QID = re.compile(r"Q[1-9][0-9]*")
_OBJECTS = (dict, simdjson.Object)


def read_json_sitelinks(
    path: str | Path, sites: Collection[str], tally: Tally, max_errors: int = 0, allow_truncated: bool = False
) -> Iterator[Sitelinks]:
    """Yield the sitelinks to `sites` of the dump's items, block by block in its order; `tally` counts the entities.

    Raises `InputError` for a file that is no such dump, at the broken line after the first `max_errors`, and for a dump
    that breaks off unless `allow_truncated`.
    """
    path = Path(path)
    parser = simdjson.Parser()
    number, last_id, broken_lines, closed = 0, b"", 0, False
    try:
        for block in read_blocks(path, b"\n", is_json_dump, EXPECTED_DUMP):
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
                    tally.drop("line is no JSON")
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
        return b"", [], "not an item (property, lexeme)"
    qid = entity.get("id")
    if not isinstance(qid, str) or not _QID.fullmatch(qid):
        return b"", [], "id is not a QID"
    sitelinks = entity.get("sitelinks")
    if not sitelinks:  # missing, {} or, as PHP writes an empty map, []
        return b"", [], "no sitelinks"
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
    return qid.encode(), titles, "" if titles else "no sitelink to the languages asked for"


def is_json_dump(start: bytes) -> bool:
    """Whether these are the first bytes of a JSON array."""
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"[")
