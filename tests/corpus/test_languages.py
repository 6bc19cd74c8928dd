"""`leia/corpus/languages.json`: what MediaWiki knows of the languages, on rows that a reader can check."""

import json
import re
from pathlib import Path

import pytest

import leia.corpus

LANGUAGES = json.loads((Path(leia.corpus.__file__).parent / "languages.json").read_text(encoding="utf-8"))
ALL = LANGUAGES["all"]
CODES = sorted(set(LANGUAGES) - {"about", "all", "interwiki"})


def switches(code: str, kind: str) -> set[str]:
    own = LANGUAGES[code].get("switches", {})
    like = switches(own["like"], kind) if "like" in own else set(ALL["switches"][kind])
    return like | set(own.get(kind, []))


def namespaces(code: str) -> dict[str, int]:
    return ALL["namespaces"] | LANGUAGES[code].get("namespaces", {})


# What follows "]]", what of it the link takes.
TRAILS = [
    ("en", "s of", "s"),
    ("es", "ísimo país", "ísimo"),
    ("es", "2", ""),
    ("es", "Él", ""),
    ("de", "straße", "straße"),
    ("fr", "Écoles", "Écoles"),
    ("ru", "ами", "ами"),
    ("fa", "های", "های"),
    ("ar", "ين", "ين"),
    ("ja", "は日本", ""),
    ("ja", "s", "s"),
    ("zh", "s", ""),
    ("sr", "ом", "ом"),
    ("ca", "'hui", "'hui"),
    ("ca", "''", ""),
    ("br", "c'h", "c'h"),
    ("hy", "ներ»", "ներ»"),
]


@pytest.mark.parametrize(("code", "following", "trail"), TRAILS)
def test_link_trail(code: str, following: str, trail: str) -> None:
    """The letters behind a link that belong to its text are those of the language."""
    found = re.match(LANGUAGES[code].get("link_trail", ALL["link_trail"]), following)
    assert (found[0] if found else "") == trail


# A switch, and whether its letters' case counts.
SWITCHES = [
    ("en", "any_case", "__NOTOC__"),
    ("en", "exact", "__EXPECTED_UNCONNECTED_PAGE__"),
    ("es", "any_case", "__SIN_TDC__"),
    ("es", "exact", "__NOINDEXAR__"),
    ("de", "any_case", "__KEIN_INHALTSVERZEICHNIS__"),
    ("ja", "any_case", "__目次非表示__"),
    ("ar", "any_case", "__لافهرس__"),
    ("sr", "any_case", "__БЕЗСАДРЖАЈА__"),
    ("zh", "any_case", "__无目录__"),
    ("tt", "any_case", "__БЕЗ_ОГЛ__"),  # Tatar knows the Russian ones
    ("no", "exact", "__PEKER__"),  # Disambiguator's
]


@pytest.mark.parametrize(("code", "kind", "switch"), SWITCHES)
def test_switches(code: str, kind: str, switch: str) -> None:
    """Switches are known in the wiki's own language, and the English ones in every wiki."""
    assert switch in switches(code, kind)
    assert "__NOTOC__" in switches(code, "any_case")


# A name or an alias, and its namespace.
NAMESPACES = [
    ("en", "image", 6),
    ("es", "archivo", 6),
    ("es", "imagen", 6),
    ("es", "usuaria", 2),  # the feminine form
    ("ja", "ファイル", 6),
    ("ja", "画像", 6),
    ("zh", "分类", 14),
    ("zh", "分類", 14),
    ("ru", "к", 14),
    ("no", "mal", 10),
    ("de", "category", 14),
]


@pytest.mark.parametrize(("code", "name", "number"), NAMESPACES)
def test_namespaces(code: str, name: str, number: int) -> None:
    """Names of namespaces are the language's, its aliases, and the English ones."""
    assert namespaces(code)[name] == number


# Whose text is shown, in this order.
VARIANTS = [
    ("zh", "zh", ["zh", "zh-hans", "zh-hant", "zh-cn", "zh-tw", "zh-hk", "zh-sg", "zh-mo", "zh-my"]),
    ("zh", "zh-tw", ["zh-tw", "zh-hant", "zh-hk", "zh-mo"]),
    ("sr", "sr", ["sr", "sr-ec"]),
    ("sr", "sr-el", ["sr-el", "sr"]),
    ("uz", "uz-cyrl", ["uz-cyrl", "uz"]),
    ("kk", "kk-cn", ["kk-cn", "kk-arab"]),
]


@pytest.mark.parametrize(("code", "variant", "order"), VARIANTS)
def test_variants(code: str, variant: str, order: list[str]) -> None:
    """The texts of `-{...}-` are tried in MediaWiki's order, the wanted variant first."""
    assert LANGUAGES[code]["variants"][variant] == order


@pytest.mark.parametrize("code", ["es", "ja", "en", "no"])
def test_no_variants(code: str) -> None:
    """Only languages with a converter have variants; elsewhere `-{` is text."""
    assert "variants" not in LANGUAGES[code]


def test_interwiki() -> None:
    """A prefix leads to another language or to another site, never to both, and no Wikipedia is missing."""
    interwiki = {kind: set(prefixes) for kind, prefixes in LANGUAGES["interwiki"].items()}
    assert {"en", "ja", "zh-min-nan", "simple", "nb"} <= interwiki["languages"]
    assert {"wikt", "commons", "c", "s", "w", "d", "phab", "toollabs", "mw", "wmf"} <= interwiki["others"]
    assert not interwiki["languages"] & interwiki["others"]
    assert set(CODES) <= interwiki["languages"]


def test_every_entry_can_be_read() -> None:
    """All patterns compile, switches look like switches, and a variant begins with itself."""
    for code in CODES:
        facts = LANGUAGES[code]
        assert set(facts) <= set(LANGUAGES["about"]), code
        re.compile(facts.get("link_trail", ""))
        found = switches(code, "any_case") | switches(code, "exact")
        assert all(re.fullmatch(r"(__|＿＿).+(__|＿＿)", switch) for switch in found), code
        assert all(name == name.lower() and "_" not in name for name in facts.get("namespaces", {})), code
        assert all(order[0] == variant for variant, order in facts.get("variants", {}).items()), code
