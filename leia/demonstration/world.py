"""An invented world: entities with a name in English and one in an invented language, and what is true of them.

Nothing in a name tells the name in the other language: both are drawn by themselves, in scripts that share no
character. Values are drawn, too, so a fact can be known from a text that states it and from nothing else. Each fact has
a status:

    held_out        stated in English alone: is it known in the invented language after training?
    trained         stated in both languages
    unknown         stated nowhere: nobody can know it, and a measure that says so leaks
    bridge          of an entity with one name in both languages, stated in English alone
    bridge_stated   of such an entity, stated in both: from these a model learns that both languages speak of the same
    local           of an entity of the invented language, stated in that language alone

Of each relation the values of the facts of one status are equally frequent, so that a constant guess is at chance.
"""

import random
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leia.base.cli import setting
from leia.base.errors import UsageError

ENGLISH, INVENTED = "en", "qaa"
"""Codes of the languages: ISO 639 leaves qaa to local use."""

ASKED = ("held_out", "trained", "unknown", "bridge")
"""The statuses of the facts that are asked."""

WORDINGS = 4
"""Ways to state a relation; questions use all but the last, which ends in the value like these."""

_LATIN = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]
_ETHIOPIC = [chr(code) for code in range(0x1208, 0x1350) if unicodedata.category(chr(code)) == "Lo"]
"""Syllables of a script without upper and lower case."""


def check_least(settings: object, **least: int) -> None:
    """Raise `UsageError` for a field of `settings` that is below its least value."""
    for name, number in least.items():
        if getattr(settings, name) < number:
            raise UsageError(f"--{name} is {getattr(settings, name)}; expected at least {number}")


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large a world is. Each is an option of scripts/make_invented_world.py."""

    entities: int = setting("Size", "Entities with a name in each language.", 120)
    bridges: int = setting("Size", "Entities with one name in both languages.", 100)
    locals: int = setting("Size", "Entities that the invented language alone speaks of.", 60)
    relations: int = setting("Size", "Relations; an entity has one value of each.", 6)
    values: int = setting("Size", "Values of a relation, the candidates of a question.", 8)
    name_pieces: int = setting("Size", "First words, and second words, that names are made of.", 40)
    held_out: float = setting("Size", "Share of the entities' facts that are stated in English alone.", 0.4)
    unknown: float = setting("Size", "Share of them that are stated nowhere.", 0.27)
    own_values: bool = setting(
        "Size", "Give values a name in each language; else they are numbers, alike in both.", False, is_flag=True
    )

    def __post_init__(self) -> None:
        check_least(self, entities=2, bridges=1, locals=1, relations=1, values=2)
        for name in ("held_out", "unknown"):
            if not 0 < getattr(self, name) < 1:
                raise UsageError(f"--{name} is {getattr(self, name)}; expected a share above 0 and below 1")
        if self.held_out + self.unknown >= 1:
            raise UsageError("--held_out and --unknown leave no fact to be stated in both languages; lower one")
        if (
            self.facts_held_out == 0
            or self.facts_unknown == 0
            or self.facts_held_out + self.facts_unknown >= self.entities
        ):
            raise UsageError(
                f"--entities is {self.entities}: too few for {self.values} values that are to be equally frequent; "
                "take more entities or fewer values"
            )
        needed = self.entities + max(self.bridges, self.locals)
        if needed > self.name_pieces**2:
            raise UsageError(
                f"--name_pieces is {self.name_pieces}, which makes {self.name_pieces**2:,} names; {needed:,} are needed"
            )

    @property
    def facts_held_out(self) -> int:
        """Facts of one relation that are held out; a multiple of the values."""
        return round(self.entities * self.held_out / self.values) * self.values

    @property
    def facts_unknown(self) -> int:
        """Facts of one relation that are unknown; a multiple of the values."""
        return round(self.entities * self.unknown / self.values) * self.values


@dataclass(frozen=True)
class Entity:
    """`names` by the code of the language, which are its titles there; `kind` is entity, bridge, local or value;
    `number` is that of its Wikidata item."""

    number: int
    kind: str
    names: dict[str, str]


@dataclass(frozen=True)
class Fact:
    """The value number `value` of relation number `relation` is true of `entity`."""

    entity: Entity
    relation: int
    value: int
    status: str


@dataclass(frozen=True)
class Words:
    """The words of a language: [relation][wording], those that say that two entities meet, `equals` in the last
    wording of a relation, and what pages without an entity are called."""

    relations: list[list[str]]
    meets: list[str]
    equals: str
    page: str


@dataclass(frozen=True)
class World:
    """`values[relation]` are entities, too; `shuffled[entity.number]` is the entity whose English name an entity gets
    where names are shuffled: always the same one, and another."""

    sizes: Sizes
    seed: int
    words: dict[str, Words]
    entities: list[Entity]
    bridges: list[Entity]
    locals: list[Entity]
    values: list[list[Entity]]
    facts: list[Fact]
    shuffled: dict[int, Entity]

    def of_status(self, *statuses: str) -> list[Fact]:
        return [fact for fact in self.facts if fact.status in statuses]

    def value_of(self, fact: Fact) -> Entity:
        return self.values[fact.relation][fact.value]


def draw_world(sizes: Sizes, seed: int) -> World:
    """The world of a seed, always the same."""
    rng = random.Random(seed)
    latin, ethiopic = _new_words(rng, _LATIN), _new_words(rng, _ETHIOPIC)
    words = {ENGLISH: _draw_words(latin, sizes), INVENTED: _draw_words(ethiopic, sizes)}
    english = _draw_names(rng, latin, sizes.name_pieces, sizes.entities + sizes.bridges)
    invented = _draw_names(rng, ethiopic, sizes.name_pieces, sizes.entities + sizes.locals)
    names = [{ENGLISH: en, INVENTED: other} for en, other in zip(english, invented[: sizes.entities], strict=False)]
    names += [{ENGLISH: name, INVENTED: name} for name in english[sizes.entities :]]
    names += [{INVENTED: name} for name in invented[sizes.entities :]]
    kinds = ["entity"] * sizes.entities + ["bridge"] * sizes.bridges + ["local"] * sizes.locals
    of_values = _name_values(rng, latin, ethiopic, sizes)
    names += of_values
    kinds += ["value"] * len(of_values)
    made = [Entity(number, kind, own) for number, (kind, own) in enumerate(zip(kinds, names, strict=True), 1)]
    of_kind = {kind: [one for one in made if one.kind == kind] for kind in ("entity", "bridge", "local", "value")}
    values = [of_kind["value"][start : start + sizes.values] for start in range(0, len(of_kind["value"]), sizes.values)]
    facts = list(_draw_facts(rng, sizes, of_kind))
    shuffled = _another_each(rng, of_kind["entity"])
    return World(sizes, seed, words, of_kind["entity"], of_kind["bridge"], of_kind["local"], values, facts, shuffled)


def _new_words(rng: random.Random, syllables: Sequence[str]) -> Iterator[str]:
    """Different words of two syllables, then of three."""
    for length in (2, 3):
        numbers = list(range(len(syllables) ** length))
        rng.shuffle(numbers)
        for number in numbers:
            yield "".join(syllables[number // len(syllables) ** place % len(syllables)] for place in range(length))


def _draw_words(source: Iterator[str], sizes: Sizes) -> Words:
    relations = [[next(source) for _ in range(WORDINGS)] for _ in range(sizes.relations)]
    return Words(relations, [next(source) for _ in range(3)], next(source), next(source).capitalize())


def _draw_names(rng: random.Random, source: Iterator[str], pieces: int, count: int) -> list[str]:
    """Different names of two words."""
    first, second = ([next(source).capitalize() for _ in range(pieces)] for _ in range(2))
    return [f"{first[k // pieces]} {second[k % pieces]}" for k in rng.sample(range(pieces**2), count)]


def _name_values(
    rng: random.Random, latin: Iterator[str], ethiopic: Iterator[str], sizes: Sizes
) -> list[dict[str, str]]:
    """Names of one word: numbers of three digits, then of more."""
    count = sizes.relations * sizes.values
    if sizes.own_values:
        return [{ENGLISH: next(latin).capitalize(), INVENTED: next(ethiopic)} for _ in range(count)]
    numbers = rng.sample(range(100, max(1000, 100 + 2 * count)), count)
    return [{ENGLISH: str(number), INVENTED: str(number)} for number in numbers]


def _draw_facts(rng: random.Random, sizes: Sizes, of_kind: dict[str, list[Entity]]) -> Iterator[Fact]:
    held_out, unknown = sizes.facts_held_out, sizes.facts_unknown
    stated = sizes.entities - held_out - unknown
    for relation in range(sizes.relations):
        entities, bridges = (rng.sample(of_kind[kind], len(of_kind[kind])) for kind in ("entity", "bridge"))
        parts = {
            "held_out": entities[:held_out],
            "trained": entities[held_out : held_out + stated],
            "unknown": entities[held_out + stated :],
            "bridge": bridges[: len(bridges) // 4],
            "bridge_stated": bridges[len(bridges) // 4 :],
            "local": of_kind["local"],
        }
        for status, part in parts.items():
            numbers = [k % sizes.values for k in range(len(part))]
            rng.shuffle(numbers)
            for entity, value in zip(part, numbers, strict=True):
                yield Fact(entity, relation, value, status)


def _another_each(rng: random.Random, entities: Sequence[Entity]) -> dict[int, Entity]:
    """Each entity's number with another entity: a permutation in one cycle."""
    order = rng.sample(entities, len(entities))
    return {one.number: other for one, other in zip(order, order[1:] + order[:1], strict=True)}
