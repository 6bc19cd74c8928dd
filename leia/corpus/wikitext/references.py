"""Character references in wikitext: `&lt;`, `&#60;`, `&#x3C;`."""

import html.entities
import re

_REFERENCE = re.compile(r"&(?:#([0-9]+)|#[xX]([0-9a-fA-F]+)|([A-Za-z][A-Za-z0-9]*));")


def decode_references(text: str) -> str:
    """`text` with the characters for `&lt;`, `&#60;` and `&#x3C;`; what names no character of a text stays."""
    return _REFERENCE.sub(_character, text) if "&" in text else text


def _character(reference: re.Match[str]) -> str:
    if reference[3]:
        return html.entities.html5.get(f"{reference[3]};", reference[0])
    digits = (reference[1] or reference[2]).lstrip("0")[:8]
    code = int(digits or "0", 10 if reference[1] else 16)
    is_text = code in (9, 10, 13) or 0x20 <= code < 0x7F or 0xA0 <= code < 0xD800 or 0xE000 <= code <= 0x10FFFF
    return chr(code) if is_text and code not in (0xFFFE, 0xFFFF) else reference[0]
