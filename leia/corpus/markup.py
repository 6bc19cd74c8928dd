"""HTML of any kind to plain text and links, in time that grows with its length, whatever it holds.

The meaning of markup is what BeautifulSoup makes of it with the html.parser of Python 3.11.7, as in the published
implementation (`benchmarks.beautifulsoup`, which the tests compare with): what is never finished is text, an
element ends with its end tag or with that of an outer one, white space between tags is one line break or one space.
html.parser itself is not used. It looks for the end of unfinished tags and comments again and again, and what it makes
of them differs between patch versions of Python: the newer ones drop all that follows.
"""

import html
import html.entities
import re
import sys

from leia.corpus.linked_text import LinkedText, LinkedTextBuilder

ENTITIES = {name.rstrip(";"): text for name, text in html.entities.html5.items()}

_RAW_ELEMENTS = ("script", "style")  # what stands in them is text, not markup

_INTERESTING = re.compile("[&<]")
_TAG = re.compile(r"<([a-zA-Z][^\t\n\r\f />\0]*)(?:\s|/(?!>))*")
_ATTRIBUTE = re.compile(
    r"""(?<=['"\s/])([^\s/>][^\s/=>]*)
        (?:\s*=+\s*('[^']*'|"[^"]*"|(?!['"])[^\s>]*))?
        (?:\s|/(?!>))*""",
    re.VERBOSE,
)
_END_TAG = re.compile(r"</\s*([a-zA-Z][-.:_a-zA-Z0-9]*)\s*>")
_END_TAG_WITH_MORE = re.compile(r"</([a-zA-Z][^\t\n\r\f />\0]*)")
_NUMBER = re.compile(r"&#(?:([0-9]+)|[xX]([0-9a-fA-F]+))(?:;|(?=[^0-9a-fA-F]))")
_NAME = re.compile(r"&([a-zA-Z][-.a-zA-Z0-9]*)(?:;|(?=[^a-zA-Z0-9]))")
_COMMENT_END = re.compile(r"--\s*>")
_SECTION = re.compile(r"<!\[([a-zA-Z][-_.a-zA-Z0-9]*)\s*")
_SECTION_ENDS = {
    **dict.fromkeys(("temp", "cdata", "ignore", "include", "rcdata"), re.compile(r"\]\s*\]\s*>")),
    **dict.fromkeys(("if", "else", "endif"), re.compile(r"\]\s*>")),
}


def split_links_of_any_markup(markup: str) -> LinkedText:
    """The plain text of `markup` and its links; only a top-level `<a href>` is a link, its text is what it holds."""
    try:
        return _Reader(markup).read()
    except _NoSection:
        return _Reader(markup.replace("<![", "&lt;![")).read()


class _NoSection(Exception):
    """There is a `<![` that opens no marked section."""


class _Reader:
    """Reads `markup` once. The methods `_read_...` read what stands at a position and return the position after it,
    None for what is never finished."""

    def __init__(self, markup: str) -> None:
        self._markup = markup
        self._text = LinkedTextBuilder()
        self._last_bracket = markup.rfind(">")
        # What was looked for in vain once is not looked for again: attributes from which on a tag is unfinished, and
        # ends of comments and sections.
        self._hopeless: set[int] = set()
        self._absent: set[re.Pattern[str]] = set()
        # A parser that is fed piece by piece hopes for more when it comes to something unfinished, once.
        self._hopes_for_more = True

    def read(self) -> LinkedText:
        markup, position = self._markup, 0
        while found := _INTERESTING.search(markup, position):
            start = found.start()
            self._text.add_text(markup[position:start])
            after = self._read_markup(start) if markup[start] == "<" else self._read_reference(start)
            if after is None:
                self._hopes_for_more = False
                after = self._end_of_unfinished(start)
                self._text.add_text(markup[start:after])
            position = after
        self._text.add_text(markup[position:])
        return self._text.finish()

    def _end_of_unfinished(self, start: int) -> int:
        """Where the text ends that is all which is left of something unfinished."""
        if self._markup[start] == "&":
            return len(self._markup)
        if start < self._last_bracket:
            return self._markup.find(">", start) + 1
        following = self._markup.find("<", start + 1)
        return following if following >= 0 else start + 1

    def _read_markup(self, start: int) -> int | None:
        markup = self._markup
        if markup[start + 1 : start + 2].isascii() and markup[start + 1 : start + 2].isalpha():
            return self._read_tag(start)
        if markup.startswith("</", start):
            return self._read_end_tag(start)
        if markup.startswith("<!--", start):
            return self._read_comment(start)
        if markup.startswith("<![", start):
            return self._read_section(start)
        if markup.startswith(("<!", "<?"), start):
            return self._read_to_bracket(start)
        self._text.add_text("<")
        return start + 1

    def _read_tag(self, start: int) -> int | None:
        markup = self._markup
        tag = _TAG.match(markup, start)
        name, position, href = tag[1].lower(), tag.end(), None
        passed = []
        while attribute := None if position in self._hopeless else _ATTRIBUTE.match(markup, position):
            if attribute[1].lower() == "href":
                href = attribute[2] or ""
            passed.append(position)
            position = attribute.end()
        if markup.startswith(">", position):
            self._text.open(name, href)
            return self._read_raw(name, position + 1) if name in _RAW_ELEMENTS else position + 1
        if markup.startswith("/>", position):
            self._text.open(name, href, closed=True)
            return position + 2
        if position == tag.end(1) and markup.startswith("\0", position):
            self._text.add_text(markup[start:position])
            return position
        self._hopeless.update(passed)
        return None

    def _read_raw(self, name: str, start: int) -> int:
        for end in _END_TAG.finditer(self._markup, start):
            if end[1].lower() == name:
                self._text.add_text(self._markup[start : end.start()])
                self._text.close(name)
                return end.end()
        return len(self._markup)  # with nothing to show for it

    def _read_end_tag(self, start: int) -> int | None:
        if tag := _END_TAG.match(self._markup, start):
            self._text.close(tag[1].lower())
            return tag.end()
        if start > self._last_bracket:
            return None
        if tag := _END_TAG_WITH_MORE.match(self._markup, start):
            self._text.close(tag[1].lower())
            return self._markup.find(">", tag.end()) + 1
        if self._markup.startswith("</>", start):
            return start + 3
        return self._read_to_bracket(start)

    def _read_to_bracket(self, start: int) -> int | None:
        """A declaration, a processing instruction, a comment of the kind `</ x>`."""
        if start > self._last_bracket:
            return None
        self._text.separate()
        return self._markup.find(">", start) + 1

    def _read_comment(self, start: int) -> int | None:
        if end := self._find(_COMMENT_END, start + 4):
            self._text.separate()
            return end.end()
        return None

    def _read_section(self, start: int) -> int | None:
        section = _SECTION.match(self._markup, start)
        if (section.end() if section else start + 3) == len(self._markup):
            return None
        if section is None or section[1].lower() not in _SECTION_ENDS:
            raise _NoSection
        end = self._find(_SECTION_ENDS[section[1].lower()], start + 3)
        if end is None:
            return None
        content = self._markup[start + 3 : end.start()]
        if content[:6].upper() == "CDATA[":
            self._text.add_cdata(content[6:])
        else:
            self._text.separate()
        return end.end()

    def _find(self, pattern: re.Pattern[str], start: int) -> re.Match[str] | None:
        found = None if pattern in self._absent else pattern.search(self._markup, start)
        if found is None:
            self._absent.add(pattern)
        return found

    def _read_reference(self, start: int) -> int | None:
        if number := _NUMBER.match(self._markup, start):
            self._text.add_text(_character(number[1], 10) if number[1] else _character(number[2], 16))
            return number.end()
        if name := _NAME.match(self._markup, start):
            self._text.add_text(ENTITIES.get(name[1], f"&{name[1]}"))
            return name.end()
        if self._markup.startswith("&#", start):
            if not self._hopes_for_more or ";" not in self._markup[start:]:
                return None
            self._hopes_for_more = False
            self._text.add_text("&#")
            return start + 2
        self._text.add_text("&")
        return start + 1


def _character(digits: str, base: int) -> str:
    """The character of a numeric reference. Control characters that mean letters of Windows become those letters."""
    digits = digits.lstrip("0")[:8]
    number = int(digits or "0", base)
    if number == 0 or number > sys.maxunicode or 0xD800 <= number < 0xE000:
        return "\ufffd"
    return html.unescape(f"&#{number};") if 0x80 <= number < 0xA0 else chr(number)
