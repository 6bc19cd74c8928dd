"""Which Wikidata ids give a name, and which name: a table of cases."""

import pytest

from leia.base.cli import CommaSeparated
from leia.base.errors import DropReason
from leia.base.step import Tally
from leia.data.names import NameRule, PivotTitles, note_on_match


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


@pytest.mark.parametrize(
    ("no_id", "no_title", "said"),
    [
        (50, 0, None),
        (20, 30, None),
        (95, 2, "3 of 100 links (3.0%) found a name by an id; hardly any link has an id"),
        (5, 94, "1 of 100 links (1.0%) found a name by an id; hardly any id has a title"),
        (40, 20, "40 of 100 links (40.0%) found a name by an id; most of the others have no id"),
        (20, 40, "40 of 100 links (40.0%) found a name by an id; most of the others have an id without a title"),
    ],
)
def test_a_match_of_under_half_of_the_links_is_said_with_the_likely_reason(no_id, no_title, said):
    anchors = Tally("anchors")
    anchors.drop(DropReason.NO_QID, no_id)
    anchors.drop(DropReason.NO_PIVOT_TITLE, no_title)
    anchors.drop(DropReason.LIST_TITLE, 100 - anchors.read)
    notes = note_on_match(anchors)
    assert len(notes) == (said is not None) and all(note.startswith(f"note: {said}") for note in notes)
