"""Examples as a batch of rows `[CLS] query [SEP] document [SEP]`, masked for the one objective, labelled for the other.

A batch is a dictionary of matrices (rows, length): `input_ids`, `attention_mask`, `token_type_ids` (0 to the first
`[SEP]`, 1 after it) and `labels`: for query language modelling the ids at the masked places and -100 elsewhere, for
relevance ranking one number a row, 1 for the counterpart and 0 for a negative.
"""

from collections.abc import Sequence

import torch
from transformers import PreTrainedTokenizerBase

from leia.retrieval.pair_examples import Example

Batch = dict[str, torch.Tensor]

LONG_QUERY, LONG_QUERY_KEPT = 256, 512
"""From so many tokens of global attention on, a row in pretraining has none, and is attended to up to this place."""

IGNORED = -100
"""The label of a place where nothing is to be restored."""


def collate(tokenizer: PreTrainedTokenizerBase, pairs: Sequence[tuple[str, str]], length: int) -> Batch:
    """The rows of (query, document), padded to `length` tokens whatever they hold: masks are drawn for each place."""
    queries = token_ids(tokenizer, [query for query, _ in pairs])
    documents = token_ids(tokenizer, [document for _, document in pairs])
    ids = torch.full((len(pairs), length), tokenizer.pad_token_id)
    real, types = torch.zeros_like(ids), torch.zeros_like(ids)
    for row, (query, document) in enumerate(zip(queries, documents, strict=True)):
        query, document = truncate(query, document, length - 3)
        first = [tokenizer.cls_token_id, *query, tokenizer.sep_token_id]
        second = [*document, tokenizer.sep_token_id]
        end = len(first) + len(second)
        ids[row, :end] = torch.tensor(first + second)
        real[row, :end] = 1
        types[row, len(first) : end] = 1
    return {"input_ids": ids, "attention_mask": real, "token_type_ids": types}


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """The ids of whole texts, without special tokens."""
    return tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]


def truncate(query: list[int], document: list[int], budget: int) -> tuple[list[int], list[int]]:
    """Both cut to `budget` tokens together: one by one, the last of the longer, of the document where both are equal.

    transformers' `longest_first` cuts a token more of the query where both are longer than half of an odd budget.
    """
    surplus = max(len(query) + len(document) - budget, 0)
    of_longer = min(surplus, abs(len(query) - len(document)))
    of_query, of_document = (of_longer, 0) if len(query) > len(document) else (0, of_longer)
    both = surplus - of_longer  # from here on the lengths are equal
    of_query, of_document = of_query + both // 2, of_document + both - both // 2
    return query[: len(query) - of_query], document[: len(document) - of_document]


def ranking_batch(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example], length: int) -> Batch:
    """The rows of each example, its counterpart first, with their labels."""
    pairs = [(example.query, document) for example in examples for document in example.documents]
    labels = [int(place == 0) for example in examples for place in range(len(example.documents))]
    return collate(tokenizer, pairs, length) | {"labels": torch.tensor(labels)}


def masked_batch(
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    length: int,
    generator: torch.Generator,
    probability: float = 0.3,
    mode: str = "query",
) -> Batch:
    """A row an example, with some of its words masked: 80% are `[MASK]`, 10% a random token, 10% as they were.

    `mode` is one of `MASK_MODES`. The four draws are for all places of the matrix, in BERT's usual order.
    """
    batch = collate(tokenizer, [(example.query, example.documents[0]) for example in examples], length)
    ids, real, types = batch["input_ids"], batch["attention_mask"].bool(), batch["token_type_ids"].bool()
    special = (ids == tokenizer.cls_token_id) | (ids == tokenizer.sep_token_id)
    allowed = {"query": ~types, "document": types, "mixed": torch.ones_like(types)}[mode] & real & ~special
    masked = torch.bernoulli(allowed * probability, generator=generator).bool()
    hidden = torch.bernoulli(torch.full(ids.shape, 0.8), generator=generator).bool() & masked
    other = torch.bernoulli(torch.full(ids.shape, 0.5), generator=generator).bool() & masked
    random_ids = torch.randint(len(tokenizer), ids.shape, generator=generator)
    shown = torch.where(hidden, tokenizer.mask_token_id, torch.where(other, random_ids, ids))
    return batch | {"input_ids": shown, "labels": torch.where(masked, ids, IGNORED)}


def masked_tokens(batch: Batch) -> int:
    """How many tokens of a `masked_batch` are to be restored."""
    return int((batch["labels"] != IGNORED).sum())


def with_global_attention(batch: Batch) -> Batch:
    """The attention mask of long documents: 2 on the query with `[CLS]` and the first `[SEP]`, 1 on the document."""
    return batch | {"attention_mask": batch["attention_mask"] * (2 - batch["token_type_ids"])}


def without_long_queries(batch: Batch) -> Batch:
    """In pretraining a row with a long query (`LONG_QUERY`) is attended to locally, and up to a place alone."""
    mask = batch["attention_mask"].clone()
    long = (mask == 2).sum(dim=1) >= LONG_QUERY
    mask[long] = (torch.arange(mask.shape[1]) < LONG_QUERY_KEPT).to(mask.dtype)
    return batch | {"attention_mask": mask}


def without_padding(batch: Batch) -> Batch:
    """The batch without the columns at its end that are padding in all rows; no score or loss depends on them."""
    width = int(batch["attention_mask"].any(dim=0).nonzero().max()) + 1
    return {name: matrix[:, :width] if matrix.dim() == 2 else matrix for name, matrix in batch.items()}
