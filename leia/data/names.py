"""Names to insert: for a Wikidata id, the title in the pivot language (English), without what stands in brackets.

The build and the link statistics use this one rule (paper, section 2; the published excluded namespaces).
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from leia.base.step import Tally
from leia.corpus.id_files import read_titles

EXCLUDED_NAMESPACES = (
    "Wikipedia",
    "Category",
    "File",
    "Portal",
    "Template",
    "MediaWiki",
    "User",
    "Help",
    "Book",
    "Draft",
    "WikiProject",
    "Special",
    "Talk",
)
LIST_PREFIX = "List of"

NO_QID = "no Wikidata id"
NO_PIVOT_TITLE = "no title in the pivot language"
EXCLUDED_NAMESPACE = "title in an excluded namespace"
LIST_TITLE = "title of a list"

_BRACKETS = re.compile(r"\(.*?\)")


@dataclass(frozen=True, slots=True)
class PivotTitles:
    """The titles in the pivot language of the Wikidata ids that a corpus uses, and which of them give names."""

    by_qid: dict[str, str]
    excluded_namespaces: tuple[str, ...] = EXCLUDED_NAMESPACES
    list_prefix: str = LIST_PREFIX

    def name_of(self, qid: str | None) -> tuple[str, None] | tuple[None, str]:
        """`(name, None)` for the entity `qid`, or `(None, reason)` where it gives none."""
        if qid is None:
            return None, NO_QID
        title = self.by_qid.get(qid)
        if title is None:
            return None, NO_PIVOT_TITLE
        namespace, colon, _ = title.partition(":")
        if colon and namespace in self.excluded_namespaces:
            return None, EXCLUDED_NAMESPACE
        if self.list_prefix and title.startswith(self.list_prefix):
            return None, LIST_TITLE
        return _BRACKETS.sub("", title).strip(), None


def parse_namespaces(listing: str) -> tuple[str, ...]:
    """The namespaces in a list with commas between, as the option `--excluded_namespaces` takes them."""
    return tuple(namespace for part in listing.split(",") if (namespace := part.strip()))


def read_pivot_titles(
    wikidata_id_file: str | Path, qids: Container[str], excluded_namespaces: tuple[str, ...], list_prefix: str
) -> tuple[PivotTitles, Tally]:
    """The titles of `qids` in the pivot language's id file (`en-wikidata-ids.tsv`), which may have ten million rows."""
    titles, tally = read_titles(wikidata_id_file, qids)
    return PivotTitles(titles, excluded_namespaces, list_prefix), tally
