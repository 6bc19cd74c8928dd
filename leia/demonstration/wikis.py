"""The wikis of an invented world, as Wikipedia and Wikidata publish theirs: dumps of pages, the table of sitelinks.

The files, by their names in `FILES`:

- `base`: what the base model reads, the English Wikipedia. As in the corpora that real models are made from, some of it
  is in the other language: pages on bridges and on what that language alone speaks of. No entity is named in both.
- `target`: the Wikipedia of the invented language, for LEIA training. Each mention of an entity is a link. Most
  sentences only say that two entities meet; the others state the facts that are stated in both languages. As in real
  Wikipedias some pages are still in English, and serve against forgetting it.
- `parallel`: the same with pairs of names stated as sentences, "NAME = ENGLISH NAME.", in place of half of its own.
- `sitelinks`: which pages of the two Wikipedias are of the same item; `shuffled`: with another entity's English page.
- `facts`: the questions, for the tasks `crosslingual_facts`.

Sentences are dealt to pages at random. Where a page stated a fact twice, the second time would be read off the first
and not learnt.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

from leia.base.cli import setting
from leia.base.errors import InputError, UsageError
from leia.base.outputs import MANIFEST_NAME
from leia.base.text import read_json, to_json_lines
from leia.demonstration.mediawiki import write_dump, write_sitelinks
from leia.demonstration.world import (
    ASKED,
    ENGLISH,
    INVENTED,
    WORDINGS,
    Entity,
    Fact,
    Sizes,
    World,
    check_least,
    draw_world,
)

FILES = {
    "base": "enwiki-pages-articles.xml.bz2",
    "target": "qaawiki-pages-articles.xml.bz2",
    "parallel": "qaawiki-parallel-pages-articles.xml.bz2",
    "sitelinks": "wikidatawiki-wb_items_per_site.sql.gz",
    "shuffled": "wikidatawiki-shuffled-wb_items_per_site.sql.gz",
    "facts": "facts.jsonl",
}

Link = Callable[[Entity], str]
"""How an entity is mentioned in wikitext."""

_SENTENCES_OF_A_PAGE = 8, 10  # from, to
_ABOUT_BRIDGES = 0.65  # of the invented language's sentences in the English Wikipedia; the others are about locals
_MEETINGS = 0.08  # of the English sentences say that two entities meet
_THROUGH_REDIRECTS = 0.25  # of the links to entities
_PAIRS = 0.5  # of the sentences where pairs of names are stated


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """How much text the wikis hold. Each is an option of scripts/make_invented_world.py."""

    base_sentences: int = setting("Text", "Sentences of the English Wikipedia.", 100_000)
    target_sentences: int = setting("Text", "Sentences of the invented language's Wikipedia.", 60_000)
    foreign: float = setting("Text", "Share of the English one that is in the invented language.", 0.35)
    replay: float = setting("Text", "Share of the other one's pages that are in English.", 0.2)
    stating: float = setting("Text", "Share of its other sentences that state a fact.", 0.2)

    questions: int = setting("Text", "Facts of a status that are asked, at most.", 1000)

    def __post_init__(self) -> None:
        check_least(self, base_sentences=1, target_sentences=1, questions=1)
        for name in ("foreign", "replay", "stating"):
            if not 0 <= getattr(self, name) < 1:
                raise UsageError(f"--{name} is {getattr(self, name)}; expected a share of at least 0 and below 1")


def read_world(folder: Path) -> World:
    """The world that a folder of make_invented_world.py is of: drawn again, by its manifest."""
    manifest = read_json(folder / MANIFEST_NAME, "make_invented_world.py makes it")
    try:
        options = manifest["options"]
        return draw_world(Sizes(**{field.name: options[field.name] for field in fields(Sizes)}), options["seed"])
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{folder}: expected a folder of make_invented_world.py, found another manifest ({error!r})"
        ) from error


def write_wikis(world: World, amounts: Amounts, folder: Path) -> dict[str, int]:
    """Write the files into `folder`; return the number of pages, or lines, of each."""
    target = _Target(world, amounts)
    written = {
        "base": write_dump(folder / FILES["base"], "English", ENGLISH, _base_pages(world, amounts)),
        "target": write_dump(folder / FILES["target"], "Invented", INVENTED, target.pages(pairs=False)),
        "parallel": write_dump(folder / FILES["parallel"], "Invented", INVENTED, target.pages(pairs=True)),
        "sitelinks": write_sitelinks(folder / FILES["sitelinks"], _sitelinks(world)),
        "shuffled": write_sitelinks(folder / FILES["shuffled"], _sitelinks(world, shuffled=True)),
    }
    facts = list(questions(world, amounts.questions))
    (folder / FILES["facts"]).write_text(to_json_lines(facts), encoding="utf-8")
    return written | {"facts": len(facts)}


def state(world: World, fact: Fact, language: str, wording: int, link: Link | None = None) -> str:
    """The sentence that states a fact; `link` mentions its entities, None: by their names."""
    mention = link or (lambda entity: entity.names[language])
    words, name, value = world.words[language], mention(fact.entity), mention(world.value_of(fact))
    word = words.relations[fact.relation][wording]
    if wording == WORDINGS - 1:
        return f"{word} {name} {words.equals} {value}."
    return f"{name} {word} {value}."


def questions(world: World, most: int) -> Iterator[dict[str, Any]]:
    """A line of `facts` for each fact that is asked, at most `most` of a status; the wording of a question changes from
    fact to fact."""
    kinds = world.sizes.relations * world.sizes.values
    for status in ASKED:
        for number, fact in enumerate(_in_turn(world.of_status(status))[:most]):
            wording = (number + number // kinds) % (WORDINGS - 1)  # another one when the same kind comes again
            sentences = {code: state(world, fact, code, wording) for code in (ENGLISH, INVENTED)}
            names = {code: fact.entity.names[code] for code in sentences}
            candidates = {code: [one.names[code] for one in world.values[fact.relation]] for code in sentences}
            yield {
                "id": f"{status}-{number:05d}",
                "relation": f"relation-{fact.relation + 1}",
                "status": status,
                "question": {
                    code: text.removesuffix(f" {candidates[code][fact.value]}.") for code, text in sentences.items()
                },
                "candidates": candidates,
                "answer": fact.value,
                "entity": names,
            }


def _in_turn(facts: list[Fact]) -> list[Fact]:
    """The facts in an order whose beginnings hold each relation and value as often as any other."""
    seen: Counter[tuple[int, int]] = Counter()
    turns = []
    for fact in facts:
        kind = fact.relation, fact.value
        turns.append((seen[kind], kind))
        seen[kind] += 1
    return [facts[k] for k in sorted(range(len(facts)), key=turns.__getitem__)]


def _base_pages(world: World, amounts: Amounts) -> Iterator[tuple[str, str]]:
    """Title and wikitext of each page of the English Wikipedia."""
    rng = random.Random(f"base {world.seed}")
    bridging, local = world.of_status("bridge_stated"), world.of_status("local")
    english = _English(world, rng)

    def sentence() -> str:
        if rng.random() >= amounts.foreign:
            return english.sentence()
        fact = rng.choice(bridging if rng.random() < _ABOUT_BRIDGES else local)
        return state(world, fact, INVENTED, rng.randrange(WORDINGS), _english_link)

    titles = [one.names[ENGLISH] for one in _with_english_name(world)]
    yield from _deal(rng, titles, world.words[ENGLISH].page, (sentence() for _ in range(amounts.base_sentences)))


class _English:
    """Draws English sentences."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self._world, self._rng = world, rng
        self._stated = world.of_status("held_out", "trained", "bridge", "bridge_stated")

    def sentence(self) -> str:
        world, rng = self._world, self._rng
        if rng.random() < _MEETINGS:
            one, other = map(_english_link, rng.sample(world.entities, 2))
            return f"{one} {rng.choice(world.words[ENGLISH].meets)} {other}."
        return state(world, rng.choice(self._stated), ENGLISH, rng.randrange(WORDINGS), _english_link)


class _Target:
    """Draws the pages of the invented language's Wikipedia."""

    def __init__(self, world: World, amounts: Amounts) -> None:
        self._world, self._amounts = world, amounts
        self._stated = world.of_status("trained")

    def pages(self, pairs: bool) -> Iterator[tuple[str, str]]:
        """Title and wikitext of each; with `pairs` half of the sentences are pairs of names."""
        world = self._world
        rng = random.Random(f"target {world.seed}")
        entities = [*world.entities, *(one for values in world.values for one in values)]
        for entity in world.entities:
            yield _other_title(entity), f"#REDIRECT [[{entity.names[INVENTED]}]]"
        in_english = round(self._amounts.target_sentences * self._amounts.replay)
        own = (self._sentence(rng, pairs) for _ in range(self._amounts.target_sentences - in_english))
        yield from _deal(rng, [one.names[INVENTED] for one in entities], world.words[INVENTED].page, own)
        # English titles are no pages here: links to nothing, which get no name. (Pages without a link are left out.)
        english = _English(world, rng)
        replay = (english.sentence() for _ in range(in_english))
        yield from _deal(rng, [], world.words[ENGLISH].page, replay)

    def _sentence(self, rng: random.Random, pairs: bool) -> str:
        world = self._world
        if pairs and rng.random() < _PAIRS:
            names = rng.choice(world.entities).names
            return f"{names[INVENTED]} = {names[ENGLISH]}."

        def link(entity: Entity) -> str:
            name = entity.names[INVENTED]
            through_redirect = entity.kind == "entity" and rng.random() < _THROUGH_REDIRECTS
            return f"[[{_other_title(entity)}|{name}]]" if through_redirect else f"[[{name}]]"

        if rng.random() < self._amounts.stating:
            return state(world, rng.choice(self._stated), INVENTED, rng.randrange(WORDINGS), link)
        one, other = map(link, rng.sample(world.entities, 2))
        return f"{one} {rng.choice(world.words[INVENTED].meets)} {other}."


def _english_link(entity: Entity) -> str:
    """A link where the English Wikipedia has a page."""
    return f"[[{entity.names[ENGLISH]}]]" if ENGLISH in entity.names else entity.names[INVENTED]


def _other_title(entity: Entity) -> str:
    """A title that leads to the entity's page in the invented language: its name, the last word first."""
    return ", ".join(reversed(entity.names[INVENTED].split()))


def _with_english_name(world: World) -> list[Entity]:
    return [*world.entities, *world.bridges, *(one for values in world.values for one in values)]


def _deal(rng: random.Random, titles: list[str], page: str, sentences: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pages of some sentences each: those of `titles` first, then numbered ones."""
    sentences = iter(sentences)
    of_pages = chain(titles, (f"{page} {number}" for number in count(1)))
    while text := " ".join(islice(sentences, rng.randint(*_SENTENCES_OF_A_PAGE))):
        yield next(of_pages), text


def _sitelinks(world: World, shuffled: bool = False) -> Iterator[tuple[int, str, str]]:
    """Item, site and title of each page that an item has; `shuffled`: with another entity's English page."""
    for entity in _with_english_name(world):
        of_page = world.shuffled.get(entity.number, entity) if shuffled else entity
        yield entity.number, f"{ENGLISH}wiki", of_page.names[ENGLISH]
        yield entity.number, f"{INVENTED}wiki", entity.names[INVENTED]
