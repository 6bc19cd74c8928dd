"""The model: one BERT with two heads, one that restores masked words of a query and one that scores a document for it.

What ranks (BERT, its pooler, the second head) is a `BertForSequenceClassification` of transformers with two labels; the
score of a document is the logit of label 1. The other head is new: the published model neither loads the one of
multilingual BERT nor ties it to the embeddings.

A saved model is a folder that plain transformers and the `CrossEncoder` of sentence-transformers load, but for one of
long documents, which only this room knows. The first head is in a file of its own, which training goes on with.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BertForSequenceClassification,
    PretrainedConfig,
    PreTrainedTokenizerBase,
)
from transformers.models.bert.modeling_bert import BertLMPredictionHead
from transformers.utils import SAFE_WEIGHTS_NAME, logging

from leia.base.errors import InputError, UsageError
from leia.base.outputs import system_errors
from leia.retrieval.long_attention import LongBertConfig, LongBertForSequenceClassification, to_long
from leia.retrieval.pair_batches import IGNORED, Batch
from leia.retrieval.recipe import QLM_HEADS

_QLM_HEAD_FILE = "qlm_head.safetensors"
_SPECIAL = ("cls_token_id", "sep_token_id", "pad_token_id", "mask_token_id")


class Retriever(nn.Module):
    """`ranker` and `qlm_head` on one BERT. Its loss is that of the objective which the labels of a batch are for."""

    def __init__(self, ranker: BertForSequenceClassification, qlm_head: BertLMPredictionHead) -> None:
        super().__init__()
        self.ranker, self.qlm_head = ranker, qlm_head

    def forward(self, batch: Batch) -> torch.Tensor:
        """The cross-entropy of a batch, a mean over its rows (labels: one a row) or over its masked tokens."""
        labels = batch["labels"]
        if labels.dim() == 1:
            return cross_entropy(logits(self.ranker, batch), labels)
        masked = labels != IGNORED
        hidden = self.ranker.bert(**_inputs(batch)).last_hidden_state
        return cross_entropy(self.qlm_head(hidden[masked]), labels[masked])

    @property
    def qlm_head_kind(self) -> str:
        embeddings = self.ranker.get_input_embeddings()
        return QLM_HEADS[self.qlm_head.decoder.weight is embeddings.weight]

    def save(self, folder: Path, tokenizer: PreTrainedTokenizerBase) -> None:
        """Write the model and its tokenizer into `folder`."""
        config = self.ranker.config
        config.architectures = [type(self.ranker).__name__]
        of_head = self.qlm_head.state_dict()
        if self.qlm_head_kind == "tied":
            del of_head["decoder.weight"]
        del of_head["decoder.bias"]  # the head's own bias
        with system_errors():
            config.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
            # not by `save_pretrained` of the model, which imports DeepSpeed where that is installed
            save_file(self.ranker.state_dict(), folder / SAFE_WEIGHTS_NAME, metadata={"format": "pt"})
            save_file(of_head, folder / _QLM_HEAD_FILE)


def logits(ranker: BertForSequenceClassification, batch: Batch) -> torch.Tensor:
    """(rows, 2): for each row "does not belong to the query" and "belongs to it", which is its score."""
    return ranker(**_inputs(batch)).logits


def is_long(ranker: BertForSequenceClassification) -> bool:
    return isinstance(ranker.config, LongBertConfig)


def _inputs(batch: Batch) -> Batch:
    return {name: batch[name] for name in ("input_ids", "attention_mask", "token_type_ids")}


def as_retriever(
    ranker: BertForSequenceClassification,
    qlm_head: str = "new",
    seed: int = 0,
    long_length: int | None = None,
    window: int = 64,
) -> Retriever:
    """`ranker` with a new head of the kind `qlm_head` (`QLM_HEADS`), drawn from `seed`.

    `long_length`: a BERT becomes one for documents of so many tokens, with this attention `window`.
    """
    if long_length is not None and not is_long(ranker):
        ranker = to_long(ranker, long_length, window)
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        head = BertLMPredictionHead(ranker.config)
        head.apply(ranker._init_weights)  # N(0, initializer_range), as the rest of BERT begins
    head.decoder.bias = head.bias
    if qlm_head == "tied":
        head.decoder.weight = ranker.get_input_embeddings().weight
    return Retriever(ranker, head).eval()


def load_retriever(
    model: str, qlm_head: str = "new", seed: int = 0, long_length: int | None = None, window: int = 64
) -> tuple[Retriever, PreTrainedTokenizerBase]:
    """The model in a folder or on the hub, as `as_retriever` makes it, and its tokenizer.

    Errors as in `load_ranker`; `UsageError` for a head of another kind than the saved one.
    """
    ranker, tokenizer = load_ranker(model, seed)
    retriever = as_retriever(ranker, qlm_head, seed, long_length, window)
    _load_qlm_head(retriever, Path(model))
    return retriever, tokenizer


def load_ranker(model: str, seed: int = 0) -> tuple[BertForSequenceClassification, PreTrainedTokenizerBase]:
    """What ranks, in a folder or on the hub, and its tokenizer; where it has no classifier, one is drawn from `seed`.

    Raises `InputError` for a model that is no BERT or cannot be loaded, has another number of labels than two, or lacks
    a tokenizer with BERT's special tokens.
    """
    AutoConfig.register(LongBertConfig.model_type, LongBertConfig, exist_ok=True)
    try:
        config = AutoConfig.from_pretrained(model)
        kind = _kind(model, config)
        with torch.random.fork_rng(devices=()), _quiet():
            torch.manual_seed(seed)
            ranker = kind.from_pretrained(model, num_labels=2, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        first = str(error).strip().splitlines()[0]
        advice = "name a folder or a model on the hub"
        raise InputError(f"{model}: cannot be loaded as a BERT ({first}); {advice}") from error
    if missing := [name for name in _SPECIAL if getattr(tokenizer, name, None) is None]:
        raise InputError(f"{model}: expected a tokenizer with BERT's special tokens, found none for {missing[0]}")
    words, rows = len(tokenizer), ranker.config.vocab_size
    if not 0.9 * rows <= words <= rows:  # some models have rows to spare; without its files a tokenizer has 5 words
        expected = f"expected a tokenizer of {rows:,} tokens, as the model has, found {words:,}"
        raise InputError(f"{model}: {expected}; are the tokenizer's own files there?")
    return ranker.eval(), tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Without a progress bar, and without the warning that heads are drawn, as is meant here."""
    level, shows_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shows_bars:
            logging.enable_progress_bar()


def _kind(model: str, config: PretrainedConfig) -> type[BertForSequenceClassification]:
    if config.model_type not in ("bert", LongBertConfig.model_type):
        raise InputError(f"{model}: expected a BERT, found a model of the type {config.model_type!r}; name another")
    is_classifier = any(name.endswith("ForSequenceClassification") for name in config.architectures or ())
    if is_classifier and config.num_labels != 2:
        raise InputError(f"{model}: expected a classifier of 2 labels, found one of {config.num_labels}; name another")
    return BertForSequenceClassification if config.model_type == "bert" else LongBertForSequenceClassification


def _load_qlm_head(retriever: Retriever, folder: Path) -> None:
    """Give the head the weights that a pretraining saved beside its model, where there are such."""
    if not (file := folder / _QLM_HEAD_FILE).is_file():
        return
    try:
        weights = load_file(file)
    except SafetensorError as error:
        raise InputError(f"{file}: cannot be read, perhaps cut off ({error}); name another model") from error
    if ("decoder.weight" not in weights) != (retriever.qlm_head_kind == "tied"):
        saved = QLM_HEADS["decoder.weight" not in weights]
        raise UsageError(f"{file}: holds a head of the kind {saved!r}; say --qlm_head {saved}")
    own = retriever.qlm_head.state_dict()
    retriever.qlm_head.load_state_dict(own | weights)


@torch.no_grad()
def scores(ranker: BertForSequenceClassification, batch: Batch) -> list[float]:
    """The score of each row."""
    return logits(ranker, batch)[:, 1].float().tolist()
