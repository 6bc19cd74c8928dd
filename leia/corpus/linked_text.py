"""Plain text with links, and how it comes from the elements of HTML as BeautifulSoup has them: an element ends with its
end tag or with that of an outer one, and a run of nothing but white space is one line break or one space."""

import html
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LinkedText:
    """Plain text with its links: link k spans `starts[k]` to `ends[k]` (characters, end exclusive) and leads to
    `hrefs[k]`, as it was written."""

    text: str
    starts: list[int]
    ends: list[int]
    hrefs: list[str]


SPACES = " \n\t\f\r"

# fmt: off
_VOID = frozenset((
    "area", "base", "basefont", "bgsound", "br", "col", "command", "embed", "frame", "hr", "image", "img", "input",
    "isindex", "keygen", "link", "menuitem", "meta", "nextid", "param", "source", "spacer", "track", "wbr",
))
# fmt: on
_PREFORMATTED = ("pre", "textarea")  # their white space stays as it is
_APART = ("rt", "rp", "style", "script", "template")  # their text does not count in another top-level element


class LinkedTextBuilder:
    """Takes tags and text in the order of the markup: the elements that are open, and the text so far."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._pending: list[str] = []  # text since the last tag
        self._open: list[str] = []
        self._count: Counter[str] = Counter()  # of each name in `_open`
        self._apart: list[str] = []  # those of `_open` that are in `_APART`
        self._ended: Counter[str] = Counter()  # void elements whose end tag, should there be one, says nothing
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._hrefs: list[str] = []

    def add_text(self, text: str) -> None:
        """A piece of text; it belongs to one run with the pieces before it until `separate`."""
        if text:
            self._pending.append(text)

    def add_cdata(self, text: str) -> None:
        """A CDATA section: a separate run of text, which counts in every element."""
        self.separate()
        self._put(text, None)

    def separate(self) -> None:
        """End the run of text: white space is judged run by run."""
        if self._pending:
            self._put("".join(self._pending), self._apart[-1] if self._apart else None)
            self._pending.clear()

    def _put(self, text: str, apart: str | None) -> None:
        if not text.strip(SPACES) and not any(self._count[name] for name in _PREFORMATTED):
            text = "\n" if "\n" in text else " "
        outermost = self._open[0] if self._open and self._open[0] in _APART else None
        if apart == outermost:
            self._parts.append(text)
            self._length += len(text)

    def open(self, name: str, href: str | None, closed: bool = False) -> None:
        """A start tag; `closed` when it is its own end. `href` as it stands there, with its quotes."""
        self.separate()
        if not closed and name in _VOID:
            self._ended[name] += 1
            return
        if name == "a" and href is not None and not self._open:
            self._starts.append(self._length)
            self._hrefs.append(html.unescape(href[1:-1] if href[:1] in ("'", '"') else href))
        self._open.append(name)
        self._count[name] += 1
        if name in _APART:
            self._apart.append(name)
        if closed:
            self._close_to(name)

    def close(self, name: str) -> None:
        """An end tag."""
        if self._ended[name]:
            self._ended[name] -= 1
            return
        self.separate()
        if self._count[name]:
            self._close_to(name)

    def _close_to(self, name: str) -> None:
        closed = None
        while closed != name:
            closed = self._open.pop()
            self._count[closed] -= 1
            if closed in _APART:
                self._apart.pop()
        if len(self._ends) < len(self._starts) and not self._open:
            self._ends.append(self._length)

    def finish(self) -> LinkedText:
        """The text with its links, after all of the markup."""
        self.separate()
        if len(self._ends) < len(self._starts):
            self._ends.append(self._length)
        return LinkedText("".join(self._parts), self._starts, self._ends, self._hrefs)
