"""What lies where: exports of a Wikipedia's pages and of Wikidata, on the dump site and in the Internet Archive.

Pages lie in one of three layouts, and `find_export` looks at them in this order:

    DUMP_SITE/other/mediawiki_content_current/<wiki>/<YYYY-MM-DD>/xml/bzip2/<wiki>-<date>-p<first>p<last>.xml.bz2
        of today: one part or several, with their SHA-256 in SHA256SUMS; complete when _SUCCESS is there
    DUMP_SITE/<wiki>/<YYYYMMDD>/<wiki>-<YYYYMMDD>-pages-articles-multistream.xml.bz2
        of former years: one file; complete when <wiki>-<YYYYMMDD>-sha1sums.txt lists it
    ARCHIVE_SITE/download/<wiki>-<YYYYMMDD>/...
        the same file where the dump site has it no more; its size and MD5 are in ARCHIVE_SITE/metadata/<item>

Wikidata's table of sitelinks lies in the last two layouts (`wikidatawiki`), its JSON dump in the second.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit

from leia.base.errors import InputError, UsageError
from leia.corpus.titles import check_language, site_of_language
from leia.corpus.web import read_text, size_of

_LINK = re.compile(r"""<a\s[^>]*?href\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)


@dataclass(frozen=True)
class RemoteFile:
    """A file of an export: `path` below the site's address, `size` in bytes (None: not told), `checksum` (hex)."""

    path: str
    size: int | None
    checksum: str

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Export:
    """What was dumped at one `date` (YYYYMMDD): `files` on the `site` (of `Sites`), checksums by `algorithm`."""

    date: str
    site: str
    algorithm: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True)
class Sites:
    """The addresses of the dump site and of the Internet Archive."""

    dump_site: str
    archive_site: str

    def url(self, site: str, path: str) -> str:
        return f"{getattr(self, site).rstrip('/')}/{path}"


@dataclass(frozen=True)
class ContentExports:
    """The pages of `wiki` in the layout of today."""

    wiki: str

    @property
    def folder(self) -> str:
        return f"other/mediawiki_content_current/{self.wiki}"

    def dates(self, sites: Sites) -> list[str]:
        return _dates_listed(sites.url("dump_site", f"{self.folder}/"), r"\d{4}-\d\d-\d\d")

    def is_complete(self, sites: Sites, date: str) -> bool:
        return read_text(sites.url("dump_site", f"{self._files(date)}/_SUCCESS")) is not None

    def export(self, sites: Sites, date: str) -> Export | None:
        """The export of `date`; None where it is not there, or not complete yet."""
        if not self.is_complete(sites, date):
            return None
        sums = sites.url("dump_site", f"{self._files(date)}/SHA256SUMS")
        part = rf"{self.wiki}-{with_hyphens(date)}-p\d+p\d+\.xml\.bz2"
        listed = re.findall(rf"(?m)^([0-9a-f]{{64}}) [ *](?:\./)?({part})\r?$", read_text(sums) or "")
        if not listed:
            raise InputError(
                f"{sums}: lists no parts like {self.wiki}-{with_hyphens(date)}-p1p30.xml.bz2; take another date"
            )
        paths = {f"{self._files(date)}/{name}": checksum for checksum, name in listed}
        files = (RemoteFile(path, size_of(sites.url("dump_site", path)), paths[path]) for path in paths)
        return Export(date, "dump_site", "sha256", tuple(sorted(files, key=lambda file: _first_page(file.name))))

    def _files(self, date: str) -> str:
        return f"{self.folder}/{with_hyphens(date)}/xml/bzip2"


@dataclass(frozen=True)
class FormerDumps:
    """One file a date in the layout of former years: `name` in `folder`/<YYYYMMDD>; in `name` % stands for the date."""

    folder: str
    name: str

    def dates(self, sites: Sites) -> list[str]:
        return _dates_listed(sites.url("dump_site", f"{self.folder}/"), r"\d{8}")

    def is_complete(self, sites: Sites, date: str) -> bool:
        return self._checksum(sites, date) is not None

    def export(self, sites: Sites, date: str) -> Export | None:
        """The export of `date`; None where it is not there, or not complete yet."""
        if (checksum := self._checksum(sites, date)) is None:
            return None
        path = f"{self.folder}/{date}/{self.name.replace('%', date)}"
        return Export(date, "dump_site", "sha1", (RemoteFile(path, size_of(sites.url("dump_site", path)), checksum),))

    def _checksum(self, sites: Sites, date: str) -> str | None:
        name = self.name.replace("%", date)
        sums = f"{self.folder}/{date}/{'-'.join(name.split('-')[:2])}-sha1sums.txt"
        listing = read_text(sites.url("dump_site", sums)) or ""
        found = re.search(rf"(?m)^([0-9a-f]{{40}}) [ *]{re.escape(name)}\r?$", listing)
        return found[1] if found else None


@dataclass(frozen=True)
class ArchivedDumps:
    """The same file in the Internet Archive, in the item `wiki`-<YYYYMMDD>. Its items are not listed by date."""

    wiki: str
    name: str

    def export(self, sites: Sites, date: str) -> Export | None:
        item, name = f"{self.wiki}-{date}", self.name.replace("%", date)
        address = sites.url("archive_site", f"metadata/{item}")
        try:
            metadata = json.loads(read_text(address) or "{}")
            files = {file["name"]: file for file in metadata.get("files", ())}
            if name not in files:
                return None
            size, checksum = files[name].get("size"), files[name]["md5"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            expected = "expected JSON with name, size and md5 of each file"
            raise InputError(f"{address}: {expected} ({error!r}); check the address of the archive") from error
        file = RemoteFile(f"download/{item}/{name}", int(size) if size else None, checksum)
        return Export(date, "archive_site", "md5", (file,))


@dataclass(frozen=True)
class Wanted:
    """A dump that may lie in several `layouts`; `name` is that of the file on disk, or of the folder (`in_parts`)."""

    label: str
    name: str
    in_parts: bool
    layouts: tuple[ContentExports | FormerDumps, ...]
    archive: ArchivedDumps | None


def pages_of(language: str) -> Wanted:
    """A Wikipedia's pages. Raises `UsageError` for what is no language code."""
    wiki = site_of_language(check_language(language))
    name = f"{wiki}-%-pages-articles-multistream.xml.bz2"
    layouts = ContentExports(wiki), FormerDumps(wiki, name)
    return Wanted(wiki, f"{wiki}-dump", True, layouts, ArchivedDumps(wiki, name))


def wikidata_as(source: str) -> Wanted:
    """Wikidata's table of sitelinks (`source` is sql) or all of Wikidata (json).

    Both hold the same sitelinks; the table is some fifty times smaller.
    """
    if source == "json":
        dumps = FormerDumps("wikidatawiki/entities", "wikidata-%-all.json.bz2")
        return Wanted("wikidata", "wikidata-all.json.bz2", False, (dumps,), None)
    name = "wikidatawiki-%-wb_items_per_site.sql.gz"
    archive = ArchivedDumps("wikidatawiki", name)
    return Wanted("wikidatawiki", name.replace("-%", ""), False, (FormerDumps("wikidatawiki", name),), archive)


def find_export(wanted: Wanted, sites: Sites, date: str | None = None) -> Export:
    """The export of `date` (YYYYMMDD), by default the newest complete one of the dump site.

    Raises `InputError` where there is none; the message says which dates there are.
    """
    if date is None:
        return _newest(wanted, sites)
    for layout in (*wanted.layouts, wanted.archive):
        if layout and (export := layout.export(sites, date)):
            return export
    searched = f"at {sites.dump_site}" + (f" and at {sites.archive_site}" if wanted.archive else "")
    complete = {day for layout, day in _all_dates(wanted, sites) if day != date and layout.is_complete(sites, day)}
    raise InputError(
        f"{wanted.label}: expected a complete export of {with_hyphens(date)} {searched}, found none; take one that "
        f"is there ({', '.join(map(with_hyphens, sorted(complete, reverse=True))) or 'the dump site lists none'})"
    )


def _newest(wanted: Wanted, sites: Sites) -> Export:
    for layout, date in _all_dates(wanted, sites):
        if export := layout.export(sites, date):
            return export
    places = " and ".join(sites.url("dump_site", f"{layout.folder}/") for layout in wanted.layouts)
    advice = "check the language and the address of the dump site, or name a date that the archive has"
    raise InputError(f"{wanted.label}: expected complete exports at {places}, found none; {advice}")


def _all_dates(wanted: Wanted, sites: Sites) -> list[tuple[ContentExports | FormerDumps, str]]:
    """The dates that are listed, each with its layout, the newest first; of one date the layout of today first."""
    dates = [(layout, date) for layout in wanted.layouts for date in layout.dates(sites)]
    return sorted(dates, key=lambda entry: entry[1], reverse=True)


def _dates_listed(address: str, form: str) -> list[str]:
    """The dates (YYYYMMDD) of the folders that the page at `address` links to; none where it is not there."""
    links = _LINK.findall(read_text(address) or "")
    names = {unquote(urlsplit(link).path).rstrip("/").rpartition("/")[2] for link in links}
    return [name.replace("-", "") for name in names if re.fullmatch(form, name)]


def _first_page(part: str) -> int:
    return int(re.findall(r"-p(\d+)p\d+\.", part)[-1])


def check_date(option: str, date: str | None) -> str | None:
    """`date` as YYYYMMDD, from either form. Raises `UsageError` for what is no date."""
    if date is None:
        return None
    try:
        if not re.fullmatch(r"\d{4}-\d\d-\d\d|\d{8}", date, re.ASCII):
            raise ValueError
        return datetime.strptime(date.replace("-", ""), "%Y%m%d").strftime("%Y%m%d")
    except ValueError:
        expected = "the date of a dump like 2026-01-01 or 20260101"
        raise UsageError(f"{option}: expected {expected}, found {date!r}; leave it out for the newest") from None


def with_hyphens(date: str) -> str:
    """YYYYMMDD as YYYY-MM-DD."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}"
