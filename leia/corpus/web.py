"""Asks a web site: what a page says, how large a file is, what a file on disk still lacks of one there.

Over one connection at a time: dump sites allow three for an address, and several runs of this package may share them.
A try that fails while the site can be reached is followed by others (`WAITS`); `NotThere` is the site's own word.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from typing import BinaryIO, TypeVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import click
from tqdm import tqdm

from leia.base.cli import progress
from leia.base.errors import InputError

Answer = TypeVar("Answer")

_CHUNK_BYTES = 1 << 16
WAITS = (1, 2, 4, 8, 15, 30, 60, 60, 60, 60, 60)
"""Seconds before each further try; they begin again with every byte that comes."""


class NotThere(InputError):
    """The site can be reached and has no such file."""


def read_text(url: str) -> str | None:
    """What lies at `url`, as text; None where nothing does."""
    contents = BytesIO()
    try:
        receive(url, contents)
    except NotThere:
        return None
    return contents.getvalue().decode("utf-8", "replace")


def size_of(url: str) -> int | None:
    """Size in bytes of the file at `url`, as the site tells it without sending the file; None where it does not.

    Raises `NotThere` where the site has no such file.
    """

    def ask() -> str | None:
        with _open(url, method="HEAD") as response:
            return response.headers.get("Content-Length")

    length = _try_again(url, ask, came=lambda: 0, waits=WAITS)
    return int(length) if length and length.isdecimal() else None


def receive(url: str, sink: BinaryIO, waits: Sequence[float] = WAITS, label: str = "") -> None:
    """Append to `sink` what it lacks of the file at `url`, with a progress bar where there is a `label` for it.

    Raises `NotThere`, and `InputError` where the site cannot be reached or no try succeeds; what came stays in `sink`.
    """
    _try_again(url, lambda: _append(url, sink, label), came=lambda: sink.seek(0, os.SEEK_END), waits=waits)


class _Failed(Exception):
    """A try failed and another one may not. `pause`: seconds that the site asks for; None where it gave no answer."""

    def __init__(self, reason: object, pause: int | None = None) -> None:
        super().__init__(str(reason) or type(reason).__name__)
        self.pause = pause


def _try_again(url: str, ask: Callable[[], Answer], came: Callable[[], int], waits: Sequence[float]) -> Answer:
    """What `ask` gives, tried again after each of `waits`; `came` says how many bytes are there."""
    reached, left = False, list(waits)
    while True:
        before = came()
        try:
            return ask()
        except _Failed as failure:
            more = came() > before
            reached = reached or more or failure.pause is not None
            left = list(waits) if more else left
            if not reached or not left:
                again = "run the same command later, it continues where this one stopped"
                advice = again if reached else "check the network and the address of the dump site"
                raise InputError(f"{url}: cannot be downloaded ({failure}); {advice}") from failure
            seconds = max(left.pop(0), failure.pause or 0)
            click.echo(f"{url}: {failure}; next try in {seconds} s", err=True)
            time.sleep(seconds)


def _append(url: str, sink: BinaryIO, label: str) -> None:
    start = sink.seek(0, os.SEEK_END)
    try:
        response = _open(url, start)
    except _NothingFurther:
        return
    with response:
        if response.status != 206:  # the site sends all of it, whatever was asked for
            start = sink.seek(0)
            sink.truncate()
        came, total = start, start + int(response.headers.get("Content-Length", 0))
        with progress(label, total) if label else tqdm(disable=True) as bar:
            bar.initial = bar.n = start  # the rate is that of this try
            for chunk in _chunks(response):
                came += sink.write(chunk)
                bar.update(len(chunk))
        if came < total:
            raise _Failed(f"the connection broke off, {total - came:,} bytes are missing")


class _NothingFurther(Exception):
    """The site has no bytes after those that are there."""


def _open(url: str, start: int = 0, method: str = "GET") -> HTTPResponse:
    """The site's answer when it is asked for all from byte `start` on.

    Raises `NotThere`, `_NothingFurther`, `_Failed`, or `InputError` for another refusal.
    """
    headers = {"User-Agent": "leia (https://arxiv.org/abs/2402.11485)"}
    headers |= {"Range": f"bytes={start}-"} if start else {}
    try:
        return urlopen(Request(url, headers=headers, method=method), timeout=60)
    except HTTPError as error:
        if error.code == 416 and start:
            raise _NothingFurther from error
        if error.code in (404, 410):
            raise NotThere(f"{url}: not there") from error
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
