"""The comparison of the extractions names a difference by the one defect that it comes from, and excuses no other."""

from xml.sax.saxutils import escape

import pytest

from benchmarks.compare_extraction import compare
from benchmarks.two_ways import Dump
from leia.base.step import Counts
from leia.corpus.extraction import extract_articles
from leia.corpus.preprocessing import preprocess_files
from leia.corpus.wikiextractor import extract_articles as run_wikiextractor

HEAD = """<mediawiki version="0.11" xml:lang="es">
  <siteinfo>
    <dbname>eswiki</dbname>
    <base>https://es.wikipedia.org/wiki/Portada</base>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">Archivo</namespace>
      <namespace key="10" case="first-letter">Mal</namespace>
      <namespace key="14" case="first-letter">Categoría</namespace>
    </namespaces>
  </siteinfo>
"""
# Title, wikitext, and the reasons for the difference.
CASES = [
    ("Nada", "La [[pera]] es '''dulce''', y ''no'' [[Uva|las uvas]].", ""),
    ("Sufijo", "Los [[libro]]s del [[mar]].", "link trail"),
    ("Menor", "La [[pera]] <small>y el [[mar]]</small>.", "small"),
    ("Colon", "Vio [[2001: Una odisea]] en el [[mar]].", "title with a colon"),
    ("Otro", "Vio [[wikt:mar|el mar]] y la [[pera]].", "link elsewhere"),
    ("Flechas", "La [[pera]] >> el [[mar]].", "angle bracket that is no tag"),
    ("Fórmula", "Si a<b y [[pera]], <foo>entonces [[mar]]</foo>.", "angle bracket that is no tag"),
    ("Ins", "Se lee <ins>la [[pera]]</ins> en el [[mar]].", "tag around a link"),
    ("Paréntesis", "La [[pera]].\n\n(Y el [[mar]].)", "bracketed paragraph"),
    ("Nota", "La [[pera]] y <ref name=a>luego el [[mar]].", "unclosed extension tag"),
    ("Comentario", "La [[pera]] y [[m<!-- x -->ar]].", "comment"),
    ("Literal", "La [[pera]] y <nowiki>''[[mar]]''</nowiki>.", "nowiki or pre"),
    ("Canción", "La [[pera]]<score>{ c d }</score> y el [[mar]].", "source of an extension tag"),
    ("Índice", "La [[pera]].\n\n__SIN_TDC__\n\nEl [[mar]].", "behaviour switch"),
    ("Conjunto", "El {|x|} y la [[pera]] de {|[[mar]]|}.", "table mark in a line"),
    ("Direcciones", "Lea [http://a.org el libro de [[mar]]] y la [[pera]].", "address, and links in its words"),
    ("Espacios", "La [[pera]] y el [[mar  muerto]].", "title"),
    ("Vacío", "La [[pera]] y[[Mar|{{x}}]] todo.", "link without words"),
    ("Malta", "La [[pera]] de [[mar]].", "title like the template namespace"),
    ("Dos", "Los [[libro]]s <small>del [[mar]]</small>.", "small; link trail"),
]


def dump_of(folder, pages):
    path = folder / "eswiki.xml"
    texts = (
        f"  <page>\n    <title>{escape(title)}</title>\n    <ns>0</ns>\n    <id>{number}</id>\n    <revision>\n"
        f"      <id>{number}</id>\n      <model>wikitext</model>\n"
        f'      <text bytes="1" xml:space="preserve">{escape(wikitext)}</text>\n    </revision>\n  </page>\n'
        for number, (title, wikitext) in enumerate(pages, start=1)
    )
    path.write_text(f"{HEAD}{''.join(texts)}</mediawiki>\n", "utf-8")
    return path


def open_dump(path):
    return Dump([path], None, processes=1, allow_truncated=False)


def test_each_difference_is_named_by_the_one_defect_that_it_comes_from(tmp_path):
    comparison = compare(open_dump(dump_of(tmp_path, [case[:2] for case in CASES])))
    found = {t: None if why is None else "; ".join(r.name for r in why) for t, why in comparison.articles.items()}
    assert found == {title: reasons for title, _, reasons in CASES}
    assert comparison.links.lost == [("Literal", "Mar", "mar")]


@pytest.mark.parametrize(
    ("mistake", "lost"),
    [
        (lambda article: article.replace("del", "de", 1), 0),  # a letter
        (lambda article: article.replace("\x02Mar\t\x03mar\x04", "mar"), 1),  # a link
        (lambda article: article.replace("\x02Mar", "\x02Mal"), 1),  # a link to another page
        (lambda article: "", 2),  # the whole article
    ],
)
def test_a_mistake_of_our_own_way_is_not_excused_by_a_reason_beside_it(tmp_path, mistake, lost):
    dump = open_dump(dump_of(tmp_path, [("Sufijo", "Los [[libro]]s del [[mar]].")]))
    right = dump.own()
    dump.own = lambda: {title: mistake(article) for title, article in right.items()}
    comparison = compare(dump)
    assert comparison.articles == {"Sufijo": None} and "published" in comparison.examples["Sufijo"]
    assert len(comparison.links.lost) == lost


def test_both_ways_are_those_of_the_steps(tmp_path):
    """Else the comparison would be one of something else."""
    path = dump_of(tmp_path, [case[:2] for case in CASES])
    dump, (redirects, ids) = open_dump(path), (tmp_path / "redirects.tsv", tmp_path / "ids.tsv")
    redirects.write_text("Nadie\tNada\n"), ids.write_text("Nadie\tQ1\n")
    run_wikiextractor([path], tmp_path / "text", 1, Counts())
    published = preprocess_files(tmp_path / "text", redirects, ids, 1, Counts())
    own = extract_articles([path], redirects, ids, 1, Counts())
    for batches, way in ((published, dump.published()), (own, dump.own())):
        rows = [row for batch in batches for row in batch.to_pylist()]
        assert {row["title"]: marked(row) for row in rows} == {t: text for t, text in way.items() if "\x02" in text}


def marked(row):
    text, position = "", 0
    for anchor in row["anchors"]:
        start, end = anchor["start"], anchor["end"]
        text += f"{row['text'][position:start]}\x02{anchor['title']}\t\x03{row['text'][start:end]}\x04"
        position = end
    return text + row["text"][position:]
