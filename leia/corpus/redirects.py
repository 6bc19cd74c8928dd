"""Redirects of a Wikipedia: from a pages-articles dump to `title<TAB>target`, every chain followed to its end.

A redirect page carries `<redirect title="target" />`. In XML a `<` in text is written `&lt;`, so the bytes `<redirect`
stand nowhere else and pages without them need not be looked into. A page in any other layout than the usual is parsed
as XML.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from leia.base.errors import DropReason, InputError
from leia.base.step import Counts
from leia.corpus.dump_parts import name_of
from leia.corpus.dumps import PAGE_END, read_pages, unescape
from leia.corpus.id_files import REDIRECTS_MADE_BY, read_rows
from leia.corpus.titles import normalize_title

# The layout that MediaWiki writes, with no character reference but the four that its exporter uses.
_PLAIN_TEXT = rb'((?:[^<>"&\n\r\t]|&(?:amp|lt|gt|quot);)*)'
_USUAL_REDIRECT = re.compile(
    rb"<page>\s*<title>" + _PLAIN_TEXT + rb"</title>\s*(?:<ns>-?\d+</ns>\s*)?<id>\d+</id>\s*"
    rb'<redirect title="' + _PLAIN_TEXT + rb'" ?/>'
)


def read_redirects(parts: Sequence[Path], counts: Counts, allow_truncated: bool = False) -> dict[str, str]:
    """Read a dump of pages, given as its `parts`, into `{title: target}`, in the order of the dump, chains followed.

    Titles are as in the dump, targets normalised. A title whose chain runs into a cycle is left out. `counts` gets the
    pages. Raises `InputError` for a file that is not a dump or breaks off; with `allow_truncated` what stands before
    the break is used, and the tally says so.
    """
    tally = counts.count("pages")
    direct: dict[str, str] = {}
    language, pages = "", 0
    for block in read_pages(parts, allow_truncated, tally):
        if not pages and (named := re.search(rb'<mediawiki[^>]*\sxml:lang="([^"]*)"', block)):
            language = named[1].decode("utf-8", "replace")
        pages += block.count(PAGE_END)
        for title, target in _redirects_in(block, name_of(parts)):
            direct[title] = normalize_title(target, language)
    redirects = follow_chains(direct, language)
    tally.kept = len(redirects)
    tally.drop(DropReason.NOT_A_REDIRECT, pages - len(direct))
    tally.drop(DropReason.REDIRECT_CYCLE, len(direct) - len(redirects))
    return redirects


def follow_chains(direct: dict[str, str], language: str) -> dict[str, str]:
    """`{title: last target}` in the order of `direct`; titles whose chain runs into a cycle are left out."""
    by_title = {normalize_title(title, language): target for title, target in direct.items()}
    followed = {}
    for title, target in direct.items():
        seen = {normalize_title(title, language)}
        while target in by_title and target not in seen:
            seen.add(target)
            target = by_title[target]
        if target not in seen:
            followed[title] = target
    return followed


def _redirects_in(block: bytes, dump: str) -> Iterator[tuple[str, str]]:
    """`(title, target)` of each redirect page in a block of whole pages."""
    usual = _USUAL_REDIRECT.findall(block)
    if len(usual) == block.count(b"<redirect"):
        try:
            decoded = [(title.decode(), target.decode()) for title, target in usual]
        except UnicodeDecodeError as error:
            found = f"holds a title that is not UTF-8 ({error.object!r})"
            raise InputError(f"{dump}: {found}; download it again") from error
        yield from ((unescape(title), unescape(target)) for title, target in decoded)
        return
    for page in block.split(PAGE_END):
        if b"<redirect" in page:
            yield from _parse_redirect(page[page.find(b"<page") :] + PAGE_END, dump)


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
