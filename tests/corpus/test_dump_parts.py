"""A dump in parts: all of them are read, each once, in the order of their pages; anything else is refused by name."""

import bz2
import gzip
import hashlib
import json
import os

import pytest

from leia.base.errors import InputError, UsageError
from leia.base.step import Tally
from leia.corpus.dump_parts import find_parts
from leia.corpus.dumps import check_wikipedia_dump, read_pages

REVISION = "    <revision>\n      <text>{text}</text>\n    </revision>\n"


def head(wiki="ltgwiki"):
    return f'<mediawiki xml:lang="ltg">\n  <siteinfo>\n    <dbname>{wiki}</dbname>\n  </siteinfo>\n'


def page(title, *texts, redirect=""):
    target = f'    <redirect title="{redirect}" />\n' if redirect else ""
    revisions = "".join(REVISION.format(text=text) for text in texts or ["words"])
    return f"  <page>\n    <title>{title}</title>\n    <ns>0</ns>\n    <id>1</id>\n{target}{revisions}  </page>\n"


def dump(*pages, wiki="ltgwiki"):
    return (head(wiki) + "".join(pages) + "</mediawiki>\n").encode()


NEW = "ltgwiki-2026-01-01-p{}p{}.xml.bz2"
OLD = "ltgwiki-20230701-pages-articles-multistream{}.xml-p{}p{}.bz2"


def touch(folder, *names):
    for name in names:
        (folder / name).touch()
    return [folder / name for name in names]


def list_sums(folder, *names):
    lines = [f"{hashlib.sha256(name.encode()).hexdigest()}  {name}\n" for name in names]
    (folder / "SHA256SUMS").write_text("".join(lines))


@pytest.mark.parametrize(
    "names",
    [
        [NEW.format(1, 30), NEW.format(31, 60), NEW.format(61, 900)],
        [OLD.format(1, 1, 9), OLD.format(2, 10, 60), OLD.format(2, 61, 100)],  # 10 before 9 by name
        ["ltgwiki-2026-01-01-p1p30.xml", "ltgwiki-20260101-p31p60.xml.gz"],  # unpacked, both forms of a date
        [NEW.format(5, 5168645), NEW.format(5168647, 9944278), NEW.format(9944283, 11564479)],  # as the site has them
    ],
)
def test_parts_are_put_in_the_order_of_their_pages(tmp_path, names):
    paths = touch(tmp_path, *names)
    touch(tmp_path, "jawiki-redirects.tsv", ".hidden.xml.bz2", "index.txt.bz2", "notes.xml.md5")
    assert find_parts(paths[::-1]) == paths
    assert find_parts([tmp_path]) == paths
    assert find_parts([paths[-1], *paths[:-1]]) == paths


def test_one_file_of_any_name_is_a_whole_dump(tmp_path):
    (path,) = touch(tmp_path, "dump.xml")
    assert find_parts([path]) == find_parts([tmp_path]) == [path]


A, B, C = NEW.format(1, 30), NEW.format(31, 60), NEW.format(61, 90)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([A, "ltgwiki-2026-01-01-p1p30.xml"], r"expected pages from 31 on, .*found 1 to 30; give each part once"),
        ([A, NEW.format(30, 60)], r"p30p60.*expected pages from 31 on, .*p1p30.*found 30 to 60"),
        ([A, C], r"all parts of the dump, found none with the pages 31 to 60; give this part too"),
        ([B, C], r"found none with the pages 1 to 30; "),
        ([B, NEW.format(91, 120)], r"pages 1 to 30 and pages 61 to 90; "),
        ([A, B.replace("ltg", "nv")], r"nvwiki.*expected a part of ltgwiki of 20260101, found nvwiki of 20260101"),
        ([A, B.replace("2026-01", "2026-02")], r"expected a part of ltgwiki of 20260101, found ltgwiki of 20260201"),
        ([A, "a-p31p60.xml", "b-p61p90.xml"], r"expected a part of ltgwiki of 20260101, found another dump"),
        (["a.xml", "b.xml"], r"a\.xml: expected one dump, or parts with .*found 2 files of which 2 have none"),
        ([A, "b.xml"], r"b\.xml: expected one dump, or parts with .*found 2 files of which 1 have none"),
        (["ltgwiki-20230701-pages-meta-history.xml.bz2"], r"pages-articles, found a history dump by its name"),
        (["ltgwiki-2026-01-01-p9r8r7.xml.bz2"], r"pages-articles, found a history dump by its name"),
    ],
)
def test_what_is_not_one_whole_dump_by_its_names_is_refused(tmp_path, names, message):
    paths = touch(tmp_path, *names)
    for given in (paths, paths[::-1], [tmp_path]):
        with pytest.raises(UsageError, match=message) as refused:
            find_parts(given)
        assert "\n" not in str(refused.value) and "; " in str(refused.value)


def test_a_file_given_twice_is_refused_under_another_name_too(tmp_path):
    path, other = touch(tmp_path, "dump.xml", A)
    os.link(path, tmp_path / "linked.xml")
    for given, message in [
        ([path, path], r"dump\.xml: expected each part once, found it given twice"),
        ([other, tmp_path / "." / A], "expected each part once"),
        ([path, tmp_path / "linked.xml"], r"linked\.xml: .* the same file as .*dump\.xml"),
    ]:
        with pytest.raises(UsageError, match=message):
            find_parts(given)
    with pytest.raises(UsageError, match="expected each part once"):
        find_parts([other, tmp_path])


def test_an_empty_folder_is_refused(tmp_path):
    touch(tmp_path, "SHA256SUMS", "ltgwiki-redirects.tsv")
    with pytest.raises(UsageError, match=r"expected a dump of pages in this folder, .* found none; download one"):
        find_parts([tmp_path])


def test_the_list_of_checksums_says_which_parts_there_are(tmp_path, capsys):
    paths = touch(tmp_path, A, NEW.format(45, 60))
    with pytest.raises(UsageError, match="found none with the pages 31 to 44"):
        find_parts(paths)
    list_sums(tmp_path, *(path.name for path in paths), NEW.format(61, 90).replace("ltg", "nv"))
    assert find_parts(paths) == paths  # the pages between were deleted
    list_sums(tmp_path, *(path.name for path in paths), C)
    with pytest.raises(UsageError, match=r"the pages 61 to 90 \(ltgwiki-2026-01-01-p61p90\.xml\.bz2, listed in SHA256"):
        find_parts(paths)
    assert capsys.readouterr() == ("", "")
    assert find_parts(paths, allow_missing_parts=True) == paths
    warning = capsys.readouterr().err
    assert warning.startswith("warning: ") and warning.count("\n") == 1 and C in warning
    (tmp_path / A).rename(tmp_path / A.removesuffix(".bz2"))  # unpacked: it is still that part
    touch(tmp_path, C)
    assert len(find_parts([tmp_path])) == 3


PARTS = {
    NEW.format(1, 30): dump(page("Eiropa"), page("Kuoss", redirect="Reiga")),
    NEW.format(31, 60): dump(),
    NEW.format(61, 90): dump(page("Reiga")),
}


@pytest.fixture
def parts(tmp_path):
    folder = tmp_path / "2026-01-01"
    folder.mkdir()
    for name, text in PARTS.items():
        (folder / name).write_bytes(bz2.compress(text))
    list_sums(folder, *PARTS)
    return folder


def pages_of(paths, **options):
    tally = Tally("pages")
    return b"".join(read_pages(paths, options.get("allow_truncated", False), tally)), tally


def whole(*pages):
    return dump(*pages)[: -len(b"\n</mediawiki>\n")]


def test_parts_are_read_as_one_document(parts):
    text, tally = pages_of(find_parts([parts]))
    expected = whole(page("Eiropa"), page("Kuoss", redirect="Reiga"), page("Reiga"))
    assert b"".join(text.split()) == b"".join(expected.split()) and tally.read == 0


def test_the_head_is_there_though_the_first_part_holds_no_page(tmp_path):
    (tmp_path / "ltgwiki-2026-01-01-p1p30.xml").write_bytes(dump())
    (tmp_path / "ltgwiki-2026-01-01-p31p60.xml.gz").write_bytes(gzip.compress(dump(page("Reiga"))))
    assert pages_of(find_parts([tmp_path]))[0] == whole(page("Reiga"))


def test_a_break_is_told_of_the_part_it_is_in(parts):
    broken = parts / NEW.format(1, 30)
    broken.write_bytes(bz2.compress(PARTS[broken.name].replace(b"</mediawiki>", b"  <page>\n    <title>Half")))
    with pytest.raises(InputError, match=r"p1p30.*the last of its 2 complete pages is 'Kuoss'"):
        pages_of(find_parts([parts]))
    text, tally = pages_of(find_parts([parts]), allow_truncated=True)
    assert [title in text for title in (b"Eiropa", b"Half", b"Reiga</title>")] == [True, False, True]
    assert list(tally.dropped) == [f"all after the break of {broken.name}: ends without </mediawiki>, as a download "
        "that broke off does"]  # fmt: skip


@pytest.mark.parametrize("megabytes", [0, 3, 9])
def test_a_history_dump_is_refused_wherever_the_second_revision_comes(tmp_path, megabytes):
    before = page("A" if megabytes else "Madrid", *["x" * 2**20] * (1 if megabytes else 2))
    history = [page("B", "&lt;revision>&lt;revision>"), page("Madrid &amp; x", "one", "two")]
    path = tmp_path / "eswiki-pages.xml"
    path.write_bytes(dump(*[before] * max(1, megabytes), *history))
    with pytest.raises(InputError, match=r"pages-articles.*several revisions of the page 'Madrid.*history.*; download"):
        pages_of([path])
    path.write_bytes(dump(*[page("A", "x" * 2**20)] * megabytes, history[0]))
    assert pages_of([path])[0].count(b"</page>") == megabytes + 1


def test_a_part_of_another_wiki_is_refused_before_anything_is_read(parts):
    (parts / NEW.format(61, 90)).write_bytes(bz2.compress(dump(page("Reiga"), wiki="nvwiki")))
    tally = Tally("pages")
    with pytest.raises(InputError, match=r"p61p90.*expected a part of ltgwiki as .*p1p30.* is, found one of nvwiki"):
        next(read_pages(find_parts([parts]), False, tally))


def test_a_folder_is_checked_for_the_language_by_all_that_lies_in_it(parts):
    check_wikipedia_dump(parts, "ltg")
    with pytest.raises(UsageError, match=r"p1p30.*expected a dump of jawiki, found one of ltgwiki"):
        check_wikipedia_dump(parts, "ja")
    (parts / NEW.format(61, 90)).write_bytes(b"<html>")
    with pytest.raises(UsageError, match=r"p61p90.*found a web page"):
        check_wikipedia_dump(parts, "ltg")


def test_steps_take_parts_and_folders_and_know_them_when_they_are_used_up(parts, tmp_path, run_script):
    output = tmp_path / "redirects.tsv"

    def extract(*given, check=True):
        options = [word for path in given for word in ("--dump_file", path)]
        return run_script("extract_wikipedia_redirects.py", *options, "--output_file", output, check=check)

    files = sorted(parts.glob("*.bz2"))
    extract(*files[::-1])
    assert output.read_text() == "Kuoss\tReiga\n"
    assert extract(*files).stdout.startswith("complete already")
    output.unlink()
    extract(parts)
    manifest = json.loads((tmp_path / "redirects.tsv.manifest.json").read_text())
    assert [entry["name"] for entry in manifest["inputs"]] == ["2026-01-01"]
    assert manifest["options"] == {"allow_missing_parts": False, "allow_truncated": False}
    touch(parts, "ltgwiki-redirects.tsv")  # not a part
    assert extract(parts).stdout.startswith("complete already")
    files[1].unlink()
    assert "with the pages 31 to 60 (" in extract(parts, check=False).stderr
    for path in (files[0], files[2]):
        path.unlink()  # used up, and the list of checksums is left
    assert extract(parts).stdout.startswith("complete already")
    for path in parts.iterdir():
        path.unlink()
    parts.rmdir()
    assert extract(parts).stdout.startswith("complete already")
    output.unlink()
    assert "2026-01-01' does not exist" in extract(parts, check=False).stderr
