"""A server on this machine that is laid out as the dump site and the Internet Archive, for the tests of downloading.

Checksums, lists of files and the archive's metadata come with the files; a path that ends with / is a page of links.
"""

import hashlib
import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PAGES = "/jawiki/20240901/jawiki-20240901-pages-articles-multistream.xml.bz2"
TABLE = "/wikidatawiki/20240901/wikidatawiki-20240901-wb_items_per_site.sql.gz"
JSON = "/wikidatawiki/entities/20240902/wikidata-20240902-all.json.bz2"
ARCHIVE = "/archive"
"""Below it lie files of the archive: ARCHIVE/download/<item>/<name>."""


def content_export(wiki: str, date: str, parts: dict[str, bytes], complete: bool = True) -> dict[str, bytes]:
    """An export in the layout of today; `parts` by their pages, say p1p30."""
    folder = f"/other/mediawiki_content_current/{wiki}/{date}/xml/bzip2"
    files = {f"{wiki}-{date}-{pages}.xml.bz2": contents for pages, contents in parts.items()}
    sums = "".join(f"{hashlib.sha256(contents).hexdigest()}  {name}\n" for name, contents in files.items())
    marks = {"SHA256SUMS": sums.encode()} | ({"_SUCCESS": b""} if complete else {})
    return {f"{folder}/{name}": contents for name, contents in {**files, **marks}.items()}


@dataclass
class DumpSite:
    """Files by path; `requests` are (path, Range header), `heads` those for sizes. The other fields make trouble."""

    files: dict[str, bytes]
    url: str = ""
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)
    break_off: set[str] = field(default_factory=set)
    """A transfer of these paths ends half way, once."""
    stop_half_way: dict[str, threading.Event] = field(default_factory=dict)
    """A transfer of these paths stops half way until the event."""
    refuse: dict[str, list[int]] = field(default_factory=dict)
    """Status codes that requests for a path get, one after the other, before they get the file."""
    damage: dict[str, int] = field(default_factory=dict)
    """That many transfers of a path send it with another last byte."""
    knows_ranges: bool = True

    @property
    def archive(self) -> str:
        return self.url + ARCHIVE

    def add_sums(self) -> None:
        """List the checksums of all files of the former layout, each after that of another whose name begins alike."""
        for path, contents in list(self.files.items()):
            folder, _, name = path.rpartition("/")
            if path.startswith((ARCHIVE, "/other")):
                continue
            other = f"{hashlib.sha1(b'other').hexdigest()}  {name}.other\n"
            listing = f"{other}{hashlib.sha1(contents).hexdigest()}  {name}\n"
            self.files[f"{folder}/{'-'.join(name.split('-')[:2])}-sha1sums.txt"] = listing.encode()

    def ranges(self, path: str) -> list[str | None]:
        """What the requests for `path` asked for."""
        return [wanted for requested, wanted in self.requests if requested == path]

    def contents(self, path: str) -> bytes | None:
        """A file, a page of links to what lies in a folder, or what the archive knows of an item."""
        if path in self.files:
            return self.files[path]
        if path.startswith(f"{ARCHIVE}/metadata/"):
            item = path.replace("/metadata/", "/download/") + "/"
            files = [
                {"name": name.removeprefix(item), "size": str(len(contents)), "md5": hashlib.md5(contents).hexdigest()}
                for name, contents in self.files.items()
                if name.startswith(item)
            ]
            return json.dumps({"files": files} if files else {}).encode()
        names = {name.removeprefix(path).partition("/")[0] for name in self.files if name.startswith(path)}
        if path.endswith("/") and names:
            return "".join(f'<li><a href="{name}/">{name}/</a></li>\n' for name in sorted(names)).encode()
        return None


@contextmanager
def serve(files: dict[str, bytes]) -> Iterator[DumpSite]:
    site = DumpSite(dict(files))
    site.add_sums()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _handler(site)) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        site.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield site
        server.shutdown()


def _handler(site: DumpSite) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            site.heads.append(self.path)
            contents = site.contents(self.path)
            self.send_response(404 if contents is None else 200)
            self.send_header("Content-Length", str(len(contents or b"")))
            self.end_headers()

        def do_GET(self) -> None:
            wanted = self.headers.get("Range") if site.knows_ranges else None
            site.requests.append((self.path, self.headers.get("Range")))
            contents = site.contents(self.path)
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            if site.refuse.get(self.path):
                self.refuse(site.refuse[self.path].pop(0))
            elif contents is None:
                self.refuse(404)
            elif wanted and start >= len(contents):
                self.refuse(416)
            else:
                if site.damage.get(self.path):
                    site.damage[self.path] -= 1
                    contents = contents[:-1] + bytes([contents[-1] ^ 1])
                self.send(contents, start, partial=bool(wanted))

        def refuse(self, code: int) -> None:
            self.send_response(code)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send(self, contents: bytes, start: int, partial: bool) -> None:
            self.send_response(206 if partial else 200)
            if partial:
                self.send_header("Content-Range", f"bytes {start}-{len(contents) - 1}/{len(contents)}")
            self.send_header("Content-Length", str(len(contents) - start))
            self.end_headers()
            half = (start + len(contents)) // 2
            self.wfile.write(contents[start:half])
            self.wfile.flush()
            if self.path in site.stop_half_way:
                site.stop_half_way[self.path].wait(timeout=60)
            if self.path in site.break_off:
                site.break_off.discard(self.path)
            else:
                self.wfile.write(contents[half:])

        def log_message(self, *_: object) -> None:
            pass

    return Handler
