"""Aligned sections that are set aside, as a collection with judgements, in the formats of TREC: sentences of one
language ask for sections in the other one.

    queries.tsv       id<TAB>text: one sentence of a source section
    documents.jsonl   {"id": ..., "text": ...}: the target sections
    qrels.txt         query 0 document grade: 1 for the counterpart, 0 for judged documents that are not relevant
"""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from leia.base.errors import InputError
from leia.base.step import Counts
from leia.base.text import to_json_lines
from leia.corpus.sentences import sentences
from leia.retrieval.aligned_pairs import held_out_pairs, open_aligner
from leia.retrieval.section_alignment import AlignmentSettings
from leia.retrieval.section_columns import open_sections

QUERIES, DOCUMENTS, QRELS = "queries.tsv", "documents.jsonl", "qrels.txt"
COLLECTION_FILES = (QUERIES, DOCUMENTS, QRELS)
_LONG_ENOUGH = 4  # words of a sentence that makes a good query


def hold_out(folder: Path, source: str | Path, target: str | Path, settings: AlignmentSettings, counts: Counts) -> None:
    """Write the held-out pairs of two datasets of sections, given as their folders, into `folder`.

    The documents are all sections that their articles have in the target language. `counts` gets queries, documents and
    judgements. Errors as in `align_sections`.
    """
    aligner = open_aligner(source, target, settings)
    pairs = held_out_pairs(aligner)
    articles = sorted({pair["article"] for pair in pairs})
    source_texts, target_texts = (
        _texts(path, np.flatnonzero(np.isin(columns.articles, articles)))
        for path, columns in ((source, aligner.source), (target, aligner.target))
    )
    written = write_collection(folder, pairs, source_texts, target_texts, aligner.source.language, settings.seed)
    for unit, number in written.items():
        counts.count(unit).kept = number


def _texts(path: str | Path, rows: np.ndarray) -> dict[str, str]:
    """Texts by id, of these rows of a dataset of sections."""
    chosen = open_sections(path).select_columns(["id", "text"]).select(rows)
    return dict(zip(chosen["id"], chosen["text"], strict=True))


def write_collection(
    folder: str | Path,
    pairs: Sequence[Mapping[str, Any]],
    source_texts: Mapping[str, str],
    target_texts: Mapping[str, str],
    source_language: str,
    seed: int,
    judged: int = 10,
) -> dict[str, int]:
    """Write a query for each pair, all of `target_texts` as documents, and `judged` judgements a query; return how many
    of each there are.

    `pairs` are rows of `ALIGNED_SCHEMA`; the texts are by the ids of their sections. Of a source section one sentence
    is drawn, one of at least 4 words where there is such. Judged as not relevant are the hard negatives, then further
    documents that are drawn. Each query is drawn by its own generator, whatever the other queries are.

    Raises `InputError` for a pair without its texts, or without a sentence.
    """
    queries, judgements = [], []
    documents = list(target_texts)
    for pair in pairs:
        query, relevant = pair["source"], pair["target"]
        if query not in source_texts or relevant not in target_texts:
            raise InputError(f"pair {query}, {relevant}: expected a text for both sections, found none for one")
        generator = random.Random(f"{seed} {query}")
        queries.append(f"{query}\t{_sentence(query, source_texts[query], source_language, generator)}\n")
        negatives = [one for one in pair["source_negatives"] if one in target_texts and one != relevant][: judged - 1]
        taken = {relevant, *negatives}
        while len(negatives) < judged - 1 and len(taken) < len(documents):
            drawn = generator.choice(documents)
            if drawn not in taken:
                taken.add(drawn)
                negatives.append(drawn)
        judgements += [f"{query} 0 {document} {int(document == relevant)}\n" for document in (relevant, *negatives)]
    texts = to_json_lines({"id": document, "text": text} for document, text in target_texts.items())
    for name, content in ((QUERIES, "".join(queries)), (DOCUMENTS, texts), (QRELS, "".join(judgements))):
        (Path(folder) / name).write_text(content, encoding="utf-8")
    return {"queries": len(queries), "documents": len(documents), "judgements": len(judgements)}


def _sentence(section: str, text: str, language: str, generator: random.Random) -> str:
    """A sentence of a section, in one line."""
    found = [" ".join(sentence.split()) for sentence in sentences(text, language)]
    found = [sentence for sentence in found if sentence]
    if not found:
        raise InputError(f"section {section}: expected a text with a sentence for a query, found {text[:60]!r}")
    return generator.choice([sentence for sentence in found if len(sentence.split()) >= _LONG_ENOUGH] or found)
