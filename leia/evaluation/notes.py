"""What is worth knowing and stops nothing, as one line on standard error, once: the harness's warnings and our notes.

Of several processes the first one speaks; `share` gives it what the others have to say.
"""

import logging
import os
import re
from pathlib import Path

import click
from accelerate.utils import gather_object
from transformers import PretrainedConfig, PreTrainedTokenizerBase

from leia.base.text import one_line

_ABOUT_ITSELF = (
    "Custom kwargs can be passed to",  # said of every task whose data a function of its own reads
    "`pretrained` model kwarg is not of type `str`",  # a model in training, which is given on purpose
    "Passed an already-initialized model",
)
"""Warnings of the harness that say nothing about the model, the task or the scores."""
_NUMBER = re.compile(r"(?<!\w)\d+(?!\w)")

_said: set[str] = set()
_unsaid: list[str] = []


def pass_warnings_on() -> None:
    """Have the harness's warnings printed; without this they are not, or as often as there are items and processes."""
    harness = logging.getLogger("lm_eval")
    harness.setLevel(logging.WARNING)
    harness.handlers, harness.propagate = [_PassedOn()], False


class _PassedOn(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if not any(beginning in text for beginning in _ABOUT_ITSELF):
            _say(f"warning: lm-eval: {one_line(text.partition(chr(10) * 2)[0])}")  # behind it stands a whole item


def note(text: str) -> None:
    """Print a note, once."""
    _say(f"note: {one_line(text)}")


def share() -> None:
    """Print what other processes have to say and the first has not said. All processes call this together."""
    lines = gather_object(_unsaid.copy())
    _unsaid.clear()
    for line in lines if _is_first() else ():
        _say(line)


def note_bos(name: str, config: PretrainedConfig, tokenizer: PreTrainedTokenizerBase, scoring: str) -> None:
    """Note whether the model `name` (a folder or a name on the hub) gets the BOS token without which its scores mean
    nothing. So it is with the Gemma family, of all generations; its types tell (`gemma2`, `gemma3_text`, ...). Others
    begin a text with BOS as well, but are hardly worse without."""
    if not any("gemma" in one.model_type for one in (config, config.get_text_config())):
        return
    model = f"{Path(name).resolve().name if Path(name).is_dir() else name} is of the Gemma family"
    if scoring == "paper":
        note(f"{model}, which needs a BOS token; the paper's scoring gives none: use --scoring harness")
    elif tokenizer("a")["input_ids"][:1] == [tokenizer.bos_token_id]:  # the harness leaves it to the tokenizer
        note(f"{model}, which needs a BOS token: a BOS token will be used")
    else:
        note(
            f"{model}, which needs a BOS token; its tokenizer puts none in front of a text, so its scores mean nothing"
        )


def _say(line: str) -> None:
    kind = _NUMBER.sub("0", line)  # what is said of each item differs in its numbers
    if kind in _said:
        return
    _said.add(kind)
    if _is_first():
        click.echo(line, err=True)
    else:
        _unsaid.append(line)


def _is_first() -> bool:
    return os.environ.get("RANK", "0") == "0"
