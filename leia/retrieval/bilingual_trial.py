"""A made-up collection in two made-up languages, from which the method can be learnt from scratch in minutes.

There are 100 concepts with a word for each in both languages, and 40 topics of 24 concepts. A section holds 10 concepts
of a topic: in language a in three sentences, and in language b in another order, so that nothing but the words' meaning
aligns them. It is laid out as `scripts/build_aligned_sections.py` does; 200 of the sections are held out as a
collection, in which a sentence of 4 words in a asks for its section in b among 10 that are judged.
"""

import random
from collections.abc import Iterable, Mapping
from itertools import product
from pathlib import Path

import pyarrow as pa

from leia.base.datasets import save_dataset
from leia.retrieval.held_out import write_collection
from leia.retrieval.section_alignment import ALIGNED_SCHEMA
from leia.retrieval.sections import SECTIONS_SCHEMA

SOURCE, TARGET = "a", "b"
CONCEPTS, TOPICS, CONCEPTS_OF_TOPIC, CONCEPTS_OF_SECTION = 100, 40, 24, 10
_SENTENCES = (4, 4, 2)  # words
_SYLLABLES = {SOURCE: ("bdgklmnprt", "a"), TARGET: ("bdgklmnprt", "o")}


def write_trial(folder: Path, sections: int, held_out: int, seed: int) -> dict[str, int]:
    """Write `sections` aligned sections for training and `held_out` ones as a collection; return what there is."""
    rng = random.Random(seed)
    words = {language: _words(*syllables) for language, syllables in _SYLLABLES.items()}
    topics = [rng.sample(range(CONCEPTS), CONCEPTS_OF_TOPIC) for _ in range(TOPICS)]
    rows: dict[str, list[dict]] = {SOURCE: [], TARGET: []}
    for number in range(sections + held_out):
        concepts = rng.sample(rng.choice(topics), CONCEPTS_OF_SECTION)
        for language in rows:
            text = _text([words[language][concept] for concept in concepts])
            rows[language].append(_section(language, number, text, concepts))
            rng.shuffle(concepts)
    pairs = [
        _aligned(source["id"], target["id"], source["link_ids"])
        for source, target in zip(rows[SOURCE], rows[TARGET], strict=True)
    ]
    for language, of_language in rows.items():
        _save(folder / "sections" / language, SECTIONS_SCHEMA, of_language[:sections])
    _save(folder / "aligned" / f"{SOURCE}-{TARGET}", ALIGNED_SCHEMA, pairs[:sections])
    judged = folder / "held_out" / f"{SOURCE}-{TARGET}"
    judged.mkdir(parents=True)
    texts = [{row["id"]: row["text"] for row in rows[language][sections:]} for language in (SOURCE, TARGET)]
    written = write_collection(judged, pairs[sections:], *texts, SOURCE, seed)
    return {"aligned sections": sections, **written}


def _words(consonants: str, vowel: str) -> list[str]:
    """A word for each concept: of two syllables."""
    return [f"{one}{vowel}{other}{vowel}" for one, other in product(consonants, repeat=2)]


def _text(words: list[str]) -> str:
    rest = iter(words)
    return " ".join(" ".join(next(rest) for _ in range(length)).capitalize() + "." for length in _SENTENCES)


def _section(language: str, number: int, text: str, concepts: Iterable[int]) -> dict:
    qid = f"Q{CONCEPTS + number + 1}"
    ids = [f"Q{concept + 1}" for concept in concepts]
    return {
        **{"id": f"{language}-{qid}-0", "wikidata_id": qid, "title": f"Section {number + 1}", "heading": ""},
        **{"text": text, "link_ids": ids},
    }


def _aligned(source: str, target: str, shared: list[str]) -> dict:
    negatives = {"source_negatives": [], "target_negatives": []}
    return {"source": source, "target": target, "similarity": 1.0, "shared_ids": sorted(shared), **negatives}


def _save(folder: Path, schema: pa.Schema, rows: list[Mapping]) -> None:
    folder.mkdir(parents=True)
    save_dataset(folder, schema, [pa.RecordBatch.from_pylist(rows, schema=schema)])
