"""Which Wikidata ids give a name, and which name: a table of cases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leia.base.cli import CommaSeparated
from leia.base.errors import DropReason, InputError, UsageError
from leia.base.step import Tally
from leia.data.name_choice import NameChoice
from leia.data.names import (
    NameRule,
    PivotTitles,
    note_on_match,
    read_names_file,
    rules_of_languages,
    shuffle_names,
)


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
    ("language", "title", "excluded"),
    [
        ("de", "Kategorie:Feuer", True),
        ("de", "Datei:Feuer.jpg", True),
        ("ja", "カテゴリ:火", True),
        ("ja", "ファイル:火.jpg", True),
        ("de", "Diskussion:Feuer", True),
        ("de", "Benutzer Diskussion:Feuer", False),  # nor is `User talk` on the published list
        ("de", "Star Trek: Picard", False),
        ("en", "Kategorie:Feuer", False),
        ("en", "Image:Fire.jpg", False),  # the published list alone counts for English
    ],
)
def test_the_namespaces_are_excluded_under_their_names_in_the_pivot_language(language, title, excluded):
    name, reason = PivotTitles({"Q1": title}, NameRule(language)).name_of("Q1")
    assert (reason == DropReason.EXCLUDED_NAMESPACE) == excluded and (name is None) == excluded


def test_each_language_has_its_own_prefix_of_lists():
    assert [rule.list_prefix for rule in rules_of_languages(NameRule(), ("de", "en", "ja"))] == ["", "List of", ""]
    given = NameRule(list_prefix="Liste, List of,")
    assert [rule.list_prefix for rule in rules_of_languages(given, ("de", "en", "ja"))] == ["Liste", "List of", ""]
    with pytest.raises(UsageError, match="expected one for each of de,ja"):
        list(rules_of_languages(NameRule(list_prefix="Liste"), ("de", "ja")))


@given(st.dictionaries(st.integers(1, 60), st.sampled_from("abcdefg") | st.none(), min_size=2), st.integers(0, 99))
def test_every_entity_gets_the_name_of_another_one(drawn, seed):
    names = {f"Q{qid}": DropReason.LIST_TITLE if name is None else name for qid, name in drawn.items()}
    distinct = {name for name in names.values() if not isinstance(name, DropReason)}
    if len(distinct) < 2:
        with pytest.raises(InputError, match="fewer than two different names"):
            shuffle_names(names, seed)
        return
    shuffled = shuffle_names(names, seed)
    assert shuffled == shuffle_names(dict(reversed(names.items())), seed), "the order of the file does not count"
    for qid, name in names.items():
        if isinstance(name, DropReason):
            assert shuffled[qid] == name
        else:
            assert shuffled[qid] != name
    replaced = {name: shuffled[qid] for qid, name in names.items() if not isinstance(name, DropReason)}
    assert sorted(replaced.values()) == sorted(distinct), "each name is used for the entities of one other"


def test_a_names_file_gives_names_as_they_are(tmp_path):
    path = tmp_path / "names.tsv"
    path.write_text("\ufeffQ1\tFuego (elemento)\r\nQ2\t List of x \nQ3\tx\n", encoding="utf-8")
    assert read_names_file(path, {"Q1", "Q2", "Q4"}) == {"Q1": "Fuego (elemento)", "Q2": "List of x"}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("Q1\tFire\nfire\tQ1\n", ":2: expected a Wikidata id such as Q3196, found 'fire'"),
        ("Q0\tFire\n", ":1: expected a Wikidata id"),
        ("Q1\tFire\nQ1\tBlaze\n", ":2: Q1 has the name 'Fire' above"),
        ("Q1\t \n", ":1: expected QID<TAB>name, found an empty name"),
        ("Q1 Fire\n", ":1: expected QID<TAB>name, found 'Q1 Fire"),
        ("Q9\tFire\n", "has a name for none of the entities that the articles link to"),
        ("", "has a name for none"),
    ],
)
def test_a_names_file_that_is_none_is_refused(tmp_path, lines, message):
    path = tmp_path / "names.tsv"
    path.write_text(lines, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_names_file(path, {"Q1", "Q2"})


@pytest.mark.parametrize(
    ("choice", "id_files", "message"),
    [
        ({"name_languages": ("de", "de")}, ["a", "b"], "expected each language once"),
        ({"name_languages": ("de", "fr")}, ["de-wikidata-ids.tsv"], "given 1 times, for names in de,fr; expected one"),
        ({"name_languages": ("de", "fr")}, ["fr-wikidata-ids.tsv", "de-wikidata-ids.tsv"], "as the ids of 'fr'"),
        ({"name_languages": ("de", "DE")}, [], "'DE'"),
        ({"names_file": "x"}, ["en-wikidata-ids.tsv"], "--names_file takes the place of --wikidata_id_file"),
    ],
)
def test_names_that_do_not_fit_together_are_refused(choice, id_files, message):
    with pytest.raises(InputError, match=message):
        NameChoice(**choice).check(id_files)


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
