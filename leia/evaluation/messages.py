"""What the harness has to say, and what is to be said of a model, as plain lines on the terminal."""

import logging
import os

import click
from lm_eval.models.huggingface import HFLM

_OF_OTHER_OPTIONS = "Custom kwargs can be passed to `--metadata`"
"""Advice on an option that evaluate.py has not."""


class _Once(logging.Handler):
    """Prints each message once; under a launcher the first process alone does."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._printed: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        if _OF_OTHER_OPTIONS not in text and text not in self._printed and os.environ.get("RANK", "0") == "0":
            self._printed.add(text)
            click.echo(f"{record.levelname.lower()}: {text}", err=True)


def pass_warnings_on() -> None:
    """Print the harness's warnings, and only these: a run has hundreds of other messages."""
    logger = logging.getLogger("lm_eval")
    logger.setLevel(logging.WARNING)
    if not any(isinstance(handler, _Once) for handler in logger.handlers):
        logger.addHandler(_Once())
        logger.propagate = False


def bos_note(lm: HFLM, name: str, scoring: str) -> str:
    """What is to be said of BOS before the model `name` is scored, or nothing. Gemma's models, and they alone, are
    known to score as by chance without it."""
    if "gemma" not in lm.model.config.get_text_config().model_type:
        return ""
    family = f"note: {name} is of the Gemma family, which needs a BOS token; "
    if scoring == "paper":
        return family + "the paper's scoring gives none: use --scoring harness"
    is_given = lm.tok_encode("a")[:1] == [lm.tokenizer.bos_token_id]
    return family + ("a BOS token will be used" if is_given else "its tokenizer adds none")
