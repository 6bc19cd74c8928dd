"""The invented world: always the same for a seed, and nothing in its texts that nobody is to know."""

import bz2
import gzip
import re
from collections import Counter

import pytest
from conftest import run_here

from leia.base.errors import UsageError
from leia.demonstration.wikis import FILES, Amounts, questions, read_world, state, write_wikis
from leia.demonstration.world import ENGLISH, INVENTED, WORDINGS, Sizes, draw_world

SMALL = Sizes(entities=40, bridges=16, locals=12, relations=3, values=4, name_pieces=12)
AMOUNTS = Amounts(base_sentences=3000, target_sentences=3000)


@pytest.fixture(scope="module")
def world():
    return draw_world(SMALL, 7)


@pytest.fixture(scope="module")
def folder(world, tmp_path_factory):
    written = tmp_path_factory.mktemp("invented world")
    write_wikis(world, AMOUNTS, written)
    return written


def sentences(path):
    """The sentences of a dump, without its links' marks, and how often each is there."""
    text = bz2.decompress(path.read_bytes()).decode()
    bodies = re.findall(r'<text xml:space="preserve">(?!#REDIRECT)(.*?)</text>', text)
    plain = re.sub(r"\[\[(?:[^\]|]*\|)?([^\]]*)\]\]", r"\1", " ".join(bodies))
    return Counter(f"{sentence}." for sentence in plain.replace(". ", ".").split(".") if sentence)


def test_a_seed_has_one_world_and_other_seeds_others(folder, tmp_path):
    write_wikis(draw_world(SMALL, 7), AMOUNTS, tmp_path)
    assert all((folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in FILES.values())
    write_wikis(draw_world(SMALL, 8), AMOUNTS, tmp_path)
    assert not any((folder / name).read_bytes() == (tmp_path / name).read_bytes() for name in FILES.values())


def test_the_names_of_an_entity_are_two_words_that_share_no_character(world):
    for entity in world.entities:
        english, invented = entity.names[ENGLISH], entity.names[INVENTED]
        assert len(english.split()) == len(invented.split()) == 2
        assert set(english) & set(invented) == {" "}
    for language in (ENGLISH, INVENTED):
        everyone = [*world.entities, *world.bridges, *world.locals]
        names = [entity.names[language] for entity in everyone if language in entity.names]
        assert len(set(names)) == len(names)
    assert all(entity.names[ENGLISH] == entity.names[INVENTED] for entity in world.bridges)


def test_the_values_of_a_status_are_equally_frequent_so_that_a_constant_guess_is_at_chance(world):
    for status in ("held_out", "unknown", "trained"):
        found = Counter((fact.relation, fact.value) for fact in world.of_status(status))
        assert max(found.values()) - min(found.values()) <= (1 if status == "trained" else 0)
        assert len(found) == SMALL.relations * SMALL.values
    asked = [fact for fact in questions(world, 24) if fact["status"] == "unknown"]
    assert len(asked) == 24
    assert set(Counter((fact["relation"], fact["answer"]) for fact in asked).values()) == {2}


def test_each_entity_has_one_value_of_each_relation(world):
    found = Counter((fact.entity.number, fact.relation) for fact in world.facts)
    assert set(found.values()) == {1}
    assert len(found) == (len(world.entities) + len(world.bridges) + len(world.locals)) * SMALL.relations


@pytest.mark.parametrize("file", ["base", "target", "parallel"])
def test_a_text_states_what_it_may_and_nothing_else(world, folder, file):
    """By plain search in the dump, in every wording."""
    found = sentences(folder / FILES[file])
    in_invented = {"bridge_stated", "local"} if file == "base" else {"trained"}
    in_english = {"held_out", "trained", "bridge", "bridge_stated"}
    seen = Counter()
    for fact in world.facts:
        for language, allowed in ((INVENTED, in_invented), (ENGLISH, in_english)):
            if language in fact.entity.names:
                count = sum(found[state(world, fact, language, wording)] for wording in range(WORDINGS))
                assert count == 0 or fact.status in allowed, (fact, language)
                seen[fact.status, language] += count
    stated = {(status, INVENTED) for status in in_invented} | {(status, ENGLISH) for status in in_english}
    assert {key for key, count in seen.items() if count} == stated


@pytest.mark.parametrize("file", ["base", "target", "parallel"])
def test_a_text_has_as_many_sentences_as_asked_for(folder, file):
    assert sum(sentences(folder / FILES[file]).values()) == 3000


def test_no_text_but_the_pairs_has_both_names_of_an_entity(world, folder):
    for file in ("base", "target", "parallel"):
        text = " ".join(sentences(folder / FILES[file]))
        both = [one for one in world.entities if f"{one.names[INVENTED]} = {one.names[ENGLISH]}." in text]
        assert len(both) == (len(world.entities) if file == "parallel" else 0)
        assert any(one.names[INVENTED] in text for one in world.entities) == (file != "base")


def test_shuffled_sitelinks_give_each_entity_the_english_page_of_another(world, folder):
    tables = [gzip.decompress((folder / FILES[name]).read_bytes()).decode() for name in ("sitelinks", "shuffled")]
    right, wrong = (dict(re.findall(r"\(\d+,(\d+),'enwiki','([^']*)'\)", table)) for table in tables)
    assert sorted(right.values()) == sorted(wrong.values())
    names = {entity.names[ENGLISH] for entity in world.entities}
    assert {item for item in right if right[item] != wrong[item]} == {k for k, name in right.items() if name in names}
    assert len({tuple(re.findall(r"'qaawiki','[^']*'", table)) for table in tables}) == 1


def test_own_values_have_a_name_in_each_language():
    world = draw_world(Sizes(own_values=True), 1)
    values = [value.names for of_relation in world.values for value in of_relation]
    assert len({names[ENGLISH] for names in values}) == len({names[INVENTED] for names in values}) == 48
    assert all(names[ENGLISH] != names[INVENTED] for names in values)


def test_the_script_writes_a_world_that_can_be_read_again(tmp_path):
    options = ["--output_dir", tmp_path / "world", "--seed", 5, "--entities", 24, "--values", 2, "--relations", 2]
    options += ["--bridges", 9, "--locals", 9, "--name_pieces", 12]
    options += ["--base_sentences", 200, "--target_sentences", 200]
    first = run_here("make_invented_world.py", *options)
    assert first.exit_code == 0, first.output
    sizes = Sizes(entities=24, values=2, relations=2, bridges=9, locals=9, name_pieces=12)
    assert read_world(tmp_path / "world").facts == draw_world(sizes, 5).facts
    assert "complete already" in run_here("make_invented_world.py", *options).output


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"entities": 1}, "--entities is 1; expected at least 2"),
        ({"entities": 9}, "too few for 8 values that are to be equally frequent"),
        ({"name_pieces": 10}, "which makes 100 names; 220 are needed"),
        ({"held_out": 0.0}, "--held_out is 0.0; expected a share above 0 and below 1"),
        ({"held_out": 0.6, "unknown": 0.5}, "leave no fact to be stated in both languages"),
    ],
)
def test_sizes_that_make_no_world_are_refused(sizes, message, tmp_path):
    options = [word for name, value in sizes.items() for word in (f"--{name}", value)]
    result = run_here("make_invented_world.py", "--output_dir", tmp_path / "world", *options)
    assert result.exit_code == 2 and result.stderr.count("\n") == 1 and message in result.stderr
    assert not list(tmp_path.iterdir())


def test_amounts_out_of_range_are_refused():
    for name, value in (("base_sentences", 0), ("replay", 1.0), ("questions", 0)):
        with pytest.raises(UsageError, match=f"--{name} is {value}"):
            Amounts(**{name: value})
