"""WikiExtractor: runs the command so that its output is complete or not there, and reads back what it wrote.

WikiExtractor 3.1.0 left to itself waits forever when one of its processes dies (a dump that breaks off, a full disk,
lack of memory, half of a surrogate pair in an article), or ends with exit code 0 and pages missing; killed, it leaves
processes behind that still write. Here it is fed with the pages of a dump that is decompressed and checked on all
cores, its processes end with this one, the death of one of them ends the step, and the articles are counted at the end.

A file that it writes holds documents: a line `<doc id= url= title=>`, the title, a blank line, the text with
`<a href="...">` for each link, a line `</doc>`. Nothing is escaped, so text that looks like a tag or an entity is read
as HTML too; what that means is what BeautifulSoup with Python's html.parser makes of it (as in the published
implementation). Almost every document holds plain links only, and those are split by one regular expression; the others
go to `leia.corpus.markup`.
"""

import errno
import html
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import IO

import psutil

from leia.base.errors import InputError
from leia.base.step import Counts
from leia.corpus.dump_parts import name_of
from leia.corpus.dumps import DUMP_END, EXPECTED_PAGES_DUMP, read_pages
from leia.corpus.linked_text import SPACES, LinkedText
from leia.corpus.markup import ENTITIES, split_links_of_any_markup


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
_EMPTY = re.compile(r'\n\n</doc>\n(?=<doc id="|\Z)')  # after the title; a text may begin with this line, too
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
            expected = "expected <doc id= url= title=>, title and blank line"
            raise InputError(f"{path}:{line}: {expected}, found {text[position:][:60]!r}; {MADE_BY} makes these files")
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


WIKIEXTRACTOR_OPTIONS = ("--html-safe", "", "--links", "--no-templates")

_FINISHED = re.compile(r"Finished \d+-process extraction of (\d+) articles")
_WRITE_REFUSED = re.compile(rf"\[Errno ({errno.ENOSPC}|{errno.EDQUOT}|{errno.EFBIG})\]")
_REFERENCE = re.compile(rb"amp;#([^\s&;<]{1,40});")  # in the article &#...;
_GUARD = "import os, signal, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), signal.SIGKILL)"
_EXCEPTION = re.compile(r"^[\w.]*(?:[Ee]rror|Exception|Interrupt)\b.*\n", re.MULTILINE)  # where a traceback ends
OUTPUT_FILES = ("[A-Z][A-Z]",)


def extract_articles(
    parts: Sequence[Path], folder: Path, processes: int, counts: Counts, allow_truncated: bool = False
) -> None:
    """Write the articles of the dump in `parts` as WikiExtractor does to `folder`/AA/wiki_00 ...; `counts` gets them.

    Raises `InputError` for a file that is not a dump or breaks off (with `allow_truncated` the pages before the break
    are used), and when a process of WikiExtractor dies; `OSError` when that was for lack of space.
    """
    dump, tally = name_of(parts), counts.count("articles")
    dispatched = _run_wikiextractor(dump, read_pages(parts, allow_truncated, tally), folder, processes)
    tally.kept = sum(1 for file in find_files(folder) for _ in read_documents(file))
    if not dispatched:
        raise InputError(f"{dump}: holds no article; expected {EXPECTED_PAGES_DUMP}")
    if tally.kept < dispatched:
        raise InputError(f"{dump}: WikiExtractor wrote {tally.kept:,} of {dispatched:,} articles; run it again")


def _run_wikiextractor(dump: str, pages: Iterator[bytes], folder: Path, processes: int) -> int:
    """Run WikiExtractor on `pages` to its end, its warnings passed on; return how many articles it found in them."""
    output = folder.absolute()  # a relative name may begin with a dash
    command = [Path(sys.executable).with_name("wikiextractor"), "/dev/stdin", "-o", output, *WIKIEXTRACTOR_OPTIONS]
    command += ["--processes", str(processes)]
    with tempfile.NamedTemporaryFile("ab") as log, ThreadPoolExecutor(1) as thread:
        with _process_group(command, log) as main:
            feeding = thread.submit(_feed, pages, main.stdin)
            while main.poll() is None and not any(map(_ended_badly, psutil.Process(main.pid).children(recursive=True))):
                # The main process, too, may wait for the others after it has failed.
                failed = _EXCEPTION.search(Path(log.name).read_text("utf-8", "replace"))
                if failed or (feeding.done() and feeding.exception()):
                    break
                time.sleep(0.1)
        feeding.result()
        text = Path(log.name).read_text("utf-8", "replace")
    exception, finished = _EXCEPTION.search(text), _FINISHED.search(text)
    if exception or not finished:
        reason = exception[0].strip() if exception else "killed, perhaps for lack of memory"
        if refused := _WRITE_REFUSED.search(reason):
            raise OSError(int(refused[1]), os.strerror(int(refused[1])))
        raise InputError(f"{dump}: a process of WikiExtractor died ({reason}); fix that and run it again")
    sys.stderr.writelines(line for line in text.splitlines(keepends=True) if not line.startswith("INFO"))
    return int(finished[1])


def _feed(pages: Iterator[bytes], pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError), pipe:  # WikiExtractor has died, its log says of what
        for block in pages:
            pipe.write(_REFERENCE.sub(_whole_character, block))
        pipe.write(b"\n" + DUMP_END + b"\n")


def _whole_character(reference: re.Match[bytes]) -> bytes:
    """The reference; U+FFFD for one to half of a surrogate pair, as HTML's readers take it: no text can hold it."""
    number = reference[1].decode("utf-8", "replace")
    try:
        code = int(number[1:], 16) if number[0] == "x" else int(number)
    except ValueError:
        return reference[0]
    return b"amp;#xFFFD;" if 0xD800 <= code <= 0xDFFF else reference[0]


@contextmanager
def _process_group(command: list[str | Path], log: IO[bytes]) -> Iterator[subprocess.Popen]:
    """Start a command in a process group; all its processes are killed at the end of the block, or of this process."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": log}
    main = subprocess.Popen(command, **streams, start_new_session=True)
    # The guard reads a pipe that only this process holds open, and kills the group when that is closed.
    streams = {"stdin": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    guard = subprocess.Popen([sys.executable, "-c", _GUARD, str(main.pid)], **streams, start_new_session=True)
    try:
        yield main
    finally:
        guard.communicate()
        main.wait()


def _ended_badly(process: psutil.Process) -> bool:
    try:
        state, *_, exit_code = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has gone
        return False
    return state == "Z" and exit_code != "0"  # man proc_pid_stat
