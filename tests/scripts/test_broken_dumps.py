"""Downloads that broke off or were damaged, given to the scripts: by default an error that says where and no output;
with --allow_truncated exactly what stands before the break, and never a row that the undamaged dump does not give.

The expected rows are known from the undamaged dump: each with the byte of the text at which its page, line or value is
complete. The scripts run in this process, so that hundreds of damages take a minute.
"""

import bz2
import gzip
import json
import random
import re
from dataclasses import dataclass
from functools import cache, partial
from xml.etree import ElementTree

import pytest
from conftest import ROOT, multistream, run_here

from leia.corpus.redirects import follow_chains
from leia.corpus.titles import normalize_title

SITES = {"enwiki": "en", "jawiki": "ja"}
SAMPLE = ROOT / "tests/sample"


@dataclass(frozen=True)
class Dump:
    """`rows` are `(end in bytes of the text, key, value)`, `names` are `(end, what an error calls what ends there)`."""

    script: str
    text: bytes
    rows: list[tuple[int, str, str]]
    names: list[tuple[int, str]]

    def expected(self, end):
        """The output for what stands before the byte `end` of the text: `{file: rows}`."""
        rows = [(key, value) for row_end, key, value in self.rows if row_end <= end]
        if self.script == "extract_wikipedia_redirects":
            return {"r.tsv": list(follow_chains(dict(rows), partial(normalize_title, language="ja")).items())}
        found = {f"{code}-wikidata-ids.tsv": [] for code in SITES.values()}
        for key, value in rows:
            site, title = key.split(":", 1)
            found[f"{SITES[site]}-wikidata-ids.tsv"].append((title, value))
        return found

    def last_name(self, end):
        return [name for name_end, name in self.names if name_end <= end][-1:]


@cache
def pages_dump():
    """Six copies of the Japanese sample, their titles numbered: several blocks of bzip2."""
    head, pages, foot = re.fullmatch(
        r"(?s)(.*?)(  <page>.*</page>\n)(.*)", _sample("jawiki-sample-pages-articles.xml")
    ).groups()
    text = head + "".join(re.sub("</title>", f" {k}</title>", pages) for k in range(6)) + foot
    return Dump("extract_wikipedia_redirects", text.encode(), *read_pages(text.encode()))


def read_pages(text):
    rows, names = [], []
    for page in re.finditer(rb"(?s)<page>.*?</page>", text):
        element = ElementTree.fromstring(page[0])
        names.append((page.end(), repr(element.findtext("title"))))
        if (redirect := element.find("redirect")) is not None:
            target = normalize_title(redirect.attrib["title"], "ja")
            rows.append((page.end(), element.findtext("title"), target))
    return rows, names


@cache
def entities_dump():
    text = _sample("wikidata-sample.json").encode()
    rows, names, end = [], [], 0
    for line in text.splitlines(keepends=True):
        end += len(line)
        if line.strip() in (b"[", b"]"):
            continue
        entity = json.loads(line.strip(b",\n"))
        complete = end - len(line) + line.rindex(b"}") + 1
        sitelinks = entity.get("sitelinks") or {}
        if entity["type"] == "item" and any(site in sitelinks for site in SITES):
            names.append((complete, entity["id"]))
            rows += [
                (complete, f"{site}:{sitelinks[site]['title']}", entity["id"]) for site in SITES if site in sitelinks
            ]
    return Dump("extract_wikidata_ids", text, rows, names)


@cache
def table_dump():
    sample = _sample("wikidatawiki-sample-wb_items_per_site.sql")
    text = re.sub(r"(?m)^INSERT .*\n", lambda statement: 6 * statement[0], sample).encode()
    rows = []
    for row in re.finditer(rb"\(\d+,(\d+),'(enwiki|jawiki)','((?:[^'\\]|\\.)*)'\)", text):
        title = re.sub(r"\\(.)", r"\1", row[3].decode())
        rows.append((row.end(), f"{row[2].decode()}:{title}", f"Q{row[1].decode()}"))
    return Dump("extract_wikidata_ids", text, rows, [])


def _sample(name):
    return (SAMPLE / name).read_text(encoding="utf-8")


FORMS = {
    "multistream.xml.bz2": (pages_dump, lambda text: multistream(text.decode())),
    "one-stream.xml.bz2": (pages_dump, lambda text: bz2.compress(text, 1)),
    "pages.xml.gz": (pages_dump, gzip.compress),
    "entities.json.bz2": (entities_dump, lambda text: bz2.compress(text, 1)),
    "entities.json.gz": (entities_dump, gzip.compress),
    "table.sql.gz": (table_dump, gzip.compress),
    "table.sql.bz2": (table_dump, lambda text: bz2.compress(text, 1)),
}


def run(dump, path, output, *options):
    """Run the dump's script on `path`; `(exit code, last line of standard error, standard output)`."""
    arguments = ["--dump_file", path, *options]
    if dump.script == "extract_wikipedia_redirects":
        arguments += ["--output_file", output / "r.tsv"]
    else:
        arguments += ["--output_dir", output, "--languages", ",".join(SITES.values())]
    result = run_here(f"{dump.script}.py", *arguments)
    return result.exit_code, (result.stderr.splitlines() or [""])[-1], result.stdout


def rows_in(output):
    files = {path.name: path.read_text(encoding="utf-8") for path in output.glob("*.tsv")}
    return {name: [tuple(line.split("\t")) for line in text.splitlines()] for name, text in files.items()}


def check(dump, path, folder, is_cut):
    """Both runs on the damaged `path`; the end of what was used, or None where nothing could be."""
    code, message, _ = run(dump, path, folder / "by default")
    if code == 0:
        assert not is_cut and rows_in(folder / "by default") == dump.expected(len(dump.text)), (
            "damaged where no text is"
        )
        return len(dump.text)
    assert code == 1 and message.startswith(f"error: {path}: "), message
    assert not list((folder / "by default").glob("*"))
    code, refusal, shown = run(dump, path, folder / "truncated", "--allow_truncated")
    if code:  # nothing to be used: no page of a language before the break, another format, gzip's only checksum
        assert not list((folder / "truncated").glob("*"))
        if "holds no page" not in refusal:
            assert not is_cut and re.search(
                "is corrupt|found something else|holds rows in an unknown|not UTF-8|is not JSON", refusal
            )
        return None
    reason = next(line for line in shown.splitlines() if "all after the break" in line)
    manifest = next((folder / "truncated").glob("*.manifest.json")).read_text(encoding="utf-8")
    assert reason.split("dropped: ")[1] in json.loads(manifest)["tally"][_unit(manifest)]["dropped"]
    told = re.search(r"near byte ([\d,]+) of ([\d,]+), after ([\d,]+) bytes of text", reason)
    end = int(told[3].replace(",", "")) if told else len(dump.text)
    if told:
        assert int(told[1].replace(",", "")) <= path.stat().st_size == int(told[2].replace(",", ""))
        assert told[0] in message, "the error names the byte, too"
    else:  # the cut is between two streams; the text tells
        assert "ends without" in message
        end = len(_all_that_decompresses(path))
    assert rows_in(folder / "truncated") == dump.expected(end)
    for name in dump.last_name(end):
        assert f"is {name};" in message or f"that of {name};" in message, (message, name)
    return end


def _unit(manifest):
    return next(iter(json.loads(manifest)["tally"]))


def _all_that_decompresses(path):
    content, text = path.read_bytes(), b""
    while content and path.suffix == ".bz2":
        decompressor = bz2.BZ2Decompressor()
        text += decompressor.decompress(content)
        content = decompressor.unused_data
    return text or content


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_dump_is_used_up_to_the_cut_or_refused(request, tmp_path, form):
    make, compress = FORMS[form]
    dump = make()
    whole = compress(dump.text)
    drawn = random.Random(f"cut {form}")
    used = 0
    for number in range(50 if request.config.getoption("--thorough") else 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / form
        path.write_bytes(whole[: drawn.randrange(1, len(whole))])
        end = check(dump, path, folder, is_cut=True)
        if end is not None and form.endswith(".bz2"):
            assert end == len(_all_that_decompresses(path)), "everything before the break"
        used += bool(end)
    assert used


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_byte_is_never_passed_on_as_text(request, tmp_path, form):
    make, compress = FORMS[form]
    dump = make()
    whole = compress(dump.text)
    drawn = random.Random(f"flip {form}")
    for number in range(50 if request.config.getoption("--thorough") else 3):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / form
        damaged = bytearray(whole)
        damaged[drawn.randrange(len(whole))] ^= drawn.randrange(1, 256)
        path.write_bytes(damaged)
        check(dump, path, folder, is_cut=False)


@pytest.mark.parametrize("name", ["jawiki-truncated-download.xml.bz2", "viwiki-cut-before-end-tag.xml"])
def test_real_downloads_that_broke_off(shared, tmp_path, name):
    path = shared / "data/wikipedia" / name
    text = _all_that_decompresses(path)
    dump = Dump("extract_wikipedia_redirects", text, *read_pages(text))
    assert check(dump, path, tmp_path, is_cut=True) == len(text)
