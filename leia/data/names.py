"""Names to insert: for a Wikidata id, the title in the pivot language (English), without what stands in brackets.

The build, the link statistics and the preview use this one rule (paper, section 2; the published excluded namespaces).
"""

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leia.base.cli import CommaSeparated, setting
from leia.base.errors import DropReason
from leia.base.step import Counts, Tally
from leia.corpus.id_files import check_id_file, read_titles
from leia.corpus.titles import check_language

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

_HARDLY = 0.1
"""Of links: a smaller share has no other likely reason than a wrong file."""

_BRACKETS = re.compile(r"\(.*?\)")


@dataclass(frozen=True)
class NameRule:
    """Which titles give names. Each field is an option of the scripts that look for names."""

    pivot_language: str = setting("Names", "Language of the names; the id file must be of its Wikipedia.", "en")
    excluded_namespaces: tuple[str, ...] = setting(
        "Names",
        "Titles in these namespaces give no name; with commas between.",
        EXCLUDED_NAMESPACES,
        type=CommaSeparated(),
    )
    list_prefix: str = setting("Names", "Titles of lists start so and give no name.", "List of")

    @classmethod
    def of_manifest(cls, manifest: Mapping[str, Any] | None) -> "NameRule":
        """The rule that the dataset with this manifest was built by; the default one where it has none."""
        options = (manifest or {}).get("options", {})
        given = {name: options[name] for name in cls.__dataclass_fields__ if name in options}
        return cls(**given | {"excluded_namespaces": tuple(given.get("excluded_namespaces", EXCLUDED_NAMESPACES))})


@dataclass(frozen=True, slots=True)
class PivotTitles:
    """The titles in the pivot language of the Wikidata ids that a corpus uses, and which of them give names."""

    by_qid: dict[str, str]
    rule: NameRule = NameRule()

    def name_of(self, qid: str | None) -> tuple[str, None] | tuple[None, DropReason]:
        """`(name, None)` for the entity `qid`, or `(None, reason)` where it gives none."""
        if qid is None:
            return None, DropReason.NO_QID
        title = self.by_qid.get(qid)
        if title is None:
            return None, DropReason.NO_PIVOT_TITLE
        namespace, colon, _ = title.partition(":")
        if colon and namespace in self.rule.excluded_namespaces:
            return None, DropReason.EXCLUDED_NAMESPACE
        if self.rule.list_prefix and title.startswith(self.rule.list_prefix):
            return None, DropReason.LIST_TITLE
        name = _BRACKETS.sub("", title).strip()
        return (name, None) if name else (None, DropReason.EMPTY_NAME)


def read_pivot_titles(
    wikidata_id_file: str | Path, qids: Container[str], rule: NameRule, counts: Counts
) -> PivotTitles:
    """The titles of `qids` in the pivot language's id file (`en-wikidata-ids.tsv`), which may have ten million rows.

    Raises `UsageError` where the pivot language is not a language code, `InputError` for the id file of another one.
    """
    check_id_file(wikidata_id_file, check_language(rule.pivot_language))
    return PivotTitles(read_titles(wikidata_id_file, qids, counts), rule)


def note_on_match(anchors: Tally) -> list[str]:
    """A line where under half of the links have a title in the pivot language, with the likely reason."""
    no_id, no_title = (anchors.dropped[reason] for reason in (DropReason.NO_QID, DropReason.NO_PIVOT_TITLE))
    matched, found = anchors.read - no_id - no_title, anchors.read - no_id
    if 2 * matched >= anchors.read:
        return []
    if found < _HARDLY * anchors.read:
        reason = "hardly any link has an id: the ids of extract_articles.py were of another wiki or language"
    elif matched < _HARDLY * found:
        reason = "hardly any id has a title: the id file is cut off, or not of the pivot language"
    elif no_id > no_title:
        reason = "most of the others have no id: the ids of extract_articles.py were cut off, or of another date"
    else:
        reason = "most of the others have an id without a title: the id file may be cut off, or of another date"
    return [
        f"note: {matched:,} of {anchors.read:,} links ({matched / anchors.read:.1%}) found a name by an id; {reason}"
    ]
