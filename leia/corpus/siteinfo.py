"""What a dump says about its wiki: the `<siteinfo>` at its head (https://www.mediawiki.org/wiki/Help:Export)."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from leia.corpus.languages import namespace_names
from leia.corpus.titles import clean_spaces

MAIN, FILE, CATEGORY = 0, 6, 14
"""Numbers of namespaces, the same in every wiki."""

_NAMESPACE = re.compile(r'<namespace key="(-?\d+)"[^>]*>([^<]*)</namespace>')


@dataclass(frozen=True)
class Wiki:
    """A wiki as its dump describes it.

    `site` is its code in Wikidata (`jawiki`), `language` the first label of its host (`ja`). `first_letter`: titles
    begin with a capital whatever is written. `namespaces` are numbers by lower-case names, those of the main namespace
    left out.
    """

    site: str
    language: str
    first_letter: bool = True
    namespaces: Mapping[str, int] = field(default_factory=dict)


def read_wiki(head: str) -> Wiki:
    """The wiki of a dump that begins with `head`; without a siteinfo what the language alone tells."""
    head = head.partition("<page>")[0]
    site = _element(head, "dbname")
    host = re.match(r"https?://([a-z0-9-]+)\.", _element(head, "base"))
    declared = re.search(r'<mediawiki[^>]*\sxml:lang="([^"]*)"', head)
    language = host[1] if host else declared[1] if declared else site.removesuffix("wiki").replace("_", "-")
    own = {clean_spaces(html.unescape(name)).lower(): int(key) for key, name in _NAMESPACE.findall(head)}
    return Wiki(
        site=site or language.replace("-", "_") + "wiki",
        language=language,
        first_letter=_element(head, "case") != "case-sensitive",
        namespaces=namespace_names(language) | own,
    )


def _element(head: str, name: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", head)
    return found[1] if found else ""
