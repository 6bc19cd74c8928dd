"""Sections of a dump: where they begin in hostile wikitext, which are kept, and the Wikidata ids of their links."""

from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

import pyarrow as pa
import pytest

from leia.base.errors import InputError
from leia.base.step import Counts
from leia.corpus.siteinfo import Wiki
from leia.corpus.wikitext.reading import WikitextReader
from leia.retrieval.sections import SECTIONS_SCHEMA, read_sections

LONG = "En by ligger ved kysten. Der bor mange folk."
SPLIT = [("", "Innledning."), ("X", "Tekst.")]
WHOLE = [("", "Innledning.")]


def sections_of(wikitext: str, language: str = "no") -> list[tuple[str, str]]:
    read = WikitextReader(Wiki(f"{language}wiki", language)).read_sections(wikitext, "A")
    return [(section.heading, section.text) for section in read.sections]


@pytest.mark.parametrize(
    ("wikitext", "expected"),
    [
        pytest.param("", [("", "")], id="nothing"),
        pytest.param("Innledning.", WHOLE, id="no heading"),
        pytest.param("Innledning.\n== X ==\nTekst.", SPLIT, id="a heading"),
        pytest.param("== X ==\nTekst.", [("", ""), ("X", "Tekst.")], id="no lead"),
        pytest.param("Innledning.\n== X ==\n== Y ==\nTekst.", [*WHOLE, ("X", ""), ("Y", "Tekst.")], id="no text"),
        pytest.param("Innledning.\n==X==  \nTekst.", SPLIT, id="no spaces"),
        pytest.param("Innledning.\n== X ==<!-- c -->\nTekst.", SPLIT, id="a comment behind it"),
        pytest.param("Innledning.\n== X ==<ref>n</ref>\nTekst.", SPLIT, id="a note behind it"),
        pytest.param("Innledning.\n{{anker}}== X ==\nTekst.", SPLIT, id="a template before it"),
        pytest.param("Innledning.\n== X ===\nTekst.", [*WHOLE, ("X =", "Tekst.")], id="more signs behind"),
        pytest.param("Innledning.\n=== X ==\nTekst.", [*WHOLE, ("= X", "Tekst.")], id="more signs before"),
        pytest.param("Innledning.\n== [[Mar|''X'']] ==\nTekst.", [*WHOLE, ('"X"', "Tekst.")], id="link and italics"),
        pytest.param("Innledning.\n== '''X''' ==\nTekst.", SPLIT, id="bold"),
        pytest.param(
            "Innledning.\n== A &amp; <nowiki>''B''</nowiki> ==\nT.", [*WHOLE, ("A & ''B''", "T.")], id="literal"
        ),
        pytest.param("Innledning.\n== {{x}} ==\nTekst.", [*WHOLE, ("", "Tekst.")], id="words from a template"),
        pytest.param("Innledning.\n=={{x}}==\nTekst.", [*WHOLE, ("", "Tekst.")], id="the same without spaces"),
        pytest.param("Innledning.\n=== X ===\nTekst.", [("", "Innledning.\nTekst.")], id="level 3"),
        pytest.param("Innledning.\n==={{x}}===\nTekst.", [("", "Innledning.\nTekst.")], id="level 3 from a template"),
        pytest.param(
            "Innledning.\n== X ==\nTekst.\n=== Y ===\nMer.\n==== Z ====\nEnd.",
            [*WHOLE, ("X", "Tekst.\nMer.\nEnd.")],
            id="with its subsections",
        ),
        pytest.param("Innledning.\n<!-- \n== X ==\n-->", WHOLE, id="in a comment"),
        pytest.param("Innledning.\n<!-- \n== X ==\n", WHOLE, id="in a comment without an end"),
        pytest.param("Innledning.<ref>\n== X ==\n</ref>", WHOLE, id="in a note"),
        pytest.param("Innledning.{{x|\n== X ==\n}}", WHOLE, id="in a template"),
        pytest.param("Innledning.\n{|\n|\n== X ==\nTekst.\n|}", WHOLE, id="in a table"),
        pytest.param("Innledning.<table><tr><td>\n== X ==\n</td></tr></table>", WHOLE, id="in a table of HTML"),
        pytest.param("<nowiki>\n== X ==\n</nowiki> a.", [("", "== X ==  a.")], id="in nowiki"),
        pytest.param("A <pre>\n== X ==\n</pre>", [("", "A \n== X ==")], id="in pre"),
        pytest.param("<gallery>\n== X ==\n</gallery>A.", [("", "A.")], id="in a gallery"),
        pytest.param("[[Mar|a\n== X ==\nb]]", [("", "a == X == b")], id="in the words of a link"),
        pytest.param("A.\n == X ==\nB.", [("", "A.\n == X ==\nB.")], id="indented"),
        pytest.param("A.\n= X =\nB.", [("", "A.\n= X =\nB.")], id="level 1"),
        pytest.param("A.\n== X ==\n* B\n# C\n{|\n| D\n|}", [("", "A."), ("X", "")], id="lists and tables alone"),
    ],
)
def test_where_sections_begin(wikitext, expected) -> None:
    assert sections_of(wikitext) == expected


@pytest.mark.parametrize(
    "case", ["[[Mar]]\n== [[Mar]] ==\n[[Mar]] [[Mar| ]]\n== [[Mar|&nbsp;]] ==\n=== [[Mar]] ===\n* [[Mar]]"]
)
def test_every_link_is_in_a_section_or_dropped(case) -> None:
    read = WikitextReader(Wiki("nowiki", "no")).read_sections(case)
    assert read.links == 7 == sum(len(section.titles) for section in read.sections) + read.dropped.total()
    assert read.dropped["in a heading"] == 3


def test_the_paragraphs_of_the_sections_are_those_of_the_whole_article(sample_dumps) -> None:
    """The reader of sections shares its code with that of articles, and so its text, headings apart."""
    from leia.corpus.dumps import PAGE_END
    from leia.corpus.extraction import article_of, wiki_of

    for dump in sample_dumps.values():
        wiki = wiki_of([dump])
        reader = WikitextReader(wiki)
        for page in dump.read_bytes().split(PAGE_END)[:-1]:
            if article := article_of(page, wiki, Counts()):
                lines = reader.read(article[1], article[0]).text.split("\n")
                own = [
                    line
                    for _, text, _ in reader.read_sections(article[1], article[0]).sections
                    for line in text.split("\n")
                ]
                rest = iter(lines)
                assert all(line in rest for line in own if line), "in the same order"


@pytest.fixture(scope="session")
def sample_dumps() -> dict[str, Path]:
    sample = Path(__file__).parents[1] / "sample"
    return {language: sample / f"{language}wiki-sample-pages-articles.xml" for language in ("es", "ja")}


@dataclass
class Read:
    rows: list[dict]
    counts: Counts


@pytest.fixture
def read(tmp_path):
    """Read the sections of pages (title and wikitext) of a Norwegian dump."""

    def run(
        *pages: tuple[str, str], ids: str = "Europa\tQ46\nMar\tQ165\nA\tQ1\nB\tQ2\n", workers: int = 1, **settings
    ) -> Read:
        elements = "".join(
            f"<page><title>{escape(title)}</title><ns>0</ns><id>1</id>"
            f"<revision><model>wikitext</model><text>{escape(text)}</text></revision></page>\n"
            for title, text in pages
        )
        head = "<mediawiki><siteinfo><dbname>nowiki</dbname><base>https://no.wikipedia.org/wiki/X</base></siteinfo>"
        (tmp_path / "dump.xml").write_text(f"{head}\n{elements}</mediawiki>\n", encoding="utf-8")
        (tmp_path / "no-wikidata-ids.tsv").write_text(ids, encoding="utf-8")
        (tmp_path / "redirects.tsv").write_text("Hav\tMar\nSelf\tA\n", encoding="utf-8")
        counts = Counts()
        files = [tmp_path / "dump.xml"], tmp_path / "redirects.tsv", tmp_path / "no-wikidata-ids.tsv"
        batches = list(read_sections(*files, workers, counts, **settings))
        return Read(pa.Table.from_batches(batches, SECTIONS_SCHEMA).to_pylist(), counts)

    return run


def test_a_row_has_the_ids_of_its_article_and_of_its_links(read) -> None:
    text = f"{LONG} [[Hav]], [[Europa]], [[Mar]], [[A]], [[Self]], [[Ukjent]].\n== X ==\n{LONG}"
    (lead, section) = read(("A", text)).rows
    assert lead.pop("text").startswith(LONG) and section.pop("text") == LONG
    assert lead == {"id": "no-Q1-0", "wikidata_id": "Q1", "title": "A", "heading": "", "link_ids": ["Q165", "Q46"]}
    assert section == {"id": "no-Q1-1", "wikidata_id": "Q1", "title": "A", "heading": "X", "link_ids": []}


def test_the_number_of_a_section_counts_those_that_are_left_out(read) -> None:
    found = read(("A", f"Kort.\n== X ==\n== Y ==\n{LONG}"))
    assert [row["id"] for row in found.rows] == ["no-Q1-2"]
    dropped = {"no text": 1, "too short: one sentence or none, and few characters": 1}
    assert found.counts.count("sections").as_dict() == {"read": 3, "kept": 1, "dropped": dropped}


@pytest.mark.parametrize(
    ("text", "kept"),
    [("En to.", 0), ("En to. Tre fire.", 1), ("En\nTo", 1), ("a" * 99, 0), ("a" * 100, 1), ("", 0)],
)
def test_two_sentences_or_100_characters_are_enough(read, text, kept) -> None:
    assert len(read(("A", text), ("B", LONG)).rows) == kept + 1


def test_the_length_filter_may_be_switched_off_but_not_for_sections_without_text(read) -> None:
    assert len(read(("A", "Kort.\n== X ==\n== Y ==\nKort."), min_sentences=0).rows) == 2


def test_articles_without_an_id_or_with_one_that_was_met_are_counted(read) -> None:
    found = read(
        ("A", LONG), ("C", LONG), ("B", "Kort."), ("Å", f"{LONG}\n== X ==\n{LONG}"), ids="A\tQ1\nB\tQ2\nÅ\tQ1\n"
    )
    assert [row["title"] for row in found.rows] == ["A"]
    reasons = ["an earlier article has the same Wikidata id", "no Wikidata id", "no section that is long enough"]
    articles = found.counts.count("articles")
    assert articles.as_dict() == {"read": 4, "kept": 1, "dropped": dict.fromkeys(reasons, 1)}
    assert found.counts.count("sections").dropped[reasons[0]] == 2


def test_the_output_does_not_depend_on_the_number_of_processes(read) -> None:
    pages = [(f"T{number}", f"{LONG} [[Mar]] {number}\n== X ==\n{LONG}") for number in range(450)]
    ids = "Mar\tQ165\n" + "".join(f"T{number}\tQ{number % 440 + 1000}\n" for number in range(450))
    one, three = read(*pages, ids=ids), read(*pages, ids=ids, workers=3)
    assert one.rows == three.rows and one.counts.as_dict() == three.counts.as_dict()
    assert len(one.rows) == 880 == one.counts.count("sections").kept


@pytest.mark.parametrize(
    ("pages", "ids", "message"),
    [
        ([("A", LONG)], "B\tQ2\n", "found 1 pages, of which 1 are articles and none has a Wikidata id; is "),
        ([("A", "Kort.")], "A\tQ1\n", "found 1 pages, of which 1 are articles and none has a section"),
    ],
)
def test_a_dump_without_sections_is_one_line(read, pages, ids, message) -> None:
    with pytest.raises(InputError) as error:
        read(*pages, ids=ids)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_wikitext_with_very_many_headings_is_read_in_time() -> None:
    import time

    begun = time.monotonic()
    for hostile in (
        "== " * 200_000,
        "==" * 200_000,
        "== X ==\n" * 50_000,
        "== x" + " " * 200_000 + "y",
        "=" * 400_000 + " x",
    ):
        sections_of(hostile)
    assert time.monotonic() - begun < 20
