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


def average_precision(
    judgements: Mapping[str, Mapping[str, int]], run: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """The average precision (0 to 1) of each query that has judgements and a run, in the order of the judgements.

    The others are left out, as the published evaluation does (`ir_measures` counts them as 0). A query with judgements
    none of which is relevant has 0, as trec_eval says; `leia.retrieval.collection` leaves such queries out.

    Raises `InputError` for a score that is not a number.
    """
    try:
        from ir_measures import AP, pytrec_eval
    except ImportError as error:
        raise InputError(f"average precision needs a package ({error}); pip install ir-measures") from error
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
    """Write `query Q0 document rank score tag`, the best document of each query first, rank 1; `read_run` gives the
    same scores again. Raises `UsageError` for white space in an id or in the tag: columns end there."""
    lines = []
    for query, scores in run.items():
        ranked = sorted(scores, key=lambda document: (np.float32(scores[document]), document), reverse=True)
        for rank, document in enumerate(ranked, 1):
            for what, word in (("a query's id", query), ("a document's id", document), ("a tag", tag)):
                if len(word.split()) != 1:
                    raise UsageError(f"{path}: expected {what} without white space, found {word!r}; rename it")
            lines.append(f"{query} Q0 {document} {rank} {float(scores[document])!r} {tag}\n")
    write_file(path, "".join(lines))


def read_run(path: Path) -> Run:
    """Query -> document -> score, in the order of the file; the scores rank the documents, not the ranks."""
    run: Run = {}
    number = 0
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                query, document, score = _read_line(f"{path}:{number}", line)
                if document in run.setdefault(query, {}):
                    raise InputError(
                        f"{path}:{number}: expected each document once for query {query}, found {document} again; "
                        "remove one of the lines"
                    )
                run[query][document] = score
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 after line {number:,}; make the run again") from error
    return run


def _read_line(where: str, line: str) -> tuple[str, str, float]:
    """Query, document, score."""
    try:
        query, _, document, _, written, _ = line.split()
        score = float(written)
        if not math.isfinite(score):
            raise ValueError
    except ValueError:
        raise InputError(
            f"{where}: expected `query Q0 document rank score tag` with a number as the score, found "
            f"{line.strip()[:60]!r}; make the run again"
        ) from None
    return query, document, score
