"""Runs the command `wikiextractor`, so that its output is whole or not there.

WikiExtractor 3.1.0 left to itself waits forever when one of its processes dies (a dump that breaks off, a full disk,
lack of memory, half of a surrogate pair in an article), or ends with exit code 0 and pages missing; killed, it leaves
processes behind that still write. Here it is fed with the pages of a dump that is decompressed and checked on all
cores, its processes end with this one, the death of one of them ends the step, and the articles are counted at the end.
"""

import errno
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO

import psutil

from leia.corpus.pages import DUMP_END, EXPECTED_DUMP, read_pages
from leia.corpus.wikiextractor import find_files, read_documents
from leia.errors import InputError
from leia.manifest import MANIFEST_NAME, InputIdentities, Tally, write_manifest
from leia.outputs import new_folder

WIKIEXTRACTOR_OPTIONS = ("--html-safe", "", "--links", "--no-templates")

_SECONDS_BETWEEN_LOOKS = 0.1
_FINISHED = re.compile(r"Finished \d+-process extraction of (\d+) articles")
_WRITE_REFUSED = re.compile(rf"\[Errno ({errno.ENOSPC}|{errno.EDQUOT}|{errno.EFBIG})\]")
_REFERENCE = re.compile(rb"amp;#([^\s&;<]{1,40});")  # in the article &#...;
_GUARD = "import os, signal, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), signal.SIGKILL)"
_EXCEPTION = re.compile(r"^[\w.]*(?:[Ee]rror|Exception|Interrupt)\b.*\n", re.MULTILINE)  # where a traceback ends
_OUTPUT_FILES = ("[A-Z][A-Z]", MANIFEST_NAME)


def extract_articles(
    dump_file: str | Path, output_dir: str | Path, processes: int, allow_truncated: bool = False
) -> Tally:
    """Write the articles of `dump_file` as WikiExtractor does to `output_dir`/AA/wiki_00 ..., and manifest.json there.

    Raises `InputError` for a file that is no dump or breaks off (with `allow_truncated` the pages before the break are
    used), and when a process of WikiExtractor dies; `OSError` when that was for lack of space.
    """
    dump_file = Path(dump_file)
    tally = Tally("articles")
    with new_folder(output_dir, _OUTPUT_FILES) as folder:
        inputs = InputIdentities([dump_file])
        dispatched = _run_wikiextractor(dump_file, read_pages(dump_file, allow_truncated, tally), folder, processes)
        tally.kept = sum(1 for file in find_files(folder) for _ in read_documents(file))
        if not dispatched:
            raise InputError(f"{dump_file}: holds no article; expected {EXPECTED_DUMP}")
        if tally.kept < dispatched:
            raise InputError(
                f"{dump_file}: WikiExtractor wrote {tally.kept:,} of {dispatched:,} articles; run it again"
            )
        options = {"wikiextractor": version("wikiextractor"), "arguments": WIKIEXTRACTOR_OPTIONS}
        options["allow_truncated"] = allow_truncated
        write_manifest(folder / MANIFEST_NAME, "run_wikiextractor", inputs, options, [tally])
    return tally


def _run_wikiextractor(dump_file: Path, pages: Iterator[bytes], folder: Path, processes: int) -> int:
    """Run WikiExtractor on `pages` to its end, its warnings passed on; return how many articles it found in them."""
    output = folder.absolute()  # a relative name may begin with a dash
    command = [Path(sys.executable).with_name("wikiextractor"), "/dev/stdin", "-o", output, *WIKIEXTRACTOR_OPTIONS]
    arguments = [*map(str, command), "--processes", str(processes)]
    with tempfile.NamedTemporaryFile("ab") as log, ThreadPoolExecutor(1) as thread:
        with _process_group(arguments, log) as main:
            feeding = thread.submit(_feed, pages, main.stdin)
            running = True
            while running:
                time.sleep(_SECONDS_BETWEEN_LOOKS)
                running = main.poll() is None and not any(map(_ended_badly, _children(main.pid)))
                # The main process, too, may wait for the others after it has failed.
                if _EXCEPTION.search(Path(log.name).read_text("utf-8", "replace")):
                    break
                if feeding.done() and feeding.exception() is not None:
                    break
        feeding.result()
        text = Path(log.name).read_text("utf-8", "replace")
    exception, finished = _EXCEPTION.search(text), _FINISHED.search(text)
    if exception or not finished:
        reason = exception[0].strip() if exception else "killed, perhaps for lack of memory"
        refused = _WRITE_REFUSED.search(reason)
        if refused is not None:
            raise OSError(int(refused[1]), os.strerror(int(refused[1])))
        raise InputError(f"{dump_file}: a process of WikiExtractor died ({reason}); mend that and run it again")
    sys.stderr.writelines(line for line in text.splitlines(keepends=True) if not line.startswith("INFO"))
    return int(finished[1])


def _feed(pages: Iterator[bytes], pipe: IO[bytes]) -> None:
    with suppress(BrokenPipeError), pipe:  # WikiExtractor has died, its log says of what
        for block in pages:
            pipe.write(_REFERENCE.sub(_whole_character, block))
        pipe.write(b"\n" + DUMP_END + b"\n")


def _whole_character(reference: re.Match[bytes]) -> bytes:
    """The reference; U+FFFD for one to half of a surrogate pair, as HTML's readers take it: no text can hold such."""
    number = reference[1].decode("utf-8", "replace")
    try:
        code = int(number[1:], 16) if number[0] == "x" else int(number)
    except ValueError:
        return reference[0]
    return b"amp;#xFFFD;" if 0xD800 <= code <= 0xDFFF else reference[0]


@contextmanager
def _process_group(arguments: list[str], log: IO[bytes]) -> Iterator[subprocess.Popen]:
    """Start a command with processes of its own; all are killed at the end of the block, or of this process."""
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL, "stderr": log}
    main = subprocess.Popen(arguments, **streams, start_new_session=True)
    # The guard reads a pipe that only this process holds open, and kills the group when that is closed.
    guard = subprocess.Popen(
        [sys.executable, "-c", _GUARD, str(main.pid)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield main
    finally:
        guard.communicate()
        main.wait()


def _children(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _ended_badly(process: psutil.Process) -> bool:
    try:
        if process.status() != psutil.STATUS_ZOMBIE:
            return False
        return Path(f"/proc/{process.pid}/stat").read_text().split()[-1] != "0"  # the exit code, man proc_pid_stat
    except (psutil.NoSuchProcess, OSError):
        return False
