"""What the target of a link names: a table that a non-programmer can check.

Each line was checked with MediaWiki 1.39, but for the first letters that Wikimedia keeps (Georgian, ß).
"""

import pytest

from leia.corpus.languages import namespace_names
from leia.corpus.siteinfo import Wiki
from leia.corpus.targets import Kind, resolve_target

# target | wiki | what it names: the title of an article, or a word of KINDS (with the title behind a colon)
TABLE = """
España                    | es  | España
españa                    | es  | España
_Gran__ Bretaña_          | es  | Gran Bretaña
Gran&nbsp;Bretaña         | es  | Gran Bretaña
Espa%C3%B1a               | es  | España
Espa&#241;a               | es  | España
AT&amp;T                  | es  | AT&T
AT&T                      | es  | AT&T
100% Lucha                | es  | 100% Lucha
夏目　漱石                | ja  | 夏目 漱石
:España                   | es  | España
: _España                 | es  | España
es:España                 | es  | España
2001: Una odisea          | es  | 2001: Una odisea
Kategorie:Film            | es  | Kategorie:Film
Portal:España             | es  | Portal:España
Categoría:España          | es  | category
CATEGORY:España           | es  | category
:Categoría:España         | es  | other page
Archivo:X.jpg             | es  | file
image:X.jpg               | es  | file
ファイル:X.jpg            | ja  | file
:Archivo:X.jpg            | es  | other page
Usuario_discusión : X     | es  | other page
Wikipedia:Ayuda           | es  | other page
en:Spain                  | es  | other language
:en:Spain                 | es  | other wiki
wikt:casa                 | es  | other wiki
España#Historia           | es  | section
#Historia                 | es  | section
mlatu                     | jbo | mlatu
Mlatu                     | jbo | Mlatu
istanbul                  | tr  | İstanbul
თბილისი                   | ka  | თბილისი
ß                         | de  | ß
Espa{ña                   | es  | nothing
Espa&#91;ña               | es  | nothing
Espa%5Bña                 | es  | nothing
Espa&#7;ña                | es  | nothing
Espa&foo;ña               | es  | nothing
a~~~b                     | es  | nothing
./x                       | es  | nothing
x/../y                    | es  | nothing
:                         | es  | nothing
_                         | es  | nothing
Categoría:                | es  | nothing
Wikipedia::X              | es  | nothing
"""
KINDS = {
    "category": Kind.CATEGORY,
    "file": Kind.FILE,
    "other page": Kind.OTHER_NAMESPACE,
    "other language": Kind.INTERLANGUAGE,
    "other wiki": Kind.OTHER_WIKI,
    "section": Kind.SECTION,
    "nothing": Kind.NO_TITLE,
}
ROWS = [tuple(cell.strip(" ") for cell in line.split("|")) for line in TABLE.strip().split("\n")]


@pytest.mark.parametrize(("target", "language", "names"), ROWS)
def test_what_a_target_names(target, language, names):
    wiki = Wiki(f"{language}wiki", language, language != "jbo", namespace_names(language))
    resolved = resolve_target(target, wiki)
    if names in KINDS:
        assert resolved.kind is KINDS[names]
    else:
        assert (resolved.kind, resolved.title) == (Kind.ARTICLE, names)


@pytest.mark.parametrize(("letter", "longest"), [("x", 255), ("ñ", 127), ("日", 85)])
def test_a_title_is_of_255_bytes_at_most(letter, longest):
    wiki = Wiki("jawiki", "ja", True, namespace_names("ja"))
    assert resolve_target(letter * longest, wiki).kind is Kind.ARTICLE
    assert resolve_target(letter * (longest + 1), wiki).kind is Kind.NO_TITLE
