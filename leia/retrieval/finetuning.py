"""Fine-tuning of a re-ranker on judged documents, and its average precision on others, as the paper evaluates.

Five times: three lists of queries train, one chooses the epoch, one is tested. Only the last layers, the pooler and the
head train. From the middle of the training on, the queries that choose are ranked after each epoch; where their MAP is
better than before, those of the test are ranked, too, and the last such test counts.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch.nn.functional import cross_entropy
from torch.utils.data import DistributedSampler
from transformers import BertForSequenceClassification, PreTrainedTokenizerBase

from leia.base.errors import InputError
from leia.retrieval.collection import Collection, Fold
from leia.retrieval.encoder import is_long, logits, scores
from leia.retrieval.pair_batches import Batch, collate, with_global_attention, without_padding
from leia.retrieval.recipe import FineTuning
from leia.retrieval.scoring import Run, average_precision, mean_average_precision

OnRun = Callable[[str, int, Run], None]
"""Takes each ranking: `dev` or `test`, the epoch, the scores."""


@dataclass(frozen=True)
class FoldResult:
    """`epoch`: the one that was chosen. `average_precision`: of each test query after it. `trained_queries`: those that
    had enough non-relevant documents to train on."""

    trained_queries: int
    epoch: int
    dev_map: float
    average_precision: dict[str, float]


class Ranker:
    """A model that ranks the judged documents of queries. `max_length`: tokens of query and document together."""

    def __init__(
        self, model: BertForSequenceClassification, tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> None:
        self.model, self.tokenizer, self.max_length = model, tokenizer, max_length

    def copy(self) -> "Ranker":
        return Ranker(deepcopy(self.model), self.tokenizer, self.max_length)

    def batch(self, pairs: Sequence[tuple[str, str]]) -> Batch:
        """(query, document) as rows, on the model's device."""
        batch = collate(self.tokenizer, pairs, self.max_length)
        if is_long(self.model):
            batch = with_global_attention(batch)
        return {name: matrix.to(self.model.device) for name, matrix in without_padding(batch).items()}

    def rank(self, collection: Collection, queries: Sequence[str], batch_size: int = 64) -> Run:
        """The score of each judged document of `queries`. Documents of similar length are scored together."""
        rows = [(query, document) for query in queries for document in collection.judgements[query]]
        rows.sort(key=lambda row: len(collection.documents[row[1]]))
        self.model.eval()
        run: Run = {query: {} for query in queries}
        for start in range(0, len(rows), batch_size):
            some = rows[start : start + batch_size]
            batch = self.batch(
                [(collection.queries[query], collection.documents[document]) for query, document in some]
            )
            for (query, document), score in zip(some, scores(self.model, batch), strict=True):
                run[query][document] = score
        return run


def fine_tune(
    ranker: Ranker,
    collection: Collection,
    fold: Fold,
    settings: FineTuning,
    on_run: OnRun,
    on_epoch: Callable[[], object] = lambda: None,
) -> FoldResult:
    """Train a copy of the model on the fold's training queries; its test at the epoch that its dev queries choose."""
    rng = random.Random(settings.seed)
    torch.manual_seed(settings.seed)
    ranker = ranker.copy()
    optimizer = torch.optim.Adam(_parameter_groups(ranker.model, settings))
    entries = training_entries(collection, fold.train, settings.num_negatives)
    trained = len({query for query, _, _ in entries})
    device = ranker.model.device
    best: FoldResult | None = None
    for epoch in range(settings.epochs):
        ranker.model.train()
        for rows, labels in training_rows(collection, entries, epoch, settings, rng):
            batch = ranker.batch(rows)
            optimizer.zero_grad()
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = cross_entropy(logits(ranker.model, batch), torch.tensor(labels, device=device))
            loss.backward()
            optimizer.step()
        on_epoch()
        if epoch < settings.epochs // 2:
            continue
        run = ranker.rank(collection, fold.dev)
        on_run("dev", epoch, run)
        dev_map = mean_average_precision(average_precision(collection.judgements, run))
        if best is None or dev_map > best.dev_map:
            run = ranker.rank(collection, fold.test)
            on_run("test", epoch, run)
            best = FoldResult(trained, epoch, dev_map, average_precision(collection.judgements, run))
    assert best is not None
    return best


def training_entries(
    collection: Collection, queries: Sequence[str], num_negatives: int
) -> list[tuple[str, str, list[str]]]:
    """Each relevant document of `queries` with its query and that one's non-relevant documents, in the collection's
    order; queries with fewer than `num_negatives` of these are left out. Raises `InputError` where none is left."""
    wanted = set(queries)
    entries = [
        (query, document, non_relevant)
        for query in collection.queries
        if query in wanted and len(non_relevant := collection.non_relevant(query)) >= num_negatives
        for document in collection.relevant(query)
    ]
    if not entries:
        most = max((len(collection.non_relevant(query)) for query in queries), default=0)
        expected = f"expected training queries with {num_negatives} judged non-relevant documents"
        raise InputError(f"{expected}, found none with more than {most}; take a smaller --num_negatives")
    return entries


def training_rows(
    collection: Collection,
    entries: Sequence[tuple[str, str, list[str]]],
    epoch: int,
    settings: FineTuning,
    rng: random.Random,
) -> Iterator[tuple[list[tuple[str, str]], list[int]]]:
    """The steps of an epoch: rows (query, document) and their labels, a relevant one and then its negatives."""
    sampler = DistributedSampler(range(len(entries)), num_replicas=1, rank=0)
    sampler.set_epoch(epoch)
    places = list(sampler)
    for start in range(0, len(places), settings.batch_size):
        rows, labels = [], []
        for place in places[start : start + settings.batch_size]:
            query, document, non_relevant = entries[place]
            documents = [document, *rng.sample(non_relevant, settings.num_negatives)]
            rows += [(collection.queries[query], collection.documents[one]) for one in documents]
            labels += [1] + [0] * settings.num_negatives
        yield rows, labels


def _parameter_groups(model: BertForSequenceClassification, settings: FineTuning) -> list[dict]:
    """What trains, with its rate; the rest is frozen."""
    bert = model.bert
    trained = bert.encoder.layer[max(len(bert.encoder.layer) - settings.trained_layers, 0) :]
    encoder = [*trained.parameters(), *bert.pooler.parameters()]
    head = list(model.classifier.parameters())
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for parameter in [*encoder, *head]:
        parameter.requires_grad_(True)
    rates = settings.encoder_learning_rate, settings.head_learning_rate
    return [{"params": some, "lr": rate} for some, rate in zip((encoder, head), rates, strict=True)]
