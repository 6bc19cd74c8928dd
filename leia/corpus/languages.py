"""What reading wikitext depends on in each language of Wikipedia: facts of MediaWiki's messages, in `languages.json`.

A language is named by the code in its Wikipedia's host; `languages.json` says what its keys mean.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any


@cache
def _facts() -> dict[str, Any]:
    return json.loads((Path(__file__).parent / "languages.json").read_text(encoding="utf-8"))


def _of(language: str, key: str) -> Any:
    """The value of `key` for a language; what holds in every wiki where it has none of its own."""
    everywhere = _facts()["all"].get(key)
    return _facts().get(language, {}).get(key, everywhere)


def link_trail(language: str) -> str:
    """A regular expression of the letters that belong to a link when they follow it; empty where none do."""
    return _of(language, "link_trail")


def namespace_names(language: str) -> dict[str, int]:
    """Numbers of namespaces by their names and aliases, in lower case: those of every wiki and of the language."""
    return _facts()["all"]["namespaces"] | _of(language, "namespaces")


@cache
def switches(language: str) -> re.Pattern[str]:
    """The behaviour switches (`__NOTOC__`), in English and in the language."""
    known: dict[str, set[str]] = {"any_case": set(), "exact": set()}
    own = _of(language, "switches")
    while own is not None:
        for kind, names in known.items():
            names.update(own.get(kind, ()))
        own = _of(own["like"], "switches") if "like" in own else None
    for kind, names in known.items():
        names.update(_facts()["all"]["switches"][kind])
    longest_first = {kind: sorted(names, key=lambda name: (-len(name), name)) for kind, names in known.items()}
    any_case, exact = ("|".join(map(re.escape, names)) for names in longest_first.values())
    return re.compile(f"(?i:{any_case})|{exact}")


def variants(language: str) -> dict[str, list[str]]:
    """The variants of writing of a language: each with those whose text is taken for it, first to last."""
    return _of(language, "variants") or {}


def is_language(code: str) -> bool:
    """Whether there is a Wikipedia of this language, or the code stands for an invented one (qaa to qtz)."""
    return code in _facts().keys() - {"about", "all", "interwiki"} or re.fullmatch("q[a-t][a-z]", code) is not None


def is_language_code(prefix: str) -> bool:
    """Whether `prefix:` leads to a Wikipedia of another language."""
    return prefix in _prefixes("languages")


def is_other_project(prefix: str) -> bool:
    """Whether `prefix:` leads to another site than Wikipedia."""
    return prefix in _prefixes("others")


@cache
def _prefixes(kind: str) -> frozenset[str]:
    return frozenset(_facts()["interwiki"][kind])
