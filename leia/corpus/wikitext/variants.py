"""Texts in several writings of one language: `-{zh-hans:计算机;zh-hant:電腦}-`, resolved for one of them.

Rules: https://www.mediawiki.org/wiki/Writing_systems/Syntax and MediaWiki's ConverterRule. Only the text of such rules
is chosen: MediaWiki's conversion tables, which change all other words too, are not applied.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from leia.corpus.wikitext.marks import REMOVED

_BRACKETS = re.compile(r"-\{|\}-")
_FLAGS = frozenset("ADHNRST-+")


def resolve_variants(text: str, order: Sequence[str], codes: Sequence[str]) -> str:
    """`text` with each `-{...}-` replaced by what it shows.

    `order`: the codes of variants whose text is taken, the first that a rule has; `codes`: all of the language.
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
        if found[0] == "-{":
            open_at.append(len(parts))
            parts.append("-{")
        elif open_at:
            place = open_at.pop()
            content = "".join(parts[place + 1 :])
            del parts[place:]
            parts.append(reader.read(content))
        else:
            parts.append("}-")
    parts.append(text[position:])
    return "".join(parts)


@lru_cache(maxsize=8)
def _rule_reader(order: tuple[str, ...], codes: tuple[str, ...]) -> "_RuleReader":
    return _RuleReader(order, codes)


class _RuleReader:
    """What the inside of a `-{...}-` shows."""

    def __init__(self, order: Sequence[str], codes: Sequence[str]) -> None:
        code = "|".join(map(re.escape, sorted(codes, key=len, reverse=True)))
        self._order, self._codes = order, frozenset(codes)
        self._next = re.compile(rf";\s*(?=(?:{code})\s*:|[^;:]*?=>\s*(?:{code})\s*:|\s*\Z)")
        self._rule = re.compile(rf"\s*(?:(.*?)\s*=>\s*)?({code})\s*:(.*)", re.DOTALL)

    def read(self, content: str) -> str:
        before, pipe, rest = content.partition("|")
        flags = {flag.strip() for flag in before.split(";")} - {""} if pipe else set()
        if flags - _FLAGS - self._codes:  # the pipe is part of the text
            flags, rest = set(), content
        elif not pipe:
            rest = content
        if "R" in flags:
            return rest
        if flags & {"N", "-", "T", "H"} or ("D" in flags):
            return REMOVED
        return self._text(rest)

    def _text(self, rules: str) -> str:
        """The text of the first variant in the order; all of it where it is no list of rules."""
        texts: dict[str, str] = {}
        converted: dict[str, str] = {}
        for part in self._next.split(rules):
            if not part.strip():
                continue
            rule = self._rule.fullmatch(part)
            if rule is None:
                return rules
            target = texts if rule[1] is None else converted
            target.setdefault(rule[2], rule[3].strip())
        for found in (texts, converted):
            for code in self._order:
                if code in found:
                    return found[code] or REMOVED
        return rules if not texts and not converted else REMOVED
