"""Is a file the dump that it is given as? Told by its first bytes, before a step spends hours on it."""

import re
from pathlib import Path

from leia.base.errors import InputError
from leia.corpus.dumps import EXPECTED_PAGES_DUMP, is_wikipedia_dump, refusal, start_of_dump
from leia.corpus.titles import site_of_language
from leia.corpus.wikidata import EXPECTED_WIKIDATA_DUMP, is_json_dump, is_table_dump


def check_wikipedia_dump(path: str | Path, language: str) -> None:
    """Raise `InputError` when the file is no dump of pages, or one of another Wikipedia than that of `language`."""
    start = start_of_dump(path)
    if start and not is_wikipedia_dump(start):
        raise refusal(path, start, EXPECTED_PAGES_DUMP)
    named = re.search(rb"<dbname>([a-z0-9_]+)</dbname>", start)
    wiki = site_of_language(language)
    if named and named[1].decode() != wiki:
        raise InputError(f"{path}: is a dump of {named[1].decode()}; LANG={language} is {wiki}")


def check_wikidata_dump(path: str | Path, source: str) -> None:
    """Raise `InputError` when the file is none of Wikidata, or not of the kind `source` (sql, json; "": either)."""
    start = start_of_dump(path)
    kind = "sql" if is_table_dump(start) else "json" if is_json_dump(start) else ""
    if start and not kind:
        raise refusal(path, start, EXPECTED_WIKIDATA_DUMP)
    if start and source not in ("", kind):
        raise InputError(f"{path}: is of the kind {kind}; WIKIDATA_SOURCE is {source}; set it to {kind} or to none")
