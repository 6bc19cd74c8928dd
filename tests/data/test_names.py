"""Which Wikidata ids give a name, and which name: a table of cases."""

import pytest

from leia.base.cli import CommaSeparated
from leia.base.errors import DropReason
from leia.data.names import NameRule, PivotTitles


@pytest.mark.parametrize(
    ("title", "name", "reason"),
    [
        ("Fire", "Fire", None),
        ("Mercury (planet)", "Mercury", None),
        ("(What's the Story) Morning Glory?", "Morning Glory?", None),
        ("A (b) C (d)", "A  C", None),
        ("A (b (c))", "A )", None),  # as published: to the first closing bracket
        ("Star Trek: Picard", "Star Trek: Picard", None),
        ("Category:Contents", None, DropReason.EXCLUDED_NAMESPACE),
        ("Talk:Fire", None, DropReason.EXCLUDED_NAMESPACE),
        ("Talks: a title", "Talks: a title", None),
        ("category:contents", "category:contents", None),
        ("List of lists of lists", None, DropReason.LIST_TITLE),
        ("Lists", "Lists", None),
        ("A List of things", "A List of things", None),
    ],
)
def test_a_title_gives_a_name_or_a_reason(title, name, reason):
    assert PivotTitles({"Q1": title}).name_of("Q1") == (name, reason)


def test_an_anchor_without_id_or_title_gives_a_reason():
    titles = PivotTitles({"Q1": "Fire"})
    assert titles.name_of(None) == (None, DropReason.NO_QID)
    assert titles.name_of("Q2") == (None, DropReason.NO_PIVOT_TITLE)


def test_the_list_of_namespaces_may_have_spaces():
    assert CommaSeparated().convert("Kategorie, Portal,", None, None) == ("Kategorie", "Portal")


def test_another_pivot_language_has_its_own_exclusions():
    titles = PivotTitles(
        {"Q1": "Categoría:Fuego", "Q2": "Anexo:Ríos", "Q3": "List of x"}, NameRule("es", ("Categoría", "Anexo"), "")
    )
    assert [titles.name_of(qid)[0] for qid in ("Q1", "Q2", "Q3")] == [None, None, "List of x"]
