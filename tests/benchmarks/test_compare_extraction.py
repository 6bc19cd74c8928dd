"""The comparison of both ways: it names the reason of a difference, and it never names one for a loss of ours."""

import re
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from click.testing import CliRunner
from conftest import run_here
from datasets import load_from_disk

from benchmarks.compare_extraction import compare, main
from benchmarks.differences import Explainer, KeptLinks, count_links
from benchmarks.two_ways import END, START, WORDS, Dump

SAMPLES = Path(__file__).parents[1] / "sample"
SHARED_DUMPS = (
    ("ltgwiki-latest-pages-articles.xml.bz2", False),
    ("nvwiki-latest-pages-articles.xml.bz2", False),
    ("jawiki-sample-pages-articles.xml.bz2", False),
    ("jawiki-truncated-download.xml.bz2", True),
    ("viwiki-cut-before-end-tag.xml", True),
)
PLAIN = "Oslo ligger i [[Norge]] ved en [[fjord|stor fjord]].\n\nByen er gammel."
# Title, wikitext, the reasons that are named.
PAGES = [
    ("Likt", PLAIN, ""),
    ("Mellomrom", "Oslo ligger i [[Norge]]. \n\n\n\nByen er gammel.  \n", ""),
    ("Malta", PLAIN, "title like the template namespace"),
    ("Endelse", "Flere [[skip]]ene ligger i [[Norge]].", "link trail"),
    ("Kolon", "Filmen [[2001: En romodyssé]] fra [[USA]] og [[Portal:Film|portalen]].", "title with a colon"),
    ("Liten", "I [[Norge]] <small>og [[Sverige]]</small> bor folk.", "small"),
    ("Tegn", "I [[Norge]] skrives >> og [[Sverige]] har <<.", "angle bracket that is no tag"),
    ("Referanse", "I [[Norge]] skrives &amp;lt; for et tegn.", "reference to an ampersand"),
    ("Styretegn", "I [[Norge]] skrives &#27; for et tegn.", "reference to a control character"),
    ("Parentes", "I [[Norge]] bor folk.\n\n(Og i [[Sverige]] bor folk.)", "bracketed paragraph"),
    ("Rest", "I [[Norge]] bor folk.\n\n|Og i [[Sverige]]", "line like the rest of a table"),
    ("Noinclude", "I [[Norge]] <noinclude>og [[Sverige]]</noinclude> bor folk.", "noinclude or onlyinclude"),
    ("Pre", "I [[Norge]] bor <pre>[[folk]]</pre> her.", "nowiki or pre"),
    ("Wikt", "I [[Norge]] bor [[wikt:folk|folk]].", "link to another wiki"),
    ("To", "Flere [[skip]]ene <small>og [[båt]]er</small> i [[Norge]].", "link trail, small"),
]
DROPS = {
    "a sentence": lambda text: text.replace("Byen er gammel.", ""),
    "a word": lambda text: text.replace("ligger ", ""),
    "a link with its words": lambda text: re.sub(f"{START}[^{END}]*{END}", "", text, count=1),
    "a link alone": lambda text: re.sub(f"{START}[^{WORDS}]*{WORDS}([^{END}]*){END}", r"\1", text, count=1),
    "the page of a link": lambda text: text.replace(f"{START}Norge", f"{START}Sverige"),
    "the article": lambda text: None,
}
FAULTY = "Flere [[skip]]ene i [[Norge]] <small>og [[Sverige]]</small> >> her.\n\nByen er gammel.\n\n(Slik [[er]] det.)"


def dump_of(folder: Path, pages: dict[str, str]) -> Dump:
    elements = "".join(
        f"  <page>\n    <title>{title}</title>\n    <ns>0</ns>\n    <id>{number}</id>\n    <revision>\n"
        f'      <id>1</id>\n      <model>wikitext</model>\n      <text xml:space="preserve">{escape(text)}</text>\n'
        "    </revision>\n  </page>\n"
        for number, (title, text) in enumerate(pages.items(), start=1)
    )
    names = "".join(f'      <namespace key="{key}" case="first-letter">{name}</namespace>\n'
                    for key, name in ((6, "Fil"), (10, "Mal"), (14, "Kategori"), (100, "Portal")))  # fmt: skip
    path = folder / "nowiki.xml"
    path.write_text(
        '<mediawiki xml:lang="no">\n  <siteinfo>\n    <dbname>nowiki</dbname>\n'
        "    <base>https://no.wikipedia.org/wiki/X</base>\n    <case>first-letter</case>\n"
        f"    <namespaces>\n{names}    </namespaces>\n  </siteinfo>\n{elements}</mediawiki>\n",
        "utf-8",
    )
    return Dump([path], None, 1, False)


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    return compare(dump_of(tmp_path_factory.mktemp("dump"), {title: text for title, text, _ in PAGES}))


@pytest.mark.parametrize(("title", "reasons"), [(title, reasons) for title, _, reasons in PAGES])
def test_each_defect_of_wikiextractor_is_named_and_nothing_beside_it(compared, title, reasons):
    """Claim: the reasons given are those without which the articles would be equal."""
    found = compared.articles[title]
    assert found is not None, compared.examples[title]
    assert ", ".join(sorted(reason.name for reason in found)) == ", ".join(sorted(filter(None, reasons.split(", "))))


def test_the_summary_adds_up_and_says_what_became_of_links(compared):
    """Claim: equal, named and unexplained are all of the articles."""
    lines = list(compared.summary())
    assert lines[0] == f"nowiki: {len(PAGES)} articles, 2 (13.3%) equal"
    assert lines[1] == "13 (86.7%) differ for named reasons alone, 0 (0.0%) differ without a named reason"
    assert any(line.strip().startswith("2  link trail: ") for line in lines)
    assert not compared.links.lost and compared.links.set_aside == 1


@pytest.mark.parametrize("wikitext", [PLAIN, f"{PLAIN}\n\n{FAULTY}"], ids=["equal else", "named else"])
def test_what_our_own_way_lost_has_no_named_reason(tmp_path, wikitext):
    """Claim: no reason hides the loss of text or links, not in an article that differs for named reasons, too."""
    dump = dump_of(tmp_path, {f"Side {number}": wikitext for number in range(len(DROPS))} | {"Hel": wikitext})
    own, dropped = dump.own(), {}
    for number, (what, drop) in enumerate(DROPS.items()):
        title = f"Side {number}"
        less = drop(own[title])
        assert less != own[title], what
        dropped[title] = what
        own = {**own, title: less} if less else {kept: text for kept, text in own.items() if kept != title}
    explained = Explainer(dump, own).explain([*dropped, "Hel"])
    assert [dropped.get(title, title) for title in explained] == ["Hel"]


def test_a_link_that_our_own_way_lost_is_counted_as_lost(tmp_path):
    """Claim: a link may grow by its trail; it may not lead elsewhere, be gone, or lose words."""
    dump = dump_of(tmp_path, {"Side": PLAIN})
    article = dump.own()["Side"]

    def count(mine: str, explained: tuple[str, ...] = ()) -> KeptLinks:
        return count_links(dump, {"Side": article}, {"Side": mine} if mine else {}, explained)

    grown = count(article.replace(f"stor fjord{END}", f"stor fjorden{END}"))
    assert (grown.kept, grown.lost, grown.gained) == (2, [], 0)
    for words in ("fjord", "stor"):
        assert count(article.replace(f"stor fjord{END}", f"{words}{END}")).lost == [("Side", "Fjord", "stor fjord")]
    assert count(DROPS["a link alone"](article)).lost == [("Side", "Norge", "Norge")]
    assert count(DROPS["the page of a link"](article)).lost == [("Side", "Norge", "Norge")]
    assert len(count("").lost) == 2
    named = count("", explained=("Side",))
    assert not named.lost and len(named.gone) == 2


def test_both_ways_are_those_of_the_steps(sample_corpus, tmp_path):
    """Claim: what is compared is what preprocess_wikipedia.py and extract_articles.py write."""
    pages = sample_corpus.wikis["ja"].dump
    dump = Dump([pages], None, 1, False)
    redirects, ids, text = tmp_path / "r.tsv", tmp_path / "ja-wikidata-ids.tsv", tmp_path / "text"
    ids.write_text("no page\tQ1\n", "utf-8")
    files = ("--redirect_file", redirects, "--wikidata_id_file", ids, "--num_workers", 1)
    for name, *options in (
        ("extract_wikipedia_redirects.py", "--dump_file", pages, "--output_file", redirects),
        ("run_wikiextractor.py", "--dump_file", pages, "--output_dir", text, "--processes", 1),
        ("preprocess_wikipedia.py", "--wikiextractor_output_dir", text, *files, "--output_dir", tmp_path / "published"),
        ("extract_articles.py", "--dump_file", pages, *files, "--output_dir", tmp_path / "own"),
    ):
        finished = run_here(name, *options)
        assert finished.exit_code == 0, finished.output
    published = {title: text for title, text in dump.published().items() if START in text}
    for folder, articles in (("published", published), ("own", dump.own())):
        rows = load_from_disk(str(tmp_path / folder)).to_list()
        assert len(rows) > 10 and {row["title"]: marked(row) for row in rows} == articles


def marked(row: dict) -> str:
    text, position, parts = row["text"], 0, []
    for anchor in row["anchors"]:
        start, end = anchor["start"], anchor["end"]
        parts += [text[position:start], f"{START}{anchor['title']}\t{WORDS}{text[start:end]}{END}"]
        position = end
    return "".join([*parts, text[position:]])


def test_the_command_prints_a_summary_and_writes_a_line_for_each_article(tmp_path):
    """Claim: called as in its docstring it needs nothing but the dump."""
    output = tmp_path / "articles.tsv"
    dump = SAMPLES / "eswiki-sample-pages-articles.xml"
    result = CliRunner().invoke(main, [str(dump), "--show", "1", "--output_file", str(output), "--num_workers", "1"])
    assert result.exit_code == 0, result.output
    lines = output.read_text("utf-8").splitlines()
    equal = sum(line.endswith("\tequal") for line in lines)
    assert 0 < equal < len(lines) and f"eswiki: {len(lines)} articles, {equal} (" in result.output
    assert "link trail: letters that follow a link belong to it" in result.output
    assert " 0 lost" in result.output and "0 (0.0%) differ without a named reason" in result.output


def test_a_dump_that_breaks_off_is_one_line(tmp_path):
    """Claim: a user's mistake is no traceback."""
    path = tmp_path / "d.xml"
    path.write_text((SAMPLES / "eswiki-sample-pages-articles.xml").read_text("utf-8")[:-20], "utf-8")
    result = CliRunner().invoke(main, [str(path)])
    assert result.exit_code == 1 and "--allow_truncated" in result.output
    assert "Traceback" not in result.output


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "truncated"), SHARED_DUMPS)
def test_on_real_dumps_differences_have_named_reasons_and_no_link_is_lost(shared, name, truncated):
    """Claim: at least 99% of articles are equal or differ for named reasons alone."""
    compared = compare(Dump([shared / "data" / "wikipedia" / name], None, 1, truncated))
    unexplained = [title for title, reasons in compared.articles.items() if reasons is None]
    assert len(unexplained) <= len(compared.articles) / 100, unexplained
    assert not compared.links.lost
