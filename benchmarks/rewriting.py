"""A rewriting of wikitext: one construct that WikiExtractor goes wrong with, written as it does not.

MediaWiki shows both as the same: `[[perro]]s` and `[[perro|perros]]`. If the published way makes of the rewritten text
what our own way makes of the text as it is, then this construct is the reason for the difference, and nothing else is.
`literal` characters stand for those that WikiExtractor would take as markup, GUARD for nothing (`benchmarks.two_ways`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from leia.corpus.siteinfo import Wiki

Rewrite = Callable[[str, Wiki], str]


@dataclass(frozen=True, slots=True)
class Rewriting:
    """`name`, the `rule` of MediaWiki that makes both ways of writing the same, and `apply(wikitext, wiki)`."""

    name: str
    rule: str
    apply: Rewrite


class Rewritings(list[Rewriting]):
    """Rewritings in the order in which they are applied."""

    def reason(self, name: str, rule: str) -> Callable[[Rewrite], Rewrite]:
        """Add the function that is decorated."""

        def add(apply: Rewrite) -> Rewrite:
            self.append(Rewriting(name, rule, apply))
            return apply

        return add

    def pattern(self, name: str, rule: str, pattern: str, write: str | Callable[[re.Match[str]], str]) -> None:
        """Add one that replaces what a pattern finds, whatever the case of its letters."""
        compiled = re.compile(pattern, re.IGNORECASE | re.MULTILINE)
        self.reason(name, rule)(lambda text, wiki: compiled.sub(write, text))
