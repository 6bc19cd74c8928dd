"""The inputs of the corpus benchmark are what they say: the sample, repeated, its entities of the usual length."""

import bz2
import json
from pathlib import Path

from benchmarks.corpus import Floor, Step, script, time_step
from benchmarks.inputs import fill_entities, repeat_dump


def test_filled_entities_are_of_wikidatas_length_and_otherwise_the_same():
    sample = (Path(__file__).parents[1] / "sample" / "wikidata-sample.json").read_bytes()
    filled = json.loads(fill_entities(sample).decode().replace(",\n]", "\n]"))
    for before, after in zip(json.loads(sample), filled, strict=True):
        assert 13_000 < len(json.dumps(after, ensure_ascii=False, separators=(",", ":")).encode()) < 15_000
        assert after | {"claims": None} == before | {"claims": None}


def test_a_repeated_dump_has_the_size_asked_for_and_one_head_and_foot(tmp_path):
    text = b"<mediawiki>\n  <page>a</page>\n  <page>b</page>\n</mediawiki>\n"
    dump = repeat_dump(text, tmp_path / "d.xml.bz2", b"  <page>", b"</mediawiki>", 1000)
    repeated = bz2.decompress(dump.path.read_bytes())
    assert len(repeated) == round(dump.megabytes * 1e6) and 900 < len(repeated) <= 1000 + len(text)
    assert repeated.count(b"<mediawiki>") == repeated.count(b"</mediawiki>") == 1
    assert repeated.count(b"a</page>") == repeated.count(b"b</page>")


def test_every_round_does_the_work_again(tmp_path):
    dump, output = Path(__file__).parents[1] / "sample/jawiki-sample-pages-articles.xml", tmp_path / "redirects.tsv"
    command = script("extract_wikipedia_redirects.py", dump_file=dump, output_file=output)
    step = Step("redirects", 1.0, "MB", command, Floor("nothing", ["true"]))
    written = []
    for _ in range(2):
        row = time_step(step, rounds=1)
        written.append(output.stat().st_mtime_ns)
    assert written[0] < written[1]
    assert row.cells()[:2] == ["redirects", "1.0 MB"] and row.cells()[4] == "nothing"
