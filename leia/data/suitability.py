"""Will a model's tokenizer do, from the build to the evaluation? Said before hours of work, not after them."""

import json
from copy import deepcopy
from pathlib import Path

from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from leia.base.errors import InputError
from leia.data.alignment import Aligner
from leia.data.name_tags import TAG_SETTINGS, entity_name_tags, use_of_tag


def check_suitability(tokenizer: PreTrainedTokenizerBase, model_name: str) -> list[str]:
    """Lines for the user on what a later step cannot do with `tokenizer`. Raises `InputError` where it will not do."""
    Aligner(deepcopy(tokenizer))
    if tokenizer.eos_token_id is None and tokenizer.pad_token_id is None:
        raise InputError(
            f"{model_name}: its tokenizer has neither an EOS nor a padding token, and training needs one; name one in "
            'tokenizer_config.json (say "eos_token": "</s>")'
        )
    notes = []
    if tokenizer.eos_token_id is None:
        notes.append('has no EOS token, which the evaluation needs; name it in tokenizer_config.json ("eos_token")')
    notes += _beyond_embeddings(tokenizer)
    if note := note_on_articles(tokenizer):
        notes.append(note)
    for setting, tag in zip(TAG_SETTINGS, entity_name_tags(tokenizer), strict=True):
        if use := use_of_tag(tokenizer, tag):
            notes.append(f"has {tag} as {use}; training needs another {setting}")
    return [f"note: {model_name}: its tokenizer {note}" for note in notes]


def _beyond_embeddings(tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """A note on tokens that have no row in the model's embeddings, as its config says their number."""
    file = cached_file(tokenizer.name_or_path, "config.json", _raise_exceptions_for_missing_entries=False)
    config = json.loads(Path(file).read_text(encoding="utf-8")) if file else {}
    rows = config.get("vocab_size", (config.get("text_config") or {}).get("vocab_size"))
    beyond = [token for token, index in tokenizer.get_vocab().items() if isinstance(rows, int) and index >= rows]
    if not beyond:
        return []
    tokens = f"{len(beyond):,} tokens" if len(beyond) > 1 else beyond[0]
    return [
        f"has {tokens} beyond the {rows:,} rows of the model's embeddings; training makes rows, but the model as it is "
        "cannot be evaluated: do tokenizer and model belong together?"
    ]


def note_on_articles(tokenizer: PreTrainedTokenizerBase) -> str | None:
    """What is to be said of a tokenizer that puts no token around a text; None for one that does."""
    if tokenizer("")["input_ids"]:
        return None
    remedy = "separate_articles puts EOS between them" if tokenizer.eos_token_id is not None else "it has no EOS either"
    return f"puts no token around a text, so that in training articles run into each other; {remedy}"


def article_end(tokenizer: PreTrainedTokenizerBase, separate_articles: bool) -> int | None:
    """The id that the stream puts after each article. Raises `InputError` where there is none to put."""
    if separate_articles and tokenizer.eos_token_id is None:
        raise InputError(f"separate_articles: the tokenizer of {tokenizer.name_or_path} has no EOS token; leave it out")
    return tokenizer.eos_token_id if separate_articles else None
