"""Reads a dump of any size as blocks of whole pages or lines: bzip2 (multistream or not), gzip or plain.

bzip2 is decompressed on all cores by rapidgzip, which checks each block's checksum before it gives the block out. A
file that breaks off or is corrupt gives every byte before the break, then `BrokenDump` says where that was. A file of
another kind is refused, and the error says what it is.

The pages of a Wikipedia dump (https://www.mediawiki.org/wiki/Help:Export) come as text of whole `<page>` elements, from
one file or from the parts of a dump one after the other.
"""

import gzip
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO

from leia.base.cli import progress
from leia.base.errors import InputError, UsageError
from leia.base.pool import available_cores
from leia.base.step import Tally
from leia.corpus.dump_parts import files_of
from leia.corpus.file_kinds import refusal
from leia.corpus.titles import site_of_language

_CHUNK_BYTES = 1 << 22


class BrokenDump(InputError):
    """The dump breaks off or is corrupt; everything before the break has been given out."""


def accept_break(
    error: BrokenDump, path: Path, allow_truncated: bool, tally: Tally, last_used: str = "", part: str = ""
) -> None:
    """What a reader does at a break: count it where `allow_truncated`, else raise `InputError`.

    `last_used` says what stands last before the break, `part` which part of a dump broke off.
    """
    if not allow_truncated:
        where = f"{error}; {last_used}" if last_used else str(error)
        raise InputError(f"{where}; download it again, or use what is there with --allow_truncated") from error
    where = f" of {part}" if part else ""
    tally.drop(f"all after the break{where}: {str(error).removeprefix(f'{path}: ')}")


def start_of_dump(path: str | Path) -> bytes:
    """The first 64 KB of the decompressed contents, or as much of them as there is before a break."""
    size = 1 << 16
    with _open(Path(path)) as stream:
        reader = getattr(stream, "raw", stream)
        while size:
            try:
                reader.seek(0)
                return reader.read(size)
            except (RuntimeError, ValueError, EOFError, gzip.BadGzipFile, zlib.error):
                size //= 4  # as in `_read_chunks`
    return b""


def read_blocks(
    path: str | Path, delimiter: bytes, looks_right: Callable[[bytes], bool], expected: str
) -> Iterator[bytes]:
    """Yield the decompressed contents in blocks of some MB that end with `delimiter`; the last holds the rest.

    `looks_right` is asked about the first bytes, 4 MiB at most; where it says no, the file is another one than the
    `expected`. A progress bar shows the position in the (compressed) file.
    Raises `InputError` for an empty or a wrong file, `BrokenDump` after the last block for one that breaks off.
    """
    path = Path(path)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; expected {expected}; download it again")
    pending: list[bytes] = []
    first = True
    try:
        for chunk in _read_chunks(path):
            if first and not looks_right(chunk):
                raise refusal(path, chunk, expected)
            first = False
            cut = _end_of_last(delimiter, chunk, pending)
            if cut is None:
                pending.append(chunk)
            else:
                block = b"".join([*pending, chunk[:cut]])
                pending = [chunk[cut:]]  # before the block is given out: a line of 200 MB is held once only
                yield block
    except BrokenDump:
        yield b"".join(pending)
        raise
    yield b"".join(pending)


def _end_of_last(delimiter: bytes, chunk: bytes, pending: list[bytes]) -> int | None:
    """Position in `chunk` after the last `delimiter` that ends in it; the delimiter may have begun in `pending`."""
    found = chunk.rfind(delimiter)
    if found >= 0:
        return found + len(delimiter)
    reach = len(delimiter) - 1
    seam = b"".join(pending[-reach:])[-reach:] if reach else b""
    found = (seam + chunk[:reach]).find(delimiter)
    return found + len(delimiter) - len(seam) if found >= 0 else None


def _read_chunks(path: Path) -> Iterator[bytes]:
    with _open(path) as stream, progress(path.name, total=path.stat().st_size) as bar:
        # The raw stream below the buffer: after a failed read it can be asked again for less.
        reader = getattr(stream, "raw", stream)
        size, text_bytes, reason = _CHUNK_BYTES, 0, ""
        while size:
            try:
                if reason:
                    reader.seek(text_bytes)
                while chunk := reader.read(size):
                    text_bytes += len(chunk)
                    bar.update(max(0, _position(stream) - bar.n))
                    yield chunk
                break
            except (gzip.BadGzipFile, zlib.error) as error:
                # gzip checks at its end only, so nothing that was read can be trusted.
                raise InputError(f"{path}: is corrupt ({error}); download it again") from error
            except (RuntimeError, ValueError, EOFError) as error:
                reason = reason or " ".join(str(error).split())
                size //= 4  # down to 1, so that the last byte before the break is given out, too
        if reason:
            reason = reason.replace("std::exception", "the compressed data end or are damaged")
            raise BrokenDump(
                f"{path}: breaks off or is corrupt near byte {_position(stream):,} of {path.stat().st_size:,}, "
                f"after {text_bytes:,} bytes of text ({reason})"
            )
        bar.update(bar.total - bar.n)


def _open(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        magic = file.read(3)
    if magic == b"BZh":
        import rapidgzip

        # Two threads at least: rapidgzip's serial decoder gives a block out before it has checked it.
        # An open file, not its name: a name that is not UTF-8 would not get through.
        return rapidgzip.IndexedBzip2File(path.open("rb"), parallelization=max(2, available_cores()))
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")
    return path.open("rb")


def _position(stream: IO[bytes]) -> int:
    """How many bytes of the file have been used."""
    if isinstance(stream, gzip.GzipFile):
        return stream.fileobj.tell()
    if not hasattr(stream, "tell_compressed"):
        return stream.tell()
    try:
        return stream.tell_compressed() // 8  # rapidgzip counts bits
    except IndexError:  # not one block has been decompressed
        return 0


EXPECTED_PAGES_DUMP = "a Wikipedia dump like jawiki-20230701-pages-articles-multistream.xml.bz2"

PAGE_END = b"</page>"
DUMP_END = b"</mediawiki>"

_TITLE = re.compile(rb"<title>([^<]*)</title>")
_REVISION = b"<revision>"


def read_pages(parts: Sequence[Path], allow_truncated: bool, tally: Tally) -> Iterator[bytes]:
    """Yield the pages of a dump, given as its `parts`, as of one file: blocks that end with `PAGE_END`, the first of
    which begins with the head of the dump. The heads of the further parts are left out.

    Raises `InputError` for a file that is not a dump, is one of another wiki or of all revisions, or breaks off; with
    `allow_truncated` the pages before the break are yielded, and `tally` says that there was one.
    """
    _refuse_another_wiki(parts)
    begun = False
    for path in parts:
        for number, block in enumerate(_read_part(path, allow_truncated, tally, len(parts) > 1)):
            yield block[block.find(b"<page>") :] if begun and not number else block
            begun = True


def _read_part(path: Path, allow_truncated: bool, tally: Tally, one_of_several: bool) -> Iterator[bytes]:
    pages, last_title, block = 0, "", b""
    try:
        for block in read_blocks(path, PAGE_END, lambda start: _begins_a_dump(start, path), EXPECTED_PAGES_DUMP):
            if not block.endswith(PAGE_END):  # what follows the last page, or a page that broke off
                continue
            pages += _count_pages(block, path)
            if titles := _TITLE.findall(block, block.rfind(b"<page>")):
                last_title = unescape(titles[0].decode("utf-8", "replace"))
            yield block
        if DUMP_END not in block:
            raise BrokenDump(f"{path}: ends without </mediawiki>, as a download that broke off does")
    except BrokenDump as error:
        last_used = f"the last of its {pages:,} complete pages is {last_title!r}" if pages else "no page is complete"
        accept_break(error, path, allow_truncated, tally, last_used, path.name if one_of_several else "")


def _begins_a_dump(start: bytes, path: Path) -> bool:
    _count_pages(start, path)  # a page of a history dump may be larger than the memory
    return is_wikipedia_dump(start)


def _count_pages(text: bytes, path: Path) -> int:
    """The number of pages that end in `text`. Raises `InputError` where one has several revisions.

    In the text of a page no tag can stand, its `<` is escaped.
    """
    pages = text.count(PAGE_END)
    if text.count(_REVISION) > pages:
        for page in text.split(PAGE_END):
            if page.count(_REVISION) > 1:
                title = unescape(b"".join(_TITLE.findall(page)).decode("utf-8", "replace"))
                found = f"found several revisions of the page {title!r}, as in a history dump"
                raise InputError(f"{path}: expected {EXPECTED_PAGES_DUMP}, {found}; download pages-articles instead")
    return pages


def _refuse_another_wiki(parts: Sequence[Path]) -> None:
    """Raise `InputError` where a part is of another wiki than the first one, by their heads."""
    wikis = [(path, wiki) for path in parts if len(parts) > 1 and (wiki := wiki_of(start_of_dump(path)))]
    for path, wiki in wikis:
        if wiki != wikis[0][1]:
            expected = f"expected a part of {wikis[0][1]} as {wikis[0][0].name} is"
            raise InputError(f"{path}: {expected}, found one of {wiki}; give the parts of one wiki")


def is_wikipedia_dump(start: bytes) -> bool:
    """Whether these are the first bytes of a dump of pages."""
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").startswith((b"<mediawiki", b"<?xml")) and b"<mediawiki" in start


def wiki_of(start: bytes) -> str:
    """The name of the wiki, like jawiki, by the first bytes of its dump; empty where they do not tell it."""
    named = re.search(rb"<dbname>([a-z0-9_]+)</dbname>", start)
    return named[1].decode() if named else ""


def check_wikipedia_dump(path: Path, language: str) -> None:
    """Raise `UsageError` when a file, or one in a folder, is not a dump of pages, or is one of another Wikipedia than
    `language`'s."""
    for part in files_of([path]):
        start, expected = start_of_dump(part), site_of_language(language)
        if start and not is_wikipedia_dump(start):
            raise UsageError(str(refusal(part, start, EXPECTED_PAGES_DUMP)))
        if (wiki := wiki_of(start)) not in ("", expected):
            raise UsageError(f"{part}: expected a dump of {expected}, found one of {wiki}; check the language")


def unescape(text: str) -> str:
    """`text` of a dump, a title or wikitext, with the characters that MediaWiki's exporter writes as references."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
