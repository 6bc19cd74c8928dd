"""The average precision of a run, as trec_eval computes it, and run files in TREC's format.

    run = {"C041": {"FR940104-000101": 0.87, "FR940105-000202": -1.2}}       # query -> document -> score
    precisions = average_precision(collection.judgements, run)
    mean_average_precision(precisions)
    write_run(folder / "test.run", run, tag="mbert")

A better document has a higher score. Documents of the same score are ranked by their ids, descending, and two scores
are the same when they are in single precision, as trec_eval holds them.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from leia.base.errors import InputError, UsageError
from leia.base.outputs import write_file

Run = dict[str, dict[str, float]]
"""Query -> document -> score."""


def check_installed() -> None:
    """Raise `InputError` where the package is missing that average precision comes from."""
    try:
        import ir_measures
    except ImportError as error:
        raise InputError(f"average precision needs a package ({error}); pip install ir-measures") from error
    assert ir_measures


def average_precision(
    judgements: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """The average precision (0 to 1) of each query that has judgements and a run, in the order of the judgements.

    The others are left out, as the published evaluation does (`ir_measures` counts them as 0). A query with judgements
    none of which is relevant has 0, as trec_eval says; `leia.retrieval.collection` leaves such queries out.

    Raises `InputError` for a score that is not a number.
    """
    from ir_measures import AP, pytrec_eval

    both = [query for query in judgements if judgements[query] and run.get(query)]
    for query in both:
        for document, score in run[query].items():
            if not math.isfinite(score):
                raise InputError(
                    f"query {query}, document {document}: expected a number as its score, found {score}; did the "
                    "training diverge?"
                )
    if not both:
        return {}
    judged = {query: dict(judgements[query]) for query in both}
    scored = {query: {document: float(score) for document, score in run[query].items()} for query in both}
    found = {metric.query_id: metric.value for metric in pytrec_eval.iter_calc([AP], judged, scored)}
    return {query: found[query] for query in both}


def mean_average_precision(precisions: Mapping[str, float]) -> float:
    """The mean over the queries of `average_precision`. Raises `InputError` where there is none."""
    if not precisions:
        raise InputError("expected queries with both judgements and a run, found none; do both have the same ids?")
    return float(np.mean(list(precisions.values())))


def write_run(path: Path, run: Mapping[str, Mapping[str, float]], tag: str) -> None:
    """Write `query Q0 document rank score tag`, the best document of each query first, rank 1, with all digits of
    its score. Raises `UsageError` for white space in an id or in the tag: columns end there."""
    lines = []
    for query, scores in run.items():
        ranked = sorted(scores, key=lambda document: (np.float32(scores[document]), document), reverse=True)
        for rank, document in enumerate(ranked, 1):
            for what, word in (("a query's id", query), ("a document's id", document), ("a tag", tag)):
                if len(word.split()) != 1:
                    raise UsageError(f"{path}: expected {what} without white space, found {word!r}; rename it")
            lines.append(f"{query} Q0 {document} {rank} {float(scores[document])!r} {tag}\n")
    write_file(path, "".join(lines))
