"""Texts in several writings of one language: `-{zh-hans:计算机;zh-hant:電腦}-`, resolved for one of them.

Rules: https://www.mediawiki.org/wiki/Writing_systems/Syntax and MediaWiki's ConverterRule. Only the text of such rules
is chosen: MediaWiki's conversion tables, which change all other words too, are not applied.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from leia.base.errors import DropReason
from leia.base.step import Tally
from leia.corpus.wikitext.marks import REMOVED

_BRACKETS = re.compile(r"-\{|\}-")
_LINK_OR_PIPE = re.compile(r"\[\[|\|")
_FLAGS = frozenset("ADHNRST-+")
_SHOW_NOTHING = frozenset("HN-")
_SHOW_NOTHING_ALONE = frozenset("TD")
_MAX_DEPTH = 10  # as in MediaWiki; each level reads again what the inner ones show
_CODES_OF_SCRIPTS = {"sr-cyrl": "sr-ec", "sr-latn": "sr-el"}  # codes of BCP 47 that are not MediaWiki's own


def resolve_variants(text: str, order: Sequence[str], codes: Sequence[str], links: Tally) -> str:
    """`text` with each `-{...}-` replaced by what it shows.

    `order`: the codes of variants whose text is taken, the first that a rule has; `codes`: all of the language.
    `links` counts the `[[` in what is not shown. A mark is left at the ends of each rule: no link has one in its
    target, nor goes its trail beyond one.
    """
    if "-{" not in text:
        return text
    reader = _rule_reader(tuple(order), tuple(codes))
    parts: list[str] = []
    open_at: list[int] = []
    position = 0
    for found in _BRACKETS.finditer(text):
        parts.append(text[position : found.start()])
        position = found.end()
        if found[0] == "-{" and len(open_at) < _MAX_DEPTH:
            open_at.append(len(parts))
            parts.append("-{")
        elif found[0] == "}-" and open_at:
            place = open_at.pop()
            content = "".join(parts[place + 1 :])
            del parts[place:]
            shown = reader.read(content)
            links.drop(DropReason.IN_VARIANT, content.count("[[") - shown.count("[["))
            parts.append(f"{REMOVED}{shown}{REMOVED}")
        else:
            parts.append(found[0])
    parts.append(text[position:])
    return "".join(parts)


@lru_cache(maxsize=8)
def _rule_reader(order: tuple[str, ...], codes: tuple[str, ...]) -> "_RuleReader":
    return _RuleReader(order, codes)


class _RuleReader:
    """What the inside of a `-{...}-` shows."""

    def __init__(self, order: Sequence[str], codes: Sequence[str]) -> None:
        self._order = order
        self._codes = {code: code for code in codes}
        self._codes |= {script: code for script, code in _CODES_OF_SCRIPTS.items() if code in codes}
        written = "|".join(sorted({*self._codes, *map(_as_in_bcp_47, self._codes)}, key=len, reverse=True))
        self._next = re.compile(rf";\s*+(?=(?:{written})\s*:|[^;]*?=>\s*(?:{written})\s*:|\Z)")

    def read(self, content: str) -> str:
        """The text of a rule: `flags|rules`. A pipe in a link is no end of flags; unknown flags say nothing."""
        found = _LINK_OR_PIPE.search(content)
        if found is None or found[0] != "|":
            return self._text(content)
        rules = content[found.end() :]
        flags = {flag.strip() for flag in content[: found.start()].split(";")} & (_FLAGS | self._codes.keys())
        if "R" in flags:
            return rules
        if flags & _SHOW_NOTHING or (flags and flags <= _SHOW_NOTHING_ALONE):
            return ""
        return self._text(rules)

    def _text(self, rules: str) -> str:
        """The text of the first variant in the order, rules for both directions before those for one; all of `rules`
        where one is of no variant, or there are none."""
        both_ways: dict[str, str] = {}
        one_way: dict[str, str] = {}
        for part in self._next.split(rules):
            before, colon, text = part.partition(":")
            if not colon:
                continue
            replaced, arrow, code = before.rpartition("=>")
            variant = self._codes.get(code.strip().lower())
            if variant is None:
                return rules
            if arrow and replaced.strip():
                one_way.setdefault(variant, text.strip())
            elif not arrow and text.strip():
                both_ways.setdefault(variant, text.strip())
        for texts in (both_ways, one_way):
            for code in self._order:
                if code in texts:
                    return texts[code]
        return rules


def _as_in_bcp_47(code: str) -> str:
    """`zh-Hans`, `zh-CN`: a script of four letters, a country of two."""
    language, *more = code.split("-")
    return "-".join([language, *(part.upper() if len(part) == 2 else part.capitalize() for part in more)])
