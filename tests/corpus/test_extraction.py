"""Extraction as a step: which pages are articles, what is counted, and that nothing depends on the number of processes.

What wikitext means is the matter of test_wikitext_cases.py.
"""

import json
from xml.sax.saxutils import escape, quoteattr

import pytest
from conftest import run_here
from datasets import load_from_disk

from leia.base.step import Tally

REAL_DUMPS = {
    "ja": "jawiki-sample-pages-articles.xml.bz2",
    "nv": "nvwiki-latest-pages-articles.xml.bz2",
    "ltg": "ltgwiki-latest-pages-articles.xml.bz2",
}
NAMESPACES = {6: "Fil", 10: "Mal", 14: "Kategori", 100: "Portal"}


def dump_of(*pages: str, site: str = "nowiki", case: str = "first-letter", namespaces=NAMESPACES) -> str:
    language = site.removesuffix("wiki")
    names = "".join(f'<namespace key="{key}" case="{case}">{name}</namespace>' for key, name in namespaces.items())
    return (
        f'<mediawiki xml:lang="{language}">\n<siteinfo><dbname>{site}</dbname>'
        f"<base>https://{language}.wikipedia.org/wiki/X</base><case>{case}</case>"
        f"<namespaces>{names}</namespaces></siteinfo>\n{''.join(pages)}</mediawiki>\n"
    )


def page(title: str, text: str | None, namespace: int | None = 0, redirect: str = "", model: str = "wikitext") -> str:
    ns = "" if namespace is None else f"<ns>{namespace}</ns>"
    to = f"<redirect title={quoteattr(redirect)} />" if redirect else ""
    content = '<text bytes="0" deleted="deleted" />' if text is None else f"<text>{escape(text)}</text>"
    return (
        f"  <page>\n    <title>{escape(title)}</title>\n    {ns}<id>1</id>{to}\n"
        f"    <revision><id>1</id><model>{model}</model>{content}</revision>\n  </page>\n"
    )


@pytest.fixture
def extract(tmp_path):
    """Extract a dump; gives what `CliRunner` says, the articles by title (None after an error) and the manifest."""

    def run(dump: str, *options: object, language: str = "no", ids: str = "Europa\tQ46\nMar\tQ165\n"):
        (tmp_path / "dump.xml").write_text(dump, encoding="utf-8")
        (tmp_path / f"{language}-wikidata-ids.tsv").write_text(ids, encoding="utf-8")
        redirects = ["--dump_file", tmp_path / "dump.xml", "--output_file", tmp_path / "r.tsv", "--overwrite"]
        assert run_here("extract_wikipedia_redirects.py", *redirects).exit_code == 0
        out = tmp_path / "out"
        given = ["--dump_file", tmp_path / "dump.xml", "--redirect_file", tmp_path / "r.tsv", "--output_dir", out]
        given += ["--wikidata_id_file", tmp_path / f"{language}-wikidata-ids.tsv", "--num_workers", 1, "--overwrite"]
        finished = run_here("extract_articles.py", *given, *options)
        if finished.exit_code:
            return finished, None, None
        articles = {row["title"]: row for row in load_from_disk(str(out))}
        return finished, articles, json.loads((out / "manifest.json").read_text(encoding="utf-8"))

    return run


def test_a_page_is_an_article_by_its_namespace_alone(extract) -> None:
    pages = [page("Malta", "I [[Europa]]."), page("Mali: X", "I [[Europa]]."), page("Mal:Y", "I [[Europa]].", 10)]
    pages += [page("Portal:Z", "I [[Europa]].", 100), page("Bare", "I [[Europa]].", namespace=None)]
    pages += [page("Kategori:Old", "I [[Europa]].", namespace=None), page("R", "#REDIRECT [[Malta]]", redirect="Malta")]
    _, articles, manifest = extract(dump_of(*pages))
    assert sorted(articles) == ["Bare", "Mali: X", "Malta"]
    reasons = {"in another namespace than that of articles": 3, "a redirect": 1}
    assert manifest["tally"]["pages"] == {"read": 7, "kept": 3, "dropped": reasons}


def test_pages_without_words_links_or_wikitext_are_counted(extract) -> None:
    pages = [page("A", "I [[Europa]]."), page("B", "Ingen lenke."), page("C", "{{x}}"), page("D", None)]
    pages += [page("E", '{"a": "[[Europa]]"}', model="json")]
    _, articles, manifest = extract(dump_of(*pages))
    assert list(articles) == ["A"]
    dropped = {"no text": 2, "no link to an article": 1, "not wikitext": 1}
    assert manifest["tally"]["articles"] == {"read": 5, "kept": 1, "dropped": dropped}
    assert manifest["tally"]["links"] == {"read": 1, "kept": 1, "dropped": {}}


def test_links_go_through_redirects_to_ids_and_an_article_wins_over_a_redirect(extract) -> None:
    text = "[[Hav|a]], [[hav|b]], [[Mar]], [[Europa (verdensdel)|c]], [[Ukjent]]"
    pages = [page("A", text), page("Hav", "", redirect="Mar"), page("Mar", "x"), page("Mar", "", redirect="Europa")]
    pages += [page("Europa (verdensdel)", "", redirect="Europa")]
    _, articles, _ = extract(dump_of(*pages))
    assert [(anchor["title"], anchor["wikidata_id"]) for anchor in articles["A"]["anchors"]] == [
        ("Mar", "Q165"),
        ("Mar", "Q165"),
        ("Mar", "Q165"),
        ("Europa", "Q46"),
        ("Ukjent", None),
    ]


def test_in_a_case_sensitive_wiki_the_first_letter_tells_pages_apart(extract) -> None:
    pages = [page("a", "[[mar]] [[Mar]]"), page("x", "", redirect="mar"), page("b", "[[x]]")]
    dump = dump_of(*pages, site="jbowiki", case="case-sensitive")
    _, articles, _ = extract(dump, language="jbo", ids="mar\tQ1\nMar\tQ2\n")
    ids = {title: [anchor["wikidata_id"] for anchor in row["anchors"]] for title, row in articles.items()}
    assert ids == {"a": ["Q1", "Q2"], "b": ["Q1"]}


def test_a_variant_is_chosen_and_one_that_the_language_lacks_is_refused(extract) -> None:
    dump = dump_of(page("A", "-{zh-hans:电脑;zh-hant:電腦}-是[[Mar]]。"), site="zhwiki")
    assert extract(dump, language="zh")[1]["A"]["text"].strip() == "电脑是Mar。"
    assert extract(dump, "--variant", "zh-hant", language="zh")[1]["A"]["text"].strip() == "電腦是Mar。"
    assert extract(dump, "--variant", "zh-tw", language="zh")[1]["A"]["text"].strip() == "電腦是Mar。"
    refused, _, _ = extract(dump, "--variant", "de", language="zh")
    assert (
        refused.exit_code == 2
        and "--variant: 'de' is no variant of 'zh'; expected one of zh, zh-hans" in refused.stderr
    )
    refused, _, _ = extract(dump_of(page("A", "[[Mar]]")), "--variant", "nb")
    assert refused.exit_code == 2 and "'nb' is no variant of 'no', which is written in one way only" in refused.stderr


def test_large_losses_are_named_in_the_last_lines(extract) -> None:
    pages = [page(f"A{number}", "[[Mar]] {{x|[[Mar]]}}\n* [[Mar]]\n* [[Mar]]") for number in range(40)]
    finished, _, _ = extract(dump_of(*pages, page("B", "Ingen lenke.")))
    *_, written, articles, lists, templates = finished.stdout.splitlines()
    assert written.startswith("written: ")
    assert articles == "note: 1 of 41 articles (2.4%) were dropped: no link to an article"
    assert lists == "note: 80 of 160 links (50.0%) were dropped: in a list"
    assert templates == "note: 40 of 160 links (25.0%) were dropped: in a template"


def test_a_loss_of_exactly_the_share_is_not_named() -> None:
    tally = Tally("links", 95, alarm=0.05)
    tally.drop("x", 5)
    assert tally.large_losses() == []
    tally.drop("x")
    assert tally.large_losses() == ["note: 6 of 101 links (5.9%) were dropped: x"]


def test_a_link_that_nothing_accounts_for_is_told(extract, monkeypatch) -> None:
    from leia.corpus.wikitext import reading

    monkeypatch.setattr(reading, "drop_lists", lambda text, dropped: text.replace("* [[Mar]]", ""))
    finished, _, manifest = extract(dump_of(page("A", "[[Europa]]\n* [[Mar]]")))
    assert "warning: A: 1 links are not accounted for; this is a bug, please report it" in finished.stderr
    assert manifest["tally"]["links"]["dropped"] == {"not accounted for (a bug)": 1}


def test_a_dump_without_articles_is_an_error(extract) -> None:
    finished, _, _ = extract(dump_of(page("Mal:A", "[[Mar]]", 10), page("B", "x")))
    assert finished.exit_code == 1 and "found 2 pages, of which 1 are articles and none has a link" in finished.stderr


def test_ids_and_redirects_of_another_wiki_are_refused(extract) -> None:
    finished, _, _ = extract(dump_of(page("A", "[[Mar]]")), language="sv")
    assert finished.exit_code == 1 and "sv-wikidata-ids.tsv: is named as the ids of 'sv'; expected" in finished.stderr
    finished, _, _ = extract(dump_of(page("A", "[[Mar]]")), ids="Annet\tQ1\n")
    assert finished.exit_code == 0 and "warning: no link has a Wikidata id; is " in finished.stderr


def test_the_output_does_not_depend_on_the_number_of_processes(sample_corpus, run_script, tmp_path) -> None:
    wiki = sample_corpus.wikis["ja"]
    given = ["--dump_file", wiki.dump, "--redirect_file", wiki.redirects, "--wikidata_id_file", wiki.ids]
    run_script("extract_articles.py", *given, "--output_dir", tmp_path / "out", "--num_workers", 3)
    for path in wiki.preprocessed.iterdir():
        assert (tmp_path / "out" / path.name).read_bytes() == path.read_bytes(), path.name


@pytest.mark.parametrize("language", REAL_DUMPS)
def test_every_link_of_a_real_dump_is_accounted_for(language, shared, tmp_path) -> None:
    dump = shared / "data/wikipedia" / REAL_DUMPS[language]
    given = ["--redirect_file", shared / f"expected/{language}wiki-redirects.tsv", "--output_dir", tmp_path / "out"]
    given += ["--wikidata_id_file", shared / f"expected/{language}-wikidata-ids.tsv", "--num_workers", 1]
    assert run_here("extract_articles.py", "--dump_file", dump, *given).exit_code == 0
    tally = json.loads((tmp_path / "out/manifest.json").read_text(encoding="utf-8"))["tally"]
    assert tally["pages"]["kept"] == tally["articles"]["read"]
    assert tally["articles"]["kept"] == len(rows := load_from_disk(str(tmp_path / "out")))
    assert tally["links"]["kept"] == sum(map(len, rows["anchors"]))
    for counted in tally.values():
        assert counted["read"] == counted["kept"] + sum(counted["dropped"].values())
    assert "not accounted for (a bug)" not in tally["links"]["dropped"] and tally["links"]["read"] > 10_000
