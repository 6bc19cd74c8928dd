"""Characters that stand for what was already read in wikitext. XML allows none of them, so no dump holds them."""

import re

REMOVED = "\x01"
"""Something that shows nothing stood here: a tag, a note. It parts what stands on its two sides."""
TEMPLATE = "\x06"
"""The same for a template, which may have shown anything."""
LINK_START, LINK_WORDS, LINK_END = "\x02", "\x07", "\x03"
"""Around a link: start, its number, words, end."""
LITERAL_START, LITERAL_END = "\x04", "\x05"
"""Between them stands the number of a piece of text that is shown as it is."""

_ALL = "\0\x01\x02\x03\x04\x05\x06\x07\x08"


def without_marks(text: str) -> str:
    """`text` as it may be read: without the characters that are marks, which a damaged dump may hold."""
    return re.sub(f"[{_ALL}]", "", text) if any(mark in text for mark in _ALL) else text


def without_removed(text: str) -> str:
    """`text` without the marks of what shows nothing."""
    return text.replace(REMOVED, "").replace(TEMPLATE, "")
