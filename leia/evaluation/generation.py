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

RULES = ("hf-causal", "llm-jp-eval", "leia-later-code")
_ROOM = 256
_CLEANED = (
    *((f" {sign}", sign) for sign in (".", "?", "!", ",")),
    (" ' ", "'"),
    *((f" {end}", end) for end in ("n't", "'m", "'s", "'ve", "'re")),
)


@dataclass(frozen=True)
class Request:
    """`context`: its token ids; `max_new_tokens`: how many may follow; `until`: strings that end the text."""

    context: list[int]
    max_new_tokens: int
    until: list[str]


def make_request(
    tokenizer: PreTrainedTokenizerBase, rule: str, context: str, settings: dict[str, Any], max_length: int
) -> Request:
    """`settings`: the harness's `max_gen_toks` and `until`; `max_length`: tokens that the model reads at most."""
    ids = tokenizer(context, add_special_tokens=False)["input_ids"]
    until, limit = [], settings["max_gen_toks"]
    if rule != "llm-jp-eval":
        until = settings.get("until") or []
        room = max(limit, _ROOM) if rule == "leia-later-code" else limit
        if room >= max_length:
            raise InputError(
                f"an answer may have {room} tokens, the model reads {max_length} in all; use another model"
            )
        ids = ids[-(max_length - room) :]
    return Request(ids, limit, [until] if isinstance(until, str) else list(until))


@torch.inference_mode()
def generate(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rule: str, requests: Sequence[Request]
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


def _stop_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rule: str) -> list[int]:
    line_break = tokenizer("\n", add_special_tokens=False)["input_ids"][-1:]
    if rule == "hf-causal":
        return line_break
    ends = model.generation_config.eos_token_id  # several for some models
    ends = ends if isinstance(ends, list) else [tokenizer.eos_token_id if ends is None else ends]
    return ends + line_break if rule == "leia-later-code" else ends


def _decode(tokenizer: PreTrainedTokenizerBase, rule: str, request: Request, new: list[int]) -> str:
    if rule != "llm-jp-eval":
        text = tokenizer.decode(new, skip_special_tokens=rule != "hf-causal")
    else:
        decoded = (
            tokenizer.decode(ids, skip_special_tokens=True) for ids in ([*request.context, *new], request.context)
        )
        whole, known = map(_clean_up, decoded)
        text = whole[len(known) :]
    for stop in request.until:
        text = text.partition(stop)[0]
    return text


def _clean_up(text: str) -> str:
    """Without the spaces before English signs and contractions, as transformers decoded then; transformers 5 leaves
    them for some classes of tokenizers."""
    for before, after in _CLEANED:
        text = text.replace(before, after)
    return text
