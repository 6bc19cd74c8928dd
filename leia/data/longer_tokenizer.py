"""A tokenizer with new tokens in its own model, so that every text without one of them keeps its ids.

Not as added tokens, which transformers would put in: these are cut out of a text before the model sees it, also where
they lie across its words, and what stands behind one is taken for the beginning of a text (Llama puts a space there).

- BPE applies merges in their order. The new ones stand behind all old ones, so that a text is first cut as before, and
  then tokens of it are put together.
- Unigram takes the row of tokens with the greatest sum of scores. A new token has a bit more than its parts together.
"""

import json
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from leia.base.errors import InputError
from leia.data.alignment import Aligner
from leia.data.tokenizers import load_tokenizer
from leia.data.vocabulary import NewTokens

_BIT_MORE = 1e-3
"""Of a score, the logarithm of a probability."""


def check_extendable(tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise `InputError` for a tokenizer that cannot be given new tokens without changing the old ids."""
    name = tokenizer.name_or_path
    Aligner(tokenizer)  # a slow tokenizer
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    if model["type"] not in ("BPE", "Unigram"):
        raise InputError(
            f"{name}: its tokenizer is of the kind {model['type']}; new tokens can be added to BPE and Unigram, take a "
            "model with one of these"
        )
    marks = [mark for mark in ("continuing_subword_prefix", "end_of_word_suffix") if model.get(mark)]
    if marks:
        raise InputError(
            f"{name}: its tokenizer marks tokens by {model[marks[0]]!r} ({marks[0]}), which new tokens cannot have; "
            "take a model without"
        )


def save_longer_tokenizer(tokenizer: PreTrainedTokenizerBase, new: NewTokens, folder: Path) -> PreTrainedTokenizerBase:
    """Write the files of `tokenizer` with the `new` tokens into `folder`; return it as loaded from there. Their ids
    follow the greatest one so far."""
    tokenizer.save_pretrained(folder)
    file = folder / "tokenizer.json"
    stated = json.loads(file.read_text(encoding="utf-8"))
    lengthen = _lengthen_bpe if stated["model"]["type"] == "BPE" else _lengthen_unigram
    names = {index: token for token, index in tokenizer.get_vocab().items()}
    # Tokens that were added to the model's, as special ones are, become entries of the model, as do gaps: so the new
    # ids come after them. No text is cut into such an entry: an added token is found before the model sees it.
    former = [names.get(index, f"<unused {index}>") for index in range(max(names) + 1)]
    lengthen(stated["model"], former, new)
    file.write_text(json.dumps(stated, ensure_ascii=False), encoding="utf-8")
    return load_tokenizer(str(folder))


def _lengthen_bpe(model: dict[str, Any], former: list[str], new: NewTokens) -> None:
    for index, name in enumerate([*former, *(token.text for token in new.tokens)]):
        model["vocab"].setdefault(name, index)
    model["merges"] += new.merges


def _lengthen_unigram(model: dict[str, Any], former: list[str], new: NewTokens) -> None:
    scores = dict(model["vocab"])
    # The score of unknown characters follows the lowest one: with a lower one than that, old texts might change.
    lowest = min(scores.values())
    added = [*former[len(model["vocab"]) :], *(token.text for token in new.tokens)]
    scores |= dict.fromkeys(added, lowest)
    for one, other in new.merges:
        scores[one + other] = max(scores[one + other], scores[one] + scores[other] + _BIT_MORE)
    model["vocab"] += [[name, scores[name]] for name in added]
