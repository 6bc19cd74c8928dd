"""llm-jp-eval's side of the Japanese tasks: its fixed examples and its two metrics.

A generation is compared in NFKC form, up to its first line feed, without stripping. `char_f1` is that harness's name
for fuzzywuzzy's `token_sort_ratio` (with python-Levenshtein) over 100; here it is computed with rapidfuzz.
"""

import re
import unicodedata
from typing import Any

from lm_eval.api.samplers import ContextSampler

try:
    from rapidfuzz.distance import Indel
except ImportError as error:
    raise ImportError("the metric char_f1 needs rapidfuzz: pip install 'leia[japanese]'") from error

_LATIN_1 = re.compile("[\x80-\xff]")
_NO_WORD = re.compile(r"\W")


class FixedExamples(ContextSampler):
    """The first examples of the task's own list, whatever the data."""

    def sample(self, n: int, eval_doc: dict[str, Any] | None = None, df: Any = None, **_: Any) -> list[dict[str, Any]]:
        """The first `n`. Raises `ValueError` when there are fewer."""
        if n > len(self.df):
            raise ValueError(f"--num_fewshot {n}: the tasks of llm-jp-eval have {len(self.df)} fixed examples")
        return list(self.df[:n])


def score_char_f1(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    return {"char_f1": char_f1(*_answer_and_gold(doc, results))}


def score_exact_match(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    answer, gold = _answer_and_gold(doc, results)
    return {"exact_match": float(answer == gold)}


def _answer_and_gold(doc: dict[str, Any], results: list[str]) -> tuple[str, str]:
    return unicodedata.normalize("NFKC", results[0]).split("\n")[0], unicodedata.normalize("NFKC", doc["output"])


def char_f1(answer: str, gold: str) -> float:
    """How alike two texts are, from 0 to 1 in hundredths: the order of words, case and signs make no difference."""
    first, second = _sorted_words(answer), _sorted_words(gold)
    if first == second:
        return 1.0
    if not first or not second:
        return 0.0
    # This form, not (length - distance) / length: the two round differently.
    return round(100 * (1.0 - Indel.distance(first, second) / (len(first) + len(second)))) / 100.0


def _sorted_words(text: str) -> str:
    return " ".join(sorted(_NO_WORD.sub(" ", _LATIN_1.sub("", text)).lower().split()))
