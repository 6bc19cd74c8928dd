"""The two ways from the pages of a dump to preprocessed articles: the published one, by WikiExtractor, and our own.

Both give an article as one string in which links have marks: START, title, tab, QID, WORDS, words of the link, END.
"""

import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from pathlib import Path
from xml.sax.saxutils import escape

from leia.base.errors import InputError
from leia.base.step import Counts
from leia.corpus.articles import Page as LinkedPage
from leia.corpus.articles import Pages
from leia.corpus.dumps import DUMP_END, PAGE_END, read_pages, start_of_dump, unescape
from leia.corpus.extraction import Extractor, own_title
from leia.corpus.redirects import read_redirects
from leia.corpus.siteinfo import Wiki, read_wiki
from leia.corpus.titles import normalize_title, title_of_href
from leia.corpus.wikidata import read_sitelinks
from leia.corpus.wikiextractor import extract_articles, find_files, read_documents, split_links
from leia.corpus.wikitext.reading import WikitextReader

START, WORDS, END = "\x02", "\x03", "\x04"

# Characters of Unicode's private plane stand for characters that WikiExtractor should take as text, GUARD for nothing.
_PLANE = 0xF0000
GUARD = chr(_PLANE)
_PUT_BACK = {_PLANE: None} | {_PLANE + code: code for code in range(1, 0x80)}


def literal(text: str) -> str:
    """`text` in characters that mean nothing to WikiExtractor; `Dump.published` puts the real ones in their places."""
    return "".join(chr(_PLANE + ord(character)) if character < "\x80" else character for character in text)


@dataclass(frozen=True, slots=True)
class Source:
    """A page of the dump: `title`, `wikitext`, and the element as it stands there, with the places of both in it."""

    title: str
    wikitext: str
    element: bytes
    title_at: tuple[int, int]
    text_at: tuple[int, int]

    def rewritten(self, title: str, wikitext: str) -> bytes:
        """The element with another title and wikitext."""
        (title_start, title_end), (text_start, text_end) = self.title_at, self.text_at
        before, between, after = self.element[:title_start], self.element[title_end:text_start], self.element[text_end:]
        return b"".join([before, escape(title).encode(), between, escape(wikitext).encode(), after])


class Dump:
    """A dump of pages, held in memory, and what both ways make of it."""

    def __init__(self, parts: Sequence[Path], wikidata_dump: str | None, processes: int, allow_truncated: bool) -> None:
        self.wiki = read_wiki(start_of_dump(parts[0]).decode("utf-8", "replace"))
        self._processes = processes
        elements = [
            element
            for block in read_pages(parts, allow_truncated, Counts().count("pages"))
            for element in block.split(PAGE_END)[:-1]
        ]
        first = elements[0].find(b"<page>")
        self._head, elements[0] = elements[0][:first], elements[0][first:]
        sources = map(_read_source, elements)
        self.sources = {source.title: source for source in sources if source}
        redirects = read_redirects(parts, Counts(), allow_truncated)
        ids = _read_ids(wikidata_dump, self.wiki) if wikidata_dump else {}
        language = self.wiki.language
        self._published_pages = _pages(redirects, ids, lambda title: normalize_title(title, language))
        self._own_pages = _pages(redirects, ids, lambda title: own_title(title, self.wiki))
        self._resolve = lru_cache(maxsize=1 << 18)(self._find)

    def own(self) -> dict[str, str]:
        """The articles of our own way, by their titles."""
        extract = Extractor(self.wiki, WikitextReader(self.wiki), self._own_pages)
        articles = {}
        for title, source in self.sources.items():
            for row in extract([source.element])[0].to_pylist():
                links = [(a["start"], a["end"], _target(a["title"], a["wikidata_id"])) for a in row["anchors"]]
                articles[title] = _marked(row["text"], links)
        return articles

    def published(self, rewritten: Mapping[str, tuple[str, str]] | None = None) -> dict[str, str]:
        """The articles of the published way by their titles, those without links, too; of all pages, or of those that
        are given by their titles with another title and wikitext."""
        if rewritten == {}:
            return {}
        if rewritten is None:
            elements: Iterable[bytes] = (source.element for source in self.sources.values())
        else:
            elements = (self.sources[title].rewritten(*texts) for title, texts in rewritten.items())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pages.xml"
            with path.open("wb") as file:
                file.write(self._head)
                file.writelines(element + PAGE_END + b"\n" for element in elements)
                file.write(DUMP_END + b"\n")
            with redirect_stderr(StringIO()):  # WikiExtractor's warnings, and a progress bar for each of many runs
                try:
                    extract_articles([path], Path(folder), self._processes, Counts())
                except InputError as error:
                    if "holds no article" not in str(error):
                        raise
            documents = (document for file in find_files(folder) for document in read_documents(file))
            return {_put_back(document.title): self._read(document.markup) for document in documents}

    def target(self, title: str) -> str:
        """The page that a link to `title` ends at on our own way, as it stands in an article."""
        return _of_page(self._own_pages.find(title))

    def _read(self, markup: str) -> str:
        linked = split_links(markup)
        links = [
            (start, end, target)
            for start, end, href in zip(linked.starts, linked.ends, linked.hrefs, strict=True)
            if (target := self._resolve(href)) is not None
        ]
        return _put_back(_marked(linked.text, links))

    def _find(self, href: str) -> str | None:
        title, _ = title_of_href(href, self.wiki.language)
        return None if title is None else _of_page(self._published_pages.find(_put_back(title)))


def _read_source(element: bytes) -> Source | None:
    """The page, if it is one of the main namespace with a text; in dumps of before 2012 all pages count as such."""
    element = element[element.find(b"<page>") :]
    revision = element.find(b"<revision>")
    namespace = element.find(b"<ns>", 0, revision)
    if (namespace >= 0 and not element.startswith(b"<ns>0<", namespace)) or b"<redirect" in element[:revision]:
        return None
    title_at = element.find(b"<title>") + 7, element.find(b"</title>")
    text_at = element.find(b">", element.find(b"<text")) + 1, element.rfind(b"</text>")
    if text_at[1] < text_at[0]:
        return None
    title, wikitext = (unescape(element[start:end].decode("utf-8", "replace")) for start, end in (title_at, text_at))
    return Source(title, wikitext, element, title_at, text_at)


def _pages(redirects: Mapping[str, str], ids: Mapping[str, str], normalize: Callable[[str], str]) -> Pages:
    return Pages(*({normalize(title): value for title, value in rows.items()} for rows in (redirects, ids)))


def _read_ids(path: str, wiki: Wiki) -> dict[str, str]:
    batches = read_sitelinks(path, [wiki.site], Counts())
    return dict(row.decode().split("\t") for batch in batches for row in batch[wiki.site])


def _of_page(page: LinkedPage) -> str:
    title, qid = page
    return _target(title.decode(), qid.decode() if qid else None)


def _target(title: str, qid: str | None) -> str:
    return f"{title}\t{qid or ''}"


def _marked(text: str, links: Iterable[tuple[int, int, str]]) -> str:
    parts, position = [], 0
    for start, end, target in links:
        parts += (text[position:start], START, target, WORDS, text[start:end], END)
        position = end
    return "".join([*parts, text[position:]])


def _put_back(text: str) -> str:
    return text.translate(_PUT_BACK)
