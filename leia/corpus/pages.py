"""The pages of a Wikipedia dump (https://www.mediawiki.org/wiki/Help:Export), as text of whole `<page>` elements."""

import re
from collections.abc import Iterator
from pathlib import Path

from leia.corpus.dumps import BrokenDump, accept_break, read_blocks
from leia.manifest import Tally

EXPECTED_DUMP = "a Wikipedia dump like jawiki-20230701-pages-articles-multistream.xml.bz2"

PAGE_END = b"</page>"
DUMP_END = b"</mediawiki>"

_TITLE = re.compile(rb"<title>([^<]*)</title>")


def read_pages(path: Path, allow_truncated: bool, tally: Tally) -> Iterator[bytes]:
    """Yield blocks that end with `PAGE_END`, the first of which begins with the head of the dump.

    Raises `InputError` for a file that is no dump or breaks off; with `allow_truncated` the pages before the break are
    yielded, and `tally` says that there was one.
    """
    pages, last_title, block = 0, "", b""
    try:
        for block in read_blocks(path, PAGE_END, is_wikipedia_dump, EXPECTED_DUMP):
            if not block.endswith(PAGE_END):  # what stands behind the last page, or a page that broke off
                continue
            pages += block.count(PAGE_END)
            if titles := _TITLE.findall(block, block.rfind(b"<page>")):
                last_title = unescape(titles[0].decode("utf-8", "replace"))
            yield block
        if DUMP_END not in block:
            raise BrokenDump(f"{path}: ends without </mediawiki>, as a download that broke off does")
    except BrokenDump as error:
        last_used = f"the last of its {pages:,} complete pages is {last_title!r}" if pages else "no page is complete"
        accept_break(error, path, allow_truncated, tally, last_used)


def is_wikipedia_dump(start: bytes) -> bool:
    """Whether these are the first bytes of a dump of pages."""
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"<mediawiki", b"<?xml")) and b"<mediawiki" in start


def unescape(text: str) -> str:
    """The characters of a title that MediaWiki's exporter writes as references."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
