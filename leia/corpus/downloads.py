"""Downloads dumps from the dump site, where they are neither on disk nor used up.

`pages_dump` and `wikidata_dump` say which file is wanted and where it lies on the site, `ask_checksum` asks the site
for its checksum, `fetch` brings it: it continues an earlier try, in FOLDER/incomplete until the checksum is right.
"""

import hashlib
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import BinaryIO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import click

from leia.base.cli import progress
from leia.base.errors import InputError, UsageError
from leia.base.outputs import errors_named, held
from leia.base.step import was_made_from
from leia.corpus.titles import check_language, site_of_language

_CHUNK_BYTES = 1 << 16
WAITS = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60, 60)
"""Seconds before each further try; they begin again with every byte that comes."""


@dataclass(frozen=True)
class DumpFile:
    """A dump as the site's old layout has it: `name` in the `folder` (an address) of one date."""

    folder: str
    name: str

    @property
    def url(self) -> str:
        return f"{self.folder}/{self.name}"

    @property
    def sums(self) -> str:
        """The address of the list of checksums, whose name begins as that of the dump: with the wiki and the date."""
        return f"{self.folder}/{'-'.join(self.name.split('-')[:2])}-sha1sums.txt"


def pages_dump(site: str, language: str, date: str) -> DumpFile:
    """The dump of a Wikipedia's pages. Raises `UsageError` where `language` or `date` (YYYYMMDD) cannot be one."""
    wiki, date = site_of_language(check_language(language)), _check_date("--wikipedia_dump_date", date)
    return DumpFile(f"{site.rstrip('/')}/{wiki}/{date}", f"{wiki}-{date}-pages-articles-multistream.xml.bz2")


def wikidata_dump(site: str, source: str, date: str | None) -> DumpFile:
    """Wikidata's table of sitelinks (`source` is sql) or all of Wikidata (json); of the paper's date by default.

    Both hold the same sitelinks. The table is some fifty times smaller, and is dumped on the same days as Wikipedia.
    """
    date = _check_date("--wikidata_dump_date", date or {"sql": "20230701", "json": "20230703"}[source])
    folder = f"{site.rstrip('/')}/wikidatawiki"
    if source == "sql":
        return DumpFile(f"{folder}/{date}", f"wikidatawiki-{date}-wb_items_per_site.sql.gz")
    return DumpFile(f"{folder}/entities/{date}", f"wikidata-{date}-all.json.bz2")


def _check_date(option: str, date: str) -> str:
    if not re.fullmatch(r"[0-9]{8}", date):
        raise UsageError(f"{option}: expected the date of a dump like 20230701, found {date!r}")
    return date


@dataclass(frozen=True)
class Need:
    """A dump that steps read: downloaded to `folder` unless the file `given` stands for it, or the `outputs` that are
    made from it are all complete."""

    dump: DumpFile
    folder: Path
    given: Path | None
    outputs: tuple[Path, ...]

    @property
    def path(self) -> Path:
        return self.given or self.folder / self.dump.name

    def is_used_up(self) -> bool:
        """Whether all outputs are there and made from this dump, by a manifest in the folder or beside the file."""
        return bool(self.outputs) and all(map(self._has_made, self.outputs))

    def _has_made(self, output: Path) -> bool:
        manifests = (output if output.is_dir() else output.parent).glob("*manifest.json")
        return output.exists() and any(was_made_from(manifest, [self.path]) for manifest in manifests)

    def check_given(self) -> None:
        """Raise `UsageError` where a given file is missing though it is still needed."""
        if self.given and not self.given.is_file() and not self.is_used_up():
            raise UsageError(f"{self.given}: there is no such file; name a dump on disk, or leave it to be downloaded")

    def provide(self, dry_run: bool) -> None:
        """Download the dump where it is neither on disk nor used up, and say what was done."""
        if self.path.is_file():
            click.echo(f"complete already: {self.path}")
        elif self.is_used_up():
            click.echo(f"complete already: all that is made from {self.path}")
        elif dry_run:
            click.echo(f"would be downloaded: {self.dump.url} to {self.path}")
        else:
            fetch(self.dump, ask_checksum(self.dump), self.folder)
            click.echo(f"written: {self.path}")


def ask_checksum(dump: DumpFile) -> str:
    """The SHA-1 of `dump`, hexadecimal. Raises `InputError` where the site has no such dump, or not yet all of it."""
    listing = BytesIO()
    _receive(dump.sums, listing, WAITS)
    found = re.search(rf"(?m)^([0-9a-f]+)  {re.escape(dump.name)}$", listing.getvalue().decode("utf-8", "replace"))
    if not found:
        raise InputError(f"{dump.sums}: does not list {dump.name}; that dump is not finished, take an earlier date")
    return found[1]


def fetch(dump: DumpFile, checksum: str, folder: Path, waits: Sequence[float] = WAITS) -> None:
    """Download `dump` to `folder` under its name. Another run that downloads it is waited for.

    Raises `InputError` where it does not come or has another checksum: in that case what came is removed.
    """
    target, incomplete = folder / dump.name, folder / "incomplete" / dump.name
    with ExitStack() as stack:
        _hold(incomplete, stack)
        if target.exists():
            return
        stack.enter_context(errors_named(incomplete, incomplete))
        with incomplete.open("ab") as sink:
            _receive(dump.url, sink, waits)
            sink.flush()
            os.fsync(sink.fileno())
        found = _sha1(incomplete)
        if found != checksum:
            incomplete.unlink()
            expected = f"expected the SHA1 checksum {checksum}, found {found}"
            raise InputError(f"{dump.url}: {expected}; what came was removed, run the same command again")
        incomplete.replace(target)


def _hold(path: Path, stack: ExitStack) -> None:
    """Hold `path` until the `stack` ends. Two languages may want the same Wikidata dump at once: one of them waits."""
    for seconds in count():
        try:
            return stack.enter_context(held(path))
        except InputError as error:
            if not seconds:
                click.echo(f"waiting for another download: {error}")
            time.sleep(1)


def _sha1(path: Path) -> str:
    digest = hashlib.sha1()
    with path.open("rb") as file, progress(f"checksum of {path.name}", path.stat().st_size) as bar:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


class _Failed(Exception):
    """A try failed and another one may not. `pause`: seconds that the site asks for; None where it gave no answer."""

    def __init__(self, reason: object, pause: int | None = None) -> None:
        super().__init__(str(reason) or type(reason).__name__)
        self.pause = pause


def _receive(url: str, sink: BinaryIO, waits: Sequence[float]) -> None:
    """Append to `sink` what it lacks of the file at `url`; try again after each of `waits` where that breaks off."""
    reached, left = False, list(waits)
    while True:
        before = sink.seek(0, os.SEEK_END)
        try:
            return _append(url, sink)
        except _Failed as failure:
            came = sink.tell() > before
            reached = reached or came or failure.pause is not None
            left = list(waits) if came else left
            if not reached or not left:
                again = "run the same command later, it continues where this one stopped"
                advice = again if reached else "check the network and the address of the dump site"
                raise InputError(f"{url}: cannot be downloaded ({failure}); {advice}") from failure
            seconds = max(left.pop(0), failure.pause or 0)
            click.echo(f"{url}: {failure}; next try in {seconds} s", err=True)
            time.sleep(seconds)


def _append(url: str, sink: BinaryIO) -> None:
    start = sink.tell()
    if (response := _open(url, start)) is None:
        return
    with response:
        if response.status != 206:  # the site sends all of it, whatever was asked for
            start = sink.seek(0)
            sink.truncate()
        total = start + int(response.headers.get("Content-Length", 0))
        with progress(url.rpartition("/")[2], total) as bar:
            bar.initial = bar.n = start  # the rate is that of this try
            for chunk in _chunks(response):
                sink.write(chunk)
                bar.update(len(chunk))
        if bar.n < total:
            raise _Failed(f"the connection broke off, {total - bar.n:,} bytes are missing")


def _open(url: str, start: int) -> HTTPResponse | None:
    """The answer of the site when it is asked for all from byte `start` on; None where there are no further bytes."""
    headers = {"User-Agent": "leia (https://arxiv.org/abs/2402.11485)"}
    headers |= {"Range": f"bytes={start}-"} if start else {}
    try:
        return urlopen(Request(url, headers=headers), timeout=60)
    except HTTPError as error:
        if error.code == 416 and start:
            return None
        if error.code in (404, 410):
            dates = f"a date that is listed at {url.rsplit('/', 2)[0]}/"
            raise InputError(f"{url}: not there; old dumps leave the site after months: take {dates}") from error
        answer = f"the site answers {error.code} {error.reason}"
        if error.code == 429 or error.code >= 500:
            pause = error.headers.get("Retry-After", "")
            raise _Failed(answer, int(pause) if pause.isdecimal() else 0) from error
        raise InputError(f"{url}: {answer}; check the address of the dump site") from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: it is not an address
        raise _Failed(getattr(error, "reason", error)) from error


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    """The bytes that come, as they come: an error here is one of the network, not of the disk."""
    try:
        while chunk := response.read(_CHUNK_BYTES):
            yield chunk
    except (OSError, HTTPException) as error:
        raise _Failed(error) from error
