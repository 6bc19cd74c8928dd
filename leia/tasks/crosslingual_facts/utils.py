"""Facts asked in two languages, for the harness: the requests and the measures of an item.

An item comes from `facts.py`, which makes its contexts and continuations in the pivot (their names end in `_pivot`) and
in the target language. Nothing here needs more than the harness; the YAML files refer to it.
"""

import math
from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask


class CrosslingualFacts(ConfigurableTask):
    """Choices in two languages: the requests of an item are those of the pivot, then those of the target."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config={name: value for name, value in config.items() if name != "class"})

    def fewshot_context(self, doc: dict[str, Any], num_fewshot: int, **settings: Any) -> str:
        """The target's context. Raises `ValueError` for what would change it: the contexts are two."""
        changes = [name for name in ("system_instruction", "apply_chat_template") if settings.get(name)]
        if num_fewshot or changes:
            raise ValueError(
                f"{self.config.task} is scored without examples, system prompt and chat template; "
                f"found {', '.join(changes) or f'{num_fewshot} examples'}"
            )
        return doc["context"]

    def construct_requests(self, doc: dict[str, Any], ctx: str, *, metadata: tuple, **_: Any) -> list[Instance]:
        pairs = [(doc[f"context{ending}"], text) for ending in ("_pivot", "") for text in doc[f"continuations{ending}"]]
        return [
            Instance(request_type="loglikelihood", doc=doc, arguments=pair, idx=number, metadata=metadata)
            for number, pair in enumerate(pairs)
        ]

    def item_fields(self, doc: dict[str, Any], log_likelihoods: Sequence[float]) -> dict[str, Any]:
        """What a line of results says of an item; `log_likelihoods` in the order of the requests."""
        pivot, target = split(doc, log_likelihoods)
        names = ("language", "pivot", "relation", "status", "context", "context_pivot", "choices", "choices_pivot")
        return {name: doc[name] for name in names} | {
            "log_likelihoods": target,
            "log_likelihoods_pivot": pivot,
            "prediction": ranking(target)[0],
            "prediction_pivot": ranking(pivot)[0],
            "gold": doc["answer"],
        }


def split(doc: dict[str, Any], log_likelihoods: Sequence[float]) -> tuple[list[float], list[float]]:
    """Those of the pivot's candidates and those of the target's."""
    number = len(doc["choices_pivot"])
    return list(log_likelihoods[:number]), list(log_likelihoods[number:])


def process_results(doc: dict[str, Any], results: Sequence[tuple[float, bool]]) -> dict[str, float]:
    """The measures of one item; `transfer` is NaN where the fact is not known in the pivot."""
    pivot, target = split(doc, [log_likelihood for log_likelihood, _ in results])
    known_in_pivot, known = (ranking(scores)[0] == doc["answer"] for scores in (pivot, target))
    return {
        "acc": float(known),
        "acc_pivot": float(known_in_pivot),
        "transfer": float(known) if known_in_pivot else math.nan,
        "rankc": rank_consistency(pivot, target),
    }


def mean_of_known(values: Sequence[float]) -> float:
    """The mean of those that are numbers; NaN when none is. (The harness's `nanmean` would draw 100,000 samples for a
    standard error, minutes on a large data set.)"""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def ranking(scores: Sequence[float]) -> list[int]:
    """The numbers of the candidates, the likeliest first; of equal ones the earlier first."""
    return sorted(range(len(scores)), key=lambda number: -scores[number])


def rank_consistency(first: Sequence[float], second: Sequence[float]) -> float:
    """RankC of one item (Qi et al. 2023), 0 to 1: how far two score lists rank the same candidates alike.

    For each j the share of the j best candidates that the two have in common, weighted by the softmax of N, ..., 2, 1.
    """
    one, other = ranking(first), ranking(second)
    weights = [math.exp(-place) for place in range(len(one))]  # e^(N - j), all divided by e^(N - 1)
    shares = [len(set(one[:j]) & set(other[:j])) / j for j in range(1, len(one) + 1)]
    return math.fsum(weight * share for weight, share in zip(weights, shares, strict=True)) / math.fsum(weights)
