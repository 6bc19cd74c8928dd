"""The settings of pretraining and of fine-tuning. It imports nothing that takes long: `--help` shows them."""

from dataclasses import dataclass

import click

from leia.base.cli import setting

QLM, RR = "qlm", "rr"
"""The objectives: query language modelling, relevance ranking."""

OBJECTIVES = ("qlm,rr", "qlm", "rr")
"""Both, or one alone."""

MASK_MODES = ("query", "document", "mixed")
"""Whose tokens are masked; the method's is the query."""

QLM_HEADS = ("new", "tied")
"""`new`: a decoder of its own, as in the published results; `tied`: its weight is that of the word embeddings."""

_COUNT, _RATE, _SHARE = click.IntRange(1), click.FloatRange(0, min_open=True), click.FloatRange(0, 1, min_open=True)


@dataclass(frozen=True)
class PretrainingSettings:
    """The paper's, for one of its 16 processes."""

    objectives: str = setting(
        *("Objectives", "qlm: restore masked words of the query; rr: rank its document before others.", "qlm,rr"),
        type=click.Choice(OBJECTIVES),
    )
    mask_probability: float = setting("Objectives", "Share of the tokens that qlm masks.", 0.3, type=_SHARE)
    mask_mode: str = setting(
        "Objectives", "Whose tokens: the query's, the document's, of both.", "query", type=click.Choice(MASK_MODES)
    )
    qlm_head: str = setting(
        *("Objectives", "Of qlm. new: with a decoder of its own; tied: with that of the embeddings.", "new"),
        type=click.Choice(QLM_HEADS),
    )
    num_negatives: int = setting("Objectives", "Documents that rr ranks the counterpart before.", 1, type=_COUNT)
    epochs: int = setting("Training", "How often the model is saved.", 10, type=_COUNT)
    iterations_per_epoch: int = setting(
        "Training", "In an iteration each pair has a step of each objective.", 1000, type=_COUNT
    )
    batch_size: int = setting("Training", "Aligned sections in a batch of one process.", 4, type=_COUNT)
    gradient_accumulation: int = setting(
        "Training", "Batches of one process in a step, as if of several processes.", 1, type=_COUNT
    )
    learning_rate: float = setting("Training", "Of Adam, the same all the time.", 1e-5, type=_RATE)
    max_grad_norm: float = setting("Training", "Longer gradients are cut to this length.", 5.0, type=_RATE)
    max_pairs: int = setting(
        "Training", "Aligned sections of a pair in a round, drawn anew for each.", 100_000, type=_COUNT
    )
    max_length: int = setting("Training", "Tokens of query and document together.", 512, type=click.IntRange(4))
    attention_window: int = setting(
        "Training", "For long documents: how many tokens one sees; 0: all, as in BERT.", 0, type=click.IntRange(0)
    )
    sentence_language: str = setting(
        *("Training", "By whose rules all texts are cut into sentences (published: en).", ""),
        show_default="each its own",
    )
    seed: int = setting("Training", "Of everything random.", 0)


@dataclass(frozen=True)
class FineTuning:
    """The paper's. Its 10 processes of 8 queries each are one of 80 here."""

    epochs: int = setting(
        "Fine-tuning",
        "Passes over the training queries; 0: none, the model ranks as it is.",
        20,
        type=click.IntRange(0),
    )
    batch_size: int = setting("Fine-tuning", "Relevant documents in a step, each with its negatives.", 80, type=_COUNT)
    num_negatives: int = setting("Fine-tuning", "Judged non-relevant documents of a relevant one.", 1, type=_COUNT)
    trained_layers: int = setting(
        "Fine-tuning", "How many of the last layers train; those before are frozen.", 3, type=click.IntRange(0)
    )
    encoder_learning_rate: float = setting("Fine-tuning", "Of these layers and the pooler.", 2e-5, type=_RATE)
    head_learning_rate: float = setting("Fine-tuning", "Of the head that scores.", 2e-5, type=_RATE)
    seed: int = setting("Fine-tuning", "Set at the start of each of the five.", 611)
