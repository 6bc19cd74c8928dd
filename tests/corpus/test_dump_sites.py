"""What is found on the dump site and in the archive: the newest that is complete, or that of a date, in any layout."""

from collections.abc import Iterator
from hashlib import md5, sha1, sha256

import pytest
from dump_site import ARCHIVE, JSON, PAGES, TABLE, DumpSite, content_export, serve

from leia.base.errors import InputError, UsageError
from leia.corpus.dump_sites import Export, RemoteFile, Sites, check_date, find_export, pages_of, wikidata_as

CONTENT = "other/mediawiki_content_current"
PAPER_PAGES = f"{ARCHIVE}/download/jawiki-20230701/jawiki-20230701-pages-articles-multistream.xml.bz2"
PAPER_TABLE = f"{ARCHIVE}/download/wikidatawiki-20230701/wikidatawiki-20230701-wb_items_per_site.sql.gz"
PARTS = {"p1p90": b"first", "p91p100": b"second part", "p101p1000": b"third"}


@pytest.fixture
def site() -> Iterator[DumpSite]:
    newest = content_export("jawiki", "2026-02-01", {"p1p1000": b"not all of it"}, complete=False)
    newer, older = content_export("jawiki", "2026-01-01", PARTS), content_export("jawiki", "2025-12-01", {"p1p9": b"x"})
    former = {PAGES: b"all pages", TABLE: b"the table", JSON: b"the JSON dump"}
    archived = {PAPER_PAGES: b"the paper's", PAPER_TABLE: b"its table"}
    with serve({**newest, **newer, **older, **former, **archived}) as site:
        yield site


def sites(site: DumpSite) -> Sites:
    return Sites(site.url, site.archive)


def test_without_a_date_the_newest_complete_export_is_taken_with_all_its_parts_in_order(site: DumpSite) -> None:
    folder = f"{CONTENT}/jawiki/2026-01-01/xml/bzip2"
    parts = (
        RemoteFile(f"{folder}/jawiki-2026-01-01-{pages}.xml.bz2", len(contents), sha256(contents).hexdigest())
        for pages, contents in PARTS.items()
    )
    assert find_export(pages_of("ja"), sites(site)) == Export("20260101", "dump_site", "sha256", tuple(parts))


def test_a_dump_of_the_former_layout_is_taken_where_it_is_newer_and_complete(site: DumpSite) -> None:
    site.files |= {PAGES.replace("20240901", "20260301"): b"newer", PAGES.replace("20240901", "20260401"): b"unlisted"}
    site.add_sums()
    site.files["/jawiki/20260401/jawiki-20260401-sha1sums.txt"] = b"0123  another-file\n"
    found = find_export(pages_of("ja"), sites(site))
    path = PAGES.replace("20240901", "20260301")[1:]
    assert found == Export("20260301", "dump_site", "sha1", (RemoteFile(path, 5, sha1(b"newer").hexdigest()),))


@pytest.mark.parametrize("written", ["2026-01-01", "20260101"])
def test_a_date_is_taken_in_either_form(site: DumpSite, written: str) -> None:
    found = find_export(pages_of("ja"), sites(site), check_date("--wikipedia_dump_date", written))
    assert [file.name for file in found.files] == [f"jawiki-2026-01-01-{pages}.xml.bz2" for pages in PARTS]


def test_a_date_is_looked_for_in_the_layout_of_today_then_the_former_then_the_archive(site: DumpSite) -> None:
    former = find_export(pages_of("ja"), sites(site), "20240901")
    assert former == Export(
        "20240901", "dump_site", "sha1", (RemoteFile(PAGES[1:], 9, sha1(b"all pages").hexdigest()),)
    )
    for wanted, path, contents in (
        (pages_of("ja"), PAPER_PAGES, b"the paper's"),
        (wikidata_as("sql"), PAPER_TABLE, b"its table"),
    ):
        file = RemoteFile(path.removeprefix(f"{ARCHIVE}/"), len(contents), md5(contents).hexdigest())
        assert find_export(wanted, sites(site), "20230701") == Export("20230701", "archive_site", "md5", (file,))
    both = content_export("jawiki", "2024-09-01", {"p1p5": b"in parts"})
    site.files |= both
    assert find_export(pages_of("ja"), sites(site), "20240901").algorithm == "sha256"


def test_of_wikidata_the_newest_that_is_complete_is_taken(site: DumpSite) -> None:
    site.files |= {TABLE.replace("20240901", "20241001"): b"no sums yet"}
    assert [file.path for file in find_export(wikidata_as("sql"), sites(site)).files] == [TABLE[1:]]
    assert [file.path for file in find_export(wikidata_as("json"), sites(site)).files] == [JSON[1:]]


@pytest.mark.parametrize("date", ["20260201", "20230702"])  # not complete; nowhere
def test_where_a_date_is_not_found_the_error_says_which_dates_there_are(site: DumpSite, date: str) -> None:
    with pytest.raises(InputError) as raised:
        find_export(pages_of("ja"), sites(site), date)
    asked = f"{date[:4]}-{date[4:6]}-{date[6:]}"
    assert str(raised.value) == (
        f"jawiki: expected a complete export of {asked} at {site.url} and at {site.archive}, found none; "
        "take one that is there (2026-01-01, 2025-12-01, 2024-09-01)"
    )


def test_a_wiki_that_is_not_there_is_told(site: DumpSite) -> None:
    with pytest.raises(
        InputError, match=r"^swwiki: expected complete exports at .*/swwiki/ and .*; check the language"
    ):
        find_export(pages_of("sw"), sites(site))


@pytest.mark.parametrize(
    "page",
    [
        '<pre><A HREF="../">../</A>\n<A HREF="2026-01-01/">2026-01-01/</A> 05-Jan-2026 10:00 -</pre>',  # nginx, Apache
        '<a class="d" href="/other/mediawiki_content_current/jawiki/2026-01-01/?C=N">x</a>',
        "<li><a href='./2026-01-01'>2026-01-01/</a></li><a href='2026-01-01-old/'>x</a>",
    ],
)
def test_links_to_folders_are_read_as_any_server_writes_them(site: DumpSite, page: str) -> None:
    site.files[f"/{CONTENT}/jawiki/"] = page.encode()
    assert find_export(pages_of("ja"), sites(site)).date == "20260101"


@pytest.mark.parametrize(
    ("language", "wiki"), [("ja", "jawiki"), ("zh-min-nan", "zh_min_nanwiki"), ("be-tarask", "be_x_oldwiki")]
)
def test_the_name_of_a_wiki_is_not_always_that_of_its_language(language: str, wiki: str) -> None:
    with serve(content_export(wiki, "2026-01-01", {"p1p5": b"pages"})) as site:
        found = find_export(pages_of(language), sites(site))
    assert [file.name for file in found.files] == [f"{wiki}-2026-01-01-p1p5.xml.bz2"]
    assert pages_of(language).name == f"{wiki}-dump"


def test_sums_without_parts_and_an_archive_that_is_none_are_one_line_each(site: DumpSite) -> None:
    site.files[f"/{CONTENT}/jawiki/2026-01-01/xml/bzip2/SHA256SUMS"] = b"0123  jawiki-2026-01-01-p1p9.xml.bz2\n"
    with pytest.raises(InputError, match="SHA256SUMS: lists no parts like jawiki-2026-01-01-p1p30"):
        find_export(pages_of("ja"), sites(site), "20260101")
    for answer in (b"<html>", b"[]", b'{"files": [{"name": "x"}, 1]}'):
        site.files["/metadata/jawiki-20230701"] = answer
        with pytest.raises(
            InputError, match=r"metadata/jawiki-20230701: expected JSON .*; check the address of the arch"
        ):
            find_export(pages_of("ja"), Sites(site.url, site.url), "20230701")


def test_what_cannot_be_a_date_or_a_language_is_wrong_use() -> None:
    for date in ("latest", "2024-0901", "20241301", "2024-02-30", "../../x", ""):
        with pytest.raises(
            UsageError, match=r"^--date: expected the date of a dump like 2026-01-01 or 20260101, found"
        ):
            check_date("--date", date)
    assert check_date("--date", None) is None
    with pytest.raises(UsageError):
        pages_of("../../x")
