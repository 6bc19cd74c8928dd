"""Names to insert: for a Wikidata id, the title in the pivot language (English), without what stands in brackets.

The build, the link statistics and the preview use this one rule (paper, section 2; the published excluded namespaces).
By option the names are those of a file, or each entity gets the name of another one.
"""

import random
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leia.base.cli import CommaSeparated, setting
from leia.base.errors import DropReason, InputError, UsageError
from leia.base.step import Counts, Tally
from leia.base.text import read_written_pairs
from leia.corpus.id_files import check_id_file, read_titles
from leia.corpus.languages import namespace_names
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
        return cls(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})

    def excludes(self, namespace: str) -> bool:
        """Whether titles in it give no name: by the list, or where it is what one of the list is called in the pivot
        language (`Categoría` for `Category`)."""
        if namespace in self.excluded_namespaces:
            return True
        numbers, english = namespace_names(self.pivot_language), namespace_names("en")
        number = numbers.get(namespace.lower()) if self.pivot_language != "en" else None
        return number is not None and any(number == english.get(name.lower()) for name in self.excluded_namespaces)


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
        if colon and self.rule.excludes(namespace):
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


EntityNames = Mapping[str, str | DropReason]
"""By the key of an entity its name, or the reason why it has none; for others there is none. The key is its Wikidata
id, or `own_name_key` of the name that an article itself gives."""


def own_name_key(name: str) -> str:
    return f"={name}"


def name_or_reason(names: EntityNames, key: str | None) -> str | DropReason:
    return DropReason.NO_QID if key is None else names.get(key, DropReason.NO_PIVOT_TITLE)


def names_of_titles(titles: PivotTitles) -> EntityNames:
    found = ((qid, *titles.name_of(qid)) for qid in titles.by_qid)
    return {qid: reason if name is None else name for qid, name, reason in found}


def read_names_file(path: str | Path, qids: Container[str]) -> EntityNames:
    """The names of `qids` in a file of QID<TAB>name, taken as they are. Raises `InputError`, also for an id that is
    none and for two names of one entity."""
    advice = "write a line for each entity, such as Q3196<TAB>Fire"
    names: dict[str, str] = {}
    for number, qid, name in read_written_pairs(Path(path), "QID", "name", advice):
        if not re.fullmatch(r"Q[1-9][0-9]*", qid):
            raise InputError(f"{path}:{number}: expected a Wikidata id such as Q3196, found {qid[:60]!r}; {advice}")
        if qid in qids and names.setdefault(qid, name) != name:
            raise InputError(f"{path}:{number}: {qid} has the name {names[qid]!r} above; leave one of them out")
    if not names:
        raise InputError(f"{path}: has a name for none of the entities that the articles link to; {advice}")
    return names


def shuffle_names(names: EntityNames, seed: int) -> EntityNames:
    """Every entity with the name of another one: the distinct names in a circle of random order, each name replaced by
    the next. Raises `InputError` where there are not two."""
    distinct = sorted({name for name in names.values() if not isinstance(name, DropReason)})
    if len(distinct) < 2:
        raise InputError("shuffle_names: the entities have fewer than two different names; nothing can be exchanged")
    random.Random(seed).shuffle(distinct)
    following = dict(zip(distinct, [*distinct[1:], distinct[0]], strict=True))
    return {qid: name if isinstance(name, DropReason) else following[name] for qid, name in names.items()}


def rules_of_languages(rule: NameRule, languages: tuple[str, ...]) -> Iterator[NameRule]:
    """The rule of each language. Of several, the prefix of lists is one for each with commas between; the default is of
    English."""
    prefixes = [rule.list_prefix]
    if len(languages) > 1:
        default = rule.list_prefix == NameRule.list_prefix
        prefixes = ["List of" if one == "en" else "" for one in languages] if default else rule.list_prefix.split(",")
    if len(prefixes) != len(languages):
        raise UsageError(
            f"list_prefix is {rule.list_prefix!r}; expected one for each of {','.join(languages)}, with commas between "
            "(nothing between two commas: none)"
        )
    for language, prefix in zip(languages, prefixes, strict=True):
        yield NameRule(language, rule.excluded_namespaces, prefix.strip() if len(languages) > 1 else prefix)


def note_on_match(anchors: Tally, names_file: str | None = None) -> list[str]:
    """A line where under half of the links have a name, from a title in the pivot language or from `names_file`, with
    the likely reason."""
    no_id, no_title = (anchors.dropped[reason] for reason in (DropReason.NO_QID, DropReason.NO_PIVOT_TITLE))
    matched, found = anchors.read - no_id - no_title, anchors.read - no_id
    if 2 * matched >= anchors.read:
        return []
    if found < _HARDLY * anchors.read:
        reason = "hardly any link has an id: the ids of extract_articles.py were of another wiki or language"
    elif names_file is not None:
        reason = f"most ids have none in {names_file}"
    elif matched < _HARDLY * found:
        reason = "hardly any id has a title: the id file is cut off, or not of the pivot language"
    elif no_id > no_title:
        reason = "most of the others have no id: the ids of extract_articles.py were cut off, or of another date"
    else:
        reason = "most of the others have an id without a title: the id file may be cut off, or of another date"
    return [
        f"note: {matched:,} of {anchors.read:,} links ({matched / anchors.read:.1%}) found a name by an id; {reason}"
    ]
