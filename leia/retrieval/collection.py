"""A judged collection: queries, the documents that were judged for them, and the judgements; and its five folds.

    counts = Counts()
    collection = open_collection("clef/de-en", counts)                                # a folder
    collection = open_collection("clirmatrix/de/bi139-base/en/test1", counts)         # an id of ir_datasets
    fold = split(folds(collection), 0)
    collection.relevant(fold.train[0])

`leia.retrieval.collection_files` says which files a folder holds. `ir_datasets` downloads a collection on its first
use, to the folder ~/.ir_datasets or IR_DATASETS_HOME.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leia.base.errors import DropReason, InputError, UsageError
from leia.base.step import Counts, Tally
from leia.base.text import read_written_pairs
from leia.retrieval.collection_files import read_documents, read_judgements, read_queries

FOLDS = 5
EXAMPLE_ID = "clirmatrix/de/bi139-base/en/test1"

Judgements = Mapping[str, Mapping[str, int]]
"""Query -> document -> relevance; more than 0 is relevant."""

_Find = Callable[[set[str]], dict[str, str]]
"""The texts of those documents of a set of ids that are there."""


@dataclass(frozen=True)
class Collection:
    """`queries`: id -> text, in the order of their file, those alone that have a relevant document. `documents`: id ->
    text, those alone that were judged for one of them. `judgements`: query -> document -> relevance, the queries in
    their order, the documents in that of the judgements' file."""

    queries: dict[str, str]
    documents: dict[str, str]
    judgements: dict[str, dict[str, int]]

    def relevant(self, query: str) -> list[str]:
        """The documents judged relevant."""
        return [document for document, relevance in self.judgements[query].items() if relevance > 0]

    def non_relevant(self, query: str) -> list[str]:
        """The documents judged not relevant."""
        return [document for document, relevance in self.judgements[query].items() if relevance <= 0]


@dataclass(frozen=True)
class Fold:
    """Ids of queries: to train on, to choose the epoch by, to report."""

    train: list[str]
    dev: list[str]
    test: list[str]


def open_collection(
    place: str,
    counts: Counts,
    fields: Sequence[str] = ("title",),
    encoding: str = "utf-8",
) -> Collection:
    """The collection in a folder, or of an id of `ir_datasets`; `counts` takes what is left out of it.

    `fields` of a TREC topic make up a query; `encoding` is that of TREC's topics and documents. For an id of
    `ir_datasets` they do not count: it says what the text is.
    """
    if (folder := Path(place)).is_dir():
        queries, judgements = read_queries(folder, fields, encoding), read_judgements(folder)
        return _join(place, counts, queries, judgements, lambda ids: read_documents(folder, ids, encoding))
    return _from_ir_datasets(place, counts)


def _from_ir_datasets(place: str, counts: Counts) -> Collection:
    try:
        return _join(place, counts, *_parts(_load(place), place))
    except OSError as error:
        if error.errno is not None and error.filename is not None:  # of the file system; those of the network have none
            raise
        raise InputError(
            f"{place}: ir_datasets could not download it ({type(error).__name__}); run the command once on a machine "
            "with a network and copy its ~/.ir_datasets, or export the collection to a folder"
        ) from error


def _load(place: str) -> Any:
    try:
        import ir_datasets

        return ir_datasets.load(place)  # of some it downloads a list of their files already
    except ImportError:
        raise UsageError(
            f"{place}: there is no such folder, and ids of ir_datasets need that package; pip install ir-datasets"
        ) from None
    except KeyError:
        raise UsageError(
            f"{place}: expected a folder, or an id of ir_datasets such as {EXAMPLE_ID}, found neither; check the name"
        ) from None


def _parts(dataset: Any, place: str) -> tuple[dict[str, str], dict[str, dict[str, int]], _Find]:
    """Queries, judgements, and how to find documents, of a dataset of `ir_datasets`."""
    if not (dataset.has_queries() and dataset.has_qrels() and dataset.has_docs()):
        raise UsageError(
            f"{place}: expected a part of ir_datasets with queries, judgements and documents, such as {EXAMPLE_ID}, "
            "found one without; ir-datasets.com lists them"
        )
    queries = {query.query_id: " ".join(query.default_text().split()) for query in dataset.queries_iter()}
    judgements: dict[str, dict[str, int]] = {}
    for one in dataset.qrels_iter():
        judgements.setdefault(one.query_id, {})[one.doc_id] = one.relevance

    def find(ids: set[str]) -> dict[str, str]:
        found = dataset.docs_store().get_many(sorted(ids))
        return {document: " ".join(content.default_text().split()) for document, content in found.items()}

    return queries, judgements, find


def _join(place: str, counts: Counts, queries: Mapping[str, str], judgements: Judgements, find: _Find) -> Collection:
    """What fits together of the three, the rest counted."""
    of_queries, of_judgements = counts.count("queries"), counts.count("judgements")
    for query in judgements.keys() - queries.keys():
        of_judgements.drop(DropReason.UNKNOWN_QUERY, len(judgements[query]))
    judged = {query: dict(judgements[query]) for query in queries if judgements.get(query)}
    if not judged:
        raise InputError(
            f"{place}: expected judgements of its queries, such as {_first(queries)}, found those of "
            f"{_first(judgements)}; let both have the same ids"
        )
    of_queries.drop(DropReason.NOT_JUDGED, len(queries) - len(judged))
    judged = _with_relevant(judged, of_queries, of_judgements)
    wanted = {document for documents in judged.values() for document in documents}
    texts = find(wanted)
    if wanted and not texts:
        raise InputError(
            f"{place}: expected the judged documents, such as {_first(sorted(wanted))}, found none of the "
            f"{len(wanted):,}; do judgements and documents have the same ids?"
        )
    for documents in judged.values():
        for document in [document for document in documents if not texts.get(document)]:
            missing = document not in texts
            of_judgements.drop(DropReason.UNKNOWN_DOCUMENT if missing else DropReason.DOCUMENT_WITHOUT_TEXT)
            del documents[document]
    judged = _with_relevant(judged, of_queries, of_judgements)
    if not judged:
        raise InputError(
            f"{place}: expected queries with a relevant document (relevance of 1 or more), found none among "
            f"{len(queries):,}; check the last column of the judgements"
        )
    of_queries.kept += len(judged)
    of_judgements.kept += sum(map(len, judged.values()))
    kept = {document for documents in judged.values() for document in documents}
    documents = {document: text for document, text in texts.items() if document in kept}
    return Collection({query: queries[query] for query in judged}, documents, judged)


def _with_relevant(judged: dict[str, dict[str, int]], queries: Tally, judgements: Tally) -> dict[str, dict[str, int]]:
    """The queries that have a relevant document; the others are counted."""
    kept = {query: documents for query, documents in judged.items() if max(documents.values(), default=0) > 0}
    for query in judged.keys() - kept.keys():
        queries.drop(DropReason.NO_RELEVANT_DOCUMENT)
        judgements.drop(DropReason.NO_RELEVANT_DOCUMENT, len(judged[query]))
    return kept


def _first(ids: Iterable[str]) -> str:
    return repr(next(iter(ids), "none at all"))


def folds(collection: Collection, path: Path | None = None) -> list[list[str]]:
    """Five lists of the ids of queries: dealt in turn in their order, or as a file says, `query<TAB>fold` with 1 to 5.

    A query of the file that the collection does not have is passed over: it may have been left out for want of a
    relevant document.
    """
    if len(collection.queries) < FOLDS:
        raise InputError(
            f"expected at least {FOLDS} queries with a relevant document, one a fold, found {len(collection.queries)}; "
            "take a larger collection"
        )
    if path is None:
        return [list(collection.queries)[start::FOLDS] for start in range(FOLDS)]
    dealt: list[list[str]] = [[] for _ in range(FOLDS)]
    seen = set()
    for number, query, fold in read_written_pairs(path, "query", "fold", "write a query a line, with a tab between"):
        if fold not in map(str, range(1, FOLDS + 1)) or query in seen:
            found = f"query {query!r} again" if query in seen else repr(fold)
            raise InputError(
                f"{path}:{number}: expected each query once, with a fold from 1 to {FOLDS}, found {found}; "
                "correct the line"
            )
        seen.add(query)
        if query in collection.queries:
            dealt[int(fold) - 1].append(query)
    if missing := [query for query in collection.queries if query not in seen]:
        raise InputError(
            f"{path}: expected a fold for each query, found none for {len(missing)} of them, {missing[0]!r} first; add "
            "a line for each"
        )
    if not all(dealt):
        raise InputError(
            f"{path}: expected queries in all {FOLDS} folds, found none in fold {dealt.index([]) + 1}; deal them anew"
        )
    return dealt


def split(dealt: Sequence[Sequence[str]], number: int) -> Fold:
    """Fold `number` (0 to 4) of `folds`: three lists to train on, from that number on, the next for dev, the last to
    test."""
    turned = [list(dealt[(number + place) % FOLDS]) for place in range(FOLDS)]
    return Fold(turned[0] + turned[1] + turned[2], turned[3], turned[4])
