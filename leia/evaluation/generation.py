"""Greedy generation as the harnesses did it that made the paper's numbers. A task names its rule in its metadata:

- `hf-causal` (the jp-harness): the context loses its beginning where it is too long; only the last token of a line
  break ends the text, EOS does not; special tokens are part of the text; it is cut at the first of the task's stop
  strings.
- `llm-jp-eval`: the context is never cut; EOS alone ends the text, stop strings do not; the text is what context and
  answer, decoded together and with spaces cleaned up, have beyond the context.
- `leia-later-code` (the LEIA authors' own loop, JSQuAD): as hf-causal, but EOS ends the text too, special tokens are no
  part of it, and the context leaves room for 256 tokens however many may follow.

All tokenise the context without special tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from leia.base.errors import InputError


@dataclass(frozen=True)
class Rule:
    """How a harness had answers written; the docstring of the module says it in words.

    `room`: tokens that the context leaves for the answer at least, None where the context is never cut. `with_context`:
    the answer is decoded with it, and no stop string ends it.
    """

    line_break_ends: bool
    eos_ends: bool
    keeps_special_tokens: bool
    room: int | None
    with_context: bool = False


RULES = {
    "hf-causal": Rule(line_break_ends=True, eos_ends=False, keeps_special_tokens=True, room=0),
    "llm-jp-eval": Rule(False, eos_ends=True, keeps_special_tokens=False, room=None, with_context=True),
    "leia-later-code": Rule(line_break_ends=True, eos_ends=True, keeps_special_tokens=False, room=256),
}
_CLEANED = (" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're")


@dataclass(frozen=True)
class Request:
    """`context`: its token ids; `max_new_tokens`: how many may follow; `until`: strings that end the text."""

    context: list[int]
    max_new_tokens: int
    until: list[str]


def make_request(
    tokenizer: PreTrainedTokenizerBase, rule: Rule, context: str, settings: dict[str, Any], max_length: int
) -> Request:
    """`settings`: the harness's `max_gen_toks` and `until`; `max_length`: tokens that the model reads at most."""
    ids = tokenizer(context, add_special_tokens=False)["input_ids"]
    limit, until = settings["max_gen_toks"], settings.get("until") or []
    if rule.room is not None:
        room = max(limit, rule.room)
        if room >= max_length:
            raise InputError(
                f"an answer may have {room} tokens, the model reads {max_length} in all; use another model"
            )
        ids = ids[-(max_length - room) :]
    return Request(ids, limit, [until] if isinstance(until, str) else list(until))


@torch.inference_mode()
def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rule: Rule, requests: Sequence[Request]
) -> list[str]:
    """The text of each request, all in one batch: padded on the left, each cut to its own number of tokens."""
    stop_ids = _stop_ids(model, tokenizer, rule)
    width = max(len(request.context) for request in requests)
    padding = [width - len(request.context) for request in requests]
    rows = [[tokenizer.pad_token_id] * pad + one.context for pad, one in zip(padding, requests, strict=True)]
    mask = [[0] * pad + [1] * (width - pad) for pad in padding]
    # Whatever the model's own file says, the likeliest token is taken.
    greedy = GenerationConfig(
        max_new_tokens=max(request.max_new_tokens for request in requests),
        do_sample=False,
        num_beams=1,
        eos_token_id=stop_ids,
        pad_token_id=tokenizer.pad_token_id,
    )
    tokens = model.generate(
        torch.tensor(rows, device=model.device),
        attention_mask=torch.tensor(mask, device=model.device),
        generation_config=greedy,
    )
    texts = []
    for request, new in zip(requests, tokens[:, width:].tolist(), strict=True):
        own = takewhile(lambda token: token not in stop_ids, new[: request.max_new_tokens])  # then comes padding
        texts.append(_decode(tokenizer, rule, request, list(own)))
    return texts


def _stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rule: Rule) -> list[int]:
    line_break = tokenizer("\n", add_special_tokens=False)["input_ids"][-1:]
    ends = model.generation_config.eos_token_id  # several for some models
    ends = ends if isinstance(ends, list) else [tokenizer.eos_token_id if ends is None else ends]
    return [*(ends if rule.eos_ends else []), *(line_break if rule.line_break_ends else [])]


def _decode(tokenizer: PreTrainedTokenizerBase, rule: Rule, request: Request, new: list[int]) -> str:
    if rule.with_context:
        decoded = (
            tokenizer.decode(ids, skip_special_tokens=True) for ids in ([*request.context, *new], request.context)
        )
        whole, known = map(_clean_up, decoded)
        return whole[len(known) :]
    text = tokenizer.decode(new, skip_special_tokens=not rule.keeps_special_tokens)
    for stop in request.until:
        text = text.partition(stop)[0]
    return text


def _clean_up(text: str) -> str:
    """Without the spaces before English signs and contractions, as transformers decoded then; transformers 5 leaves
    them for some classes of tokenizers."""
    for sign in _CLEANED:
        text = text.replace(sign, sign.strip())
    return text
