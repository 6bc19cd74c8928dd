"""What a tokenizer.json says of how a text becomes ids, and whether a loaded tokenizer does so.

transformers 5 makes the tokenizers of some classes (Llama, Qwen 2, Gemma, Cohere, GPT-2) anew from the vocabulary and
the merges, with the class's own normaliser, pre-tokenizer and special tokens: to Llama 2's file ` dog` is two tokens,
to the class one. The neutral class, `PreTrainedTokenizerFast`, takes the file as it is.
"""

import json
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils.hub import cached_file

_NAMES = {
    "normalizer": "normaliser",
    "pre_tokenizer": "pre-tokenizer",
    "model": "model",
    "post_processor": "post-processor",
    "decoder": "decoder",
    "added_tokens": "added tokens",
}
_IDLE = {"pre_tokenizer": {"trim_offsets"}, "decoder": {"add_prefix_space", "trim_offsets", "use_regex"}}
"""Settings of ByteLevel that do nothing in this part."""


def specification(backend: Tokenizer) -> dict[str, Any]:
    """The six parts of a tokenizer.json by meaning: without truncation and padding, what is off or empty, and what does
    nothing. Backends of one specification give a text the same ids, and ids the same text."""
    stated = json.loads(backend.to_str())
    post_processor = stated["post_processor"] or {}
    if post_processor.get("type") == "TemplateProcessing" and not post_processor["special_tokens"]:
        stated["post_processor"] = None  # it adds nothing
    vocabulary = {key: stated["model"].pop(key) for key in ("vocab", "merges") if key in stated["model"]}
    parts = {part: _meaning(stated[part], _IDLE.get(part, set())) for part in _NAMES}
    parts["model"] |= vocabulary
    return parts


def _meaning(value: Any, idle: set[str]) -> Any:
    if isinstance(value, list):
        return [_meaning(item, idle) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _meaning(item, idle) for key, item in value.items() if key not in idle}
    return {key: item for key, item in kept.items() if item is not None and item is not False and item != ""}


def neutral_tokenizer(model_name: str, loaded: PreTrainedTokenizerBase) -> PreTrainedTokenizerFast | None:
    """The tokenizer.json of a model as it is, with the tokens and settings of the files beside it. `loaded` is the same
    tokenizer as transformers loads it: from it come the names of special tokens and the side of the padding where only
    its class says them. None where there is no such file, or where `loaded` has code of its own, which may differ."""
    own_code = not type(loaded).__module__.startswith("transformers.")
    if own_code or not loaded.is_fast:
        return None
    if cached_file(model_name, "tokenizer.json", _raise_exceptions_for_missing_entries=False) is None:
        return None
    neutral = PreTrainedTokenizerFast.from_pretrained(model_name, padding_side=loaded.padding_side)
    for name, token in loaded.special_tokens_map.items():
        if name not in neutral.special_tokens_map and token in neutral.added_tokens_encoder:
            setattr(neutral, name, token)
    return neutral


def deviating_parts(loaded: PreTrainedTokenizerBase, neutral: PreTrainedTokenizerFast) -> str:
    """The parts in which a tokenizer is not as its file says, as words: "normaliser and pre-tokenizer"."""
    parts, said = specification(loaded.backend_tokenizer), specification(neutral.backend_tokenizer)
    return " and ".join(name for part, name in _NAMES.items() if parts[part] != said[part])
