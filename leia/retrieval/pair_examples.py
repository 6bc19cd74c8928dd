"""One example: a sentence of a section as the query, and documents in the other language.

The draws, and their order, are those of the published code, so that from one seed the same examples come.
"""

import random
from dataclasses import dataclass

from leia.corpus.sentences import sentences
from leia.retrieval.pairs import Aligned, Pair
from leia.retrieval.recipe import RR

_EASY_BASE = 0.75
"""With h hard negatives a negative is an easy one, any section of the pool, with the probability `_EASY_BASE` ** h."""


@dataclass(frozen=True, slots=True)
class Example:
    """`query` is a sentence of the section `query_id`; of the documents the first is its counterpart, the others are
    negatives. `is_reversed`: the query is in the pair's target language."""

    query: str
    query_id: str
    document_ids: list[str]
    documents: list[str]
    is_reversed: bool

    @property
    def accidents(self) -> int:
        """How many negatives are the counterpart itself, as the published draws allow."""
        return self.document_ids[1:].count(self.document_ids[0])


class PairExamples:
    """The examples of one pair for one objective; `objective` RR gives `num_negatives` negatives, QLM none.

    At most `max_pairs` aligned sections are used: a sample says which, their order stays. `sentence_language`: by whose
    rules all texts are cut into sentences (the published code: English); None: each by its own language's.
    """

    def __init__(
        self,
        pair: Pair,
        objective: str,
        rng: random.Random,
        max_pairs: int,
        num_negatives: int = 1,
        sentence_language: str | None = None,
    ) -> None:
        kept = rng.sample(range(len(pair.rows)), min(max_pairs, len(pair.rows)))
        self.rows = [pair.rows[place] for place in sorted(kept)]
        self.num_negatives = num_negatives if objective == RR else 0
        self._rng = rng
        self._languages = [sentence_language or own for own in (pair.source_language, pair.target_language)]
        source_ids, target_ids = {row.source for row in self.rows}, {row.target for row in self.rows}
        if objective == RR:
            source_ids.update(one for row in self.rows for one in row.target_negatives)
            target_ids.update(one for row in self.rows for one in row.source_negatives)
        self._texts = pair.source_texts(source_ids), pair.target_texts(target_ids)
        self.pools = [list(texts) for texts in self._texts]
        """The sections that easy negatives are drawn from: in the source language, in the target language."""

    def __len__(self) -> int:
        return len(self.rows)

    def draw(self, place: int) -> Example:
        """The example of the aligned sections at `place`: its direction, its sentence, its negatives are drawn."""
        row = self.rows[place]
        is_reversed = self._rng.random() >= 0.5
        query_id, positive, hard = _directed(row, is_reversed)
        query_texts, texts = self._texts[is_reversed], self._texts[not is_reversed]
        query = self._rng.choice(sentences(query_texts[query_id], self._languages[is_reversed]))
        negatives = [self._negative(hard, self.pools[not is_reversed]) for _ in range(self.num_negatives)]
        ids = [positive, *negatives]
        return Example(query, query_id, ids, [texts[one] for one in ids], is_reversed)

    def _negative(self, hard: tuple[str, ...], pool: list[str]) -> str:
        is_easy = self._rng.random() < _EASY_BASE ** len(hard)
        return self._rng.choice(pool if is_easy else hard)


def _directed(row: Aligned, is_reversed: bool) -> tuple[str, str, tuple[str, ...]]:
    """The section of the query, its counterpart, its hard negatives."""
    if is_reversed:
        return row.target, row.source, row.target_negatives
    return row.source, row.target, row.source_negatives
