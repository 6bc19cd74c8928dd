"""Blocks of a dump: every byte in order, whatever the compression; a break is noticed and nothing before it lost."""

import bz2
import gzip
import random

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from leia.base.errors import InputError
from leia.corpus import dumps
from leia.corpus.dumps import BrokenDump, read_blocks

PAGES = [f"<page>{number} {'x' * (number * 37 % 500)}</page>\n".encode() for number in range(8000)]
TEXT = b"".join(PAGES)


def multistream(parts, pages=100):
    return b"".join(bz2.compress(b"".join(parts[start : start + pages])) for start in range(0, len(parts), pages))


def blocks_of(path):
    return list(read_blocks(path, b"</page>", lambda start: True, "pages"))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("d.xml", TEXT),
        ("d.xml.gz", gzip.compress(TEXT)),
        ("d.xml.bz2", bz2.compress(TEXT)),
        ("multistream.xml.bz2", multistream(PAGES)),
        ("misnamed.xml", multistream(PAGES)),
    ],
)
def test_every_byte_comes_once_in_blocks_of_whole_pages(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    blocks = blocks_of(tmp_path / name)
    assert b"".join(blocks) == TEXT
    assert all(block.endswith(b"</page>") for block in blocks[:-1])


@given(st.lists(st.sampled_from([b"</", b"page>", b"</page>", b"x", b"<", b"\n"]), max_size=60), st.integers(1, 9))
def test_a_delimiter_is_found_across_the_seams_of_chunks(scratch, parts, chunk_bytes):
    text = b"".join(parts) or b"x"
    path = scratch / "seams"
    path.write_bytes(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dumps, "_CHUNK_BYTES", chunk_bytes)
        blocks = blocks_of(path)
    assert b"".join(blocks) == text
    assert all(block.endswith(b"</page>") for block in blocks[:-1])
    assert b"</page>" not in blocks[-1]


def test_a_cut_bzip2_file_gives_all_before_the_cut_and_says_where(tmp_path):
    whole = multistream(PAGES)
    drawn = random.Random(3)
    for _ in range(50):
        cut = drawn.randrange(1, len(whole))
        path = tmp_path / "cut.bz2"
        path.write_bytes(whole[:cut])
        decompressor_output = _all_that_bz2_gives(whole[:cut])
        blocks, broken = _read_until_broken(path)
        text = b"".join(blocks)
        assert TEXT.startswith(text)
        # A cut between two streams leaves a good file; the XML's missing end tag gives that away.
        assert broken or text == decompressor_output
        assert len(text) >= len(decompressor_output) - 900_000  # no more than the block that was cut is missing
        assert len(text) >= len(b"".join(PAGES[:100])) or cut < len(multistream(PAGES[:100]))


def test_flipped_bits_are_never_passed_on_as_text(tmp_path):
    whole = multistream(PAGES, pages=1000)
    drawn = random.Random(4)
    for _ in range(50):
        damaged = bytearray(whole)
        damaged[drawn.randrange(len(whole))] ^= 1 << drawn.randrange(8)
        path = tmp_path / "flipped.bz2"
        path.write_bytes(damaged)
        try:
            blocks, _ = _read_until_broken(path)
        except InputError:
            continue  # the first bytes no longer say bzip2
        if damaged[:3] == b"BZh":
            assert TEXT.startswith(b"".join(blocks))


def test_a_gzip_file_that_is_corrupt_or_cut_is_noticed(tmp_path):
    whole = gzip.compress(TEXT)
    path = tmp_path / "d.gz"
    path.write_bytes(whole[: len(whole) // 2])
    blocks, broken = _read_until_broken(path)
    assert broken and TEXT.startswith(b"".join(blocks)) and len(b"".join(blocks)) > len(TEXT) // 3
    path.write_bytes(whole[:-8] + bytes(4) + whole[-4:])
    with pytest.raises(InputError, match="corrupt"):
        blocks_of(path)


def test_an_empty_and_a_wrong_file_are_refused(tmp_path):
    path = tmp_path / "d"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        blocks_of(path)
    path.write_bytes(b"something")
    with pytest.raises(InputError, match="d: expected pages, found something else"):
        list(read_blocks(path, b"</page>", lambda start: False, "pages"))


def test_a_wrong_file_is_called_what_it_is(sample_corpus, tmp_path):
    wiki = sample_corpus.wikis["ja"]
    (tmp_path / "page.html").write_text("<!DOCTYPE html>\n<html><title>404 Not Found</title></html>")
    (tmp_path / "jawiki.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(range(256)))
    (tmp_path / "page.sql.gz").write_bytes(gzip.compress(b"-- MySQL dump\n\nCREATE TABLE `page` (\n"))
    for path, kind in [
        (tmp_path / "page.html", "a web page, "),
        (tmp_path / "jawiki.7z", "a file compressed by 7z, "),
        (tmp_path / "page.sql.gz", "another SQL table"),
        (ROOT / "tests/sample/wikidatawiki-sample-wb_items_per_site.sql", "the table wb_items_per_site of Wikidata"),
        (sample_corpus.wikidata_dump, "JSON, as Wikidata's dump is"),
        (wiki.dump, "a Wikipedia's dump of pages"),
        (next(wiki.text.rglob("wiki_00")), "text that run_wikiextractor.py makes"),
        (wiki.ids, "an id file that extract_wikidata_ids.py makes"),
        (wiki.redirects, "a redirect file that extract_wikipedia_redirects.py makes"),
    ]:
        with pytest.raises(InputError, match=f"{path.name}: expected pages, found {kind}"):
            list(read_blocks(path, b"</page>", lambda start: False, "pages"))


def _all_that_bz2_gives(content):
    text = b""
    while content:
        decompressor = bz2.BZ2Decompressor()
        text += decompressor.decompress(content)
        content = decompressor.unused_data
    return text


def _read_until_broken(path):
    blocks = []
    try:
        for block in read_blocks(path, b"</page>", lambda start: True, "pages"):
            blocks.append(block)
    except BrokenDump as error:
        assert str(path) in str(error) and "byte" in str(error)
        return blocks, True
    return blocks, False
