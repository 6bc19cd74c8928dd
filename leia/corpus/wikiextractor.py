"""What WikiExtractor writes (`wikiextractor DUMP -o OUT --html-safe "" --links --no-templates`), read back.

A file holds documents: a line `<doc id= url= title=>`, the title, a blank line, the text with `<a href="...">` for each
link, a line `</doc>`. Nothing is escaped, so text that looks like a tag or an entity is read as HTML too; what that
means is what BeautifulSoup with Python's html.parser makes of it (as in the published implementation). Almost every
document holds plain links only, and those are split by one regular expression; the others go to `leia.corpus.markup`.
"""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from leia.corpus.linked_text import SPACES, LinkedText
from leia.corpus.markup import ENTITIES, split_links_of_any_markup
from leia.errors import InputError


@dataclass(frozen=True, slots=True)
class Document:
    """One `<doc>`: `title`, `language` (the first label of its wiki's host) and the text with its markup."""

    title: str
    language: str
    markup: str


MADE_BY = "scripts/run_wikiextractor.py"

# Up to the text. Newer versions of MediaWiki leave quotes in titles as they are, and WikiExtractor escapes nothing.
_HEADER = re.compile(r'<doc id="[^"]*" url="https?://([^/".]+)[^"]*" title="([^\n]*)">\n[^\n]*\n\n')
# With the blank line that WikiExtractor puts before it; a line </doc> of an article's own text has none.
_DOCUMENT_END = "\n\n</doc>\n"
_EMPTY = re.compile(r'\n\n</doc>\n(?=<doc id="|\Z)')  # behind the title; a text may begin with such a line, too
_PLAIN_LINK = re.compile(r'<a href="([^"<>&]*)">([^<]*)</a>')
_TAG = re.compile(r"<[a-zA-Z/!?]")
_ENTITY = re.compile(r"&(?:#|([a-zA-Z][-.a-zA-Z0-9]*)(;?))")
_SPACE_BEHIND_TAG = re.compile(f">[{SPACES}]")


def find_files(folder: str | Path) -> list[Path]:
    """The `wiki_NN` files under `folder`, sorted by path; `InputError` when there are none."""
    files = sorted(path for path in Path(folder).rglob("wiki_*") if path.is_file())
    if not files:
        raise InputError(f"{folder}: holds no files like AA/wiki_00; {MADE_BY} makes them")
    return files


def read_documents(path: Path) -> Iterator[Document]:
    """The documents of one file. Raises `InputError` for a file that is cut off or of another kind."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 at byte {error.start:,}; {MADE_BY} makes these files") from error
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    position = 0
    while position < len(text):
        header = _HEADER.match(text, position)
        if header is None:
            line = text.count("\n", 0, position) + 1
            raise InputError(
                f"{path}:{line}: expected <doc id= url= title=>, title and blank line, "
                f"found {text[position:][:60]!r}; {MADE_BY} makes these files"
            )
        title_end = header.end() - 2
        end = title_end if _EMPTY.match(text, title_end) else text.find(_DOCUMENT_END, header.end())
        if end < 0:
            raise InputError(f"{path}: its last document ({header[2]}) has no </doc>; run WikiExtractor again")
        yield Document(html.unescape(header[2]), header[1], text[header.end() : end + 2])
        position = end + len(_DOCUMENT_END)


def split_links(markup: str) -> LinkedText:
    """The plain text of a document and its links; only a top-level `<a href>` is a link, its text is what it holds."""
    parts = _PLAIN_LINK.split(markup)  # text, href, text of the link, text, href, ...
    hrefs = parts[1::3]
    del parts[1::3]
    if not _is_plain(parts):
        return split_links_of_any_markup(markup)
    if markup[:1] in SPACES or _SPACE_BEHIND_TAG.search(markup):
        parts = [part if part.strip(SPACES) else _one_space(part) for part in parts]
    ends = list(accumulate(map(len, parts)))
    return LinkedText("".join(parts), ends[:-1:2], ends[1::2], hrefs)


def _is_plain(parts: list[str]) -> bool:
    """Whether nothing in `parts`, which stand between and in plain links, means anything but itself in HTML."""
    # Behind each part there stood a tag: "<" ends an entity name there as it did in the markup.
    text = "<".join(parts)
    if "&" in text:
        for name, semicolon in _ENTITY.findall(text):
            if not name or semicolon or name in ENTITIES:
                return False
    return text.count("<") == len(parts) - 1 or not any(map(_TAG.search, parts))


def _one_space(spaces: str) -> str:
    """What BeautifulSoup makes of text that is nothing but white space."""
    return "\n" if "\n" in spaces else spaces and " "
