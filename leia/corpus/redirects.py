"""Redirects of a Wikipedia: from a pages-articles dump to `title<TAB>target`, every chain followed to its end.

A redirect page carries `<redirect title="target" />`. In XML a `<` in text is written `&lt;`, so the bytes `<redirect`
stand nowhere else. A redirect page in any other layout than the usual is parsed as XML.

A title has one page. A dump that was written while a page was moved can hold a redirect under the title of an article;
the article counts, and the redirect is left out.
"""

import html
import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from xxhash import xxh3_64_intdigest

from leia.base.errors import DropReason, InputError
from leia.base.step import Counts
from leia.corpus.dump_parts import name_of
from leia.corpus.dumps import PAGE_END, read_pages
from leia.corpus.id_files import REDIRECTS_MADE_BY, read_rows
from leia.corpus.siteinfo import Wiki, read_wiki
from leia.corpus.titles import normalize_title

# The layout that MediaWiki writes, with no character reference but those that its exporter uses.
_PLAIN_TEXT = rb'((?:[^<>"&\n\r\t]|&(?:amp|lt|gt|quot|#039);)*)'
_USUAL_PAGE = re.compile(
    rb"<page>\s*<title>" + _PLAIN_TEXT + rb"</title>\s*(?:<ns>(-?\d+)</ns>\s*)?<id>\d+</id>\s*"
    rb'(?:<redirect title="' + _PLAIN_TEXT + rb'" ?/>)?'
)
_TITLE = re.compile(rb"<title>([^<]*)</title>\s*(?:<ns>(-?\d+)</ns>)?")
_MAIN_NAMESPACE = (b"0", b"")  # dumps of before 2012 name none; there all titles are taken for such


def read_redirects(parts: Sequence[Path], counts: Counts, allow_truncated: bool = False) -> dict[str, str]:
    """Read a dump of pages, given as its `parts`, into `{title: target}`, in the order of the dump, chains followed.

    Titles are as in the dump, targets normalised. A title that an article has, too, and one whose chain runs into a
    cycle are left out. `counts` gets the pages. Raises `InputError` for a file that is not a dump or breaks off; with
    `allow_truncated` what stands before the break is used, and the tally says so.
    """
    tally = counts.count("pages")
    direct: dict[str, str] = {}
    own_titles = _TitleSet()
    normalize: Callable[[str], str] = str
    pages = found = 0
    for block in read_pages(parts, allow_truncated, tally):
        if not pages:
            normalize = _normalizer(read_wiki(block.partition(b"<page>")[0].decode("utf-8", "replace")))
        pages += block.count(PAGE_END)
        for title, target in _pages_in(block, name_of(parts)):
            if target:
                direct[title] = normalize(target)
                found += 1
            else:
                own_titles.add(normalize(title))
    tally.drop(DropReason.NOT_A_REDIRECT, pages - found)
    tally.drop(DropReason.SAME_TITLE_LATER, found - len(direct))
    with_page = [title for title, has in zip(direct, own_titles.hold(map(normalize, direct)), strict=True) if has]
    for title in with_page:
        del direct[title]
    tally.drop(DropReason.OWN_PAGE, len(with_page))
    redirects = follow_chains(direct, normalize)
    tally.kept = len(redirects)
    tally.drop(DropReason.REDIRECT_CYCLE, len(direct) - len(redirects))
    return redirects


def _normalizer(wiki: Wiki) -> Callable[[str], str]:
    """Writes a title as the wiki does."""
    if wiki.first_letter:
        return partial(normalize_title, language=wiki.language)
    return lambda title: title.replace("_", " ")


def follow_chains(direct: dict[str, str], normalize: Callable[[str], str]) -> dict[str, str]:
    """`{title: last target}` in the order of `direct`, whose targets are normalised; titles whose chain runs into a
    cycle are left out."""
    by_title = {normalize(title): target for title, target in direct.items()}
    followed = {}
    for title, target in direct.items():
        seen = {normalize(title)}
        while target in by_title and target not in seen:
            seen.add(target)
            target = by_title[target]
        if target not in seen:
            followed[title] = target
    return followed


class _TitleSet:
    """A set of titles that takes 8 bytes each, whatever their length: their 64-bit hashes.

    Of ten million redirects and ten million articles two different titles have one hash once in 200,000 dumps.
    """

    def __init__(self) -> None:
        self._hashes = array("Q")

    def add(self, title: str) -> None:
        self._hashes.append(_hash_of(title))

    def hold(self, titles: Iterable[str]) -> list[bool]:
        """For each of `titles` whether it is in the set."""
        import numpy as np

        own = np.sort(np.array(self._hashes, np.uint64))
        asked = np.fromiter(map(_hash_of, titles), np.uint64)
        return (np.searchsorted(own, asked, "right") > np.searchsorted(own, asked)).tolist()


def _hash_of(title: str) -> int:
    return xxh3_64_intdigest(title.encode())


def _pages_in(block: bytes, dump: str) -> Iterator[tuple[str, str]]:
    """`(title, target)` of each redirect page in a block of whole pages, `(title, "")` of each other page of the main
    namespace."""
    usual = _USUAL_PAGE.findall(block)
    redirects = sum(1 for _, _, target in usual if target)
    if len(usual) == block.count(PAGE_END) and redirects == block.count(b"<redirect"):
        for title, namespace, target in usual:
            if target:
                yield _text(title, dump), _text(target, dump)
            elif namespace in _MAIN_NAMESPACE:
                yield _text(title, dump, "replace"), ""
        return
    for page in block.split(PAGE_END):
        if b"<redirect" in page:
            yield from _parse_redirect(page[page.find(b"<page") :] + PAGE_END, dump)
        elif (found := _TITLE.search(page)) and (found[2] or b"") in _MAIN_NAMESPACE:
            yield _text(found[1], dump, "replace"), ""


def _text(escaped: bytes, dump: str, errors: str = "strict") -> str:
    try:
        return html.unescape(escaped.decode("utf-8", errors))
    except UnicodeDecodeError as error:
        found = f"holds a title that is not UTF-8 ({escaped!r})"
        raise InputError(f"{dump}: {found}; download it again") from error


def _parse_redirect(page: bytes, dump: str) -> Iterator[tuple[str, str]]:
    try:
        tree = ElementTree.fromstring(page)
    except ElementTree.ParseError as error:
        raise InputError(f"{dump}: holds a page that is not XML ({error}): {page[:80]!r}; download it again") from error
    title, redirect = tree.findtext("title"), tree.find("redirect")
    if title and redirect is not None and redirect.get("title"):
        yield title, redirect.attrib["title"]


def read_redirect_file(path: str | Path, normalize: Callable[[str], str]) -> dict[str, str]:
    """Read what `write_redirects` wrote into `{title: target}`, titles as `normalize` writes them."""
    rows = read_rows(path, "title<TAB>target", REDIRECTS_MADE_BY)
    return {normalize(title): target for title, target in rows}


def write_redirects(redirects: dict[str, str], path: Path) -> None:
    """Write `title<TAB>target`, one a line, UTF-8."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{title}\t{target}\n" for title, target in redirects.items())
