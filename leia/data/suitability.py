"""Will a model's tokenizer do, from the build to the evaluation? Said before hours of work, not after them."""

import json
from importlib.util import find_spec

from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from leia.base.errors import InputError

_PROBES = ("a b", " a", "a  b\n\nc", "東京は", "1234", "Ünïcode’s")


def check_files(model_name: str) -> None:
    """Raise `InputError` where a model has no tokenizer.json and its SentencePiece model cannot be read."""
    if _file(model_name, "tokenizer.json") or not (path := _file(model_name, "tokenizer.model")):
        return
    with open(path, "rb") as file:
        is_sentencepiece = file.read(1) == b"\n"  # the first field of its protocol buffer; tiktoken's is text
    if is_sentencepiece and find_spec("sentencepiece") is None:
        raise InputError(f"{model_name}: has only a SentencePiece model; pip install sentencepiece")


def check_suitability(tokenizer: PreTrainedTokenizerBase, model_name: str) -> list[str]:
    """Lines for the user on what a later step cannot do with `tokenizer`. Raises `InputError` where it will not do."""
    if not tokenizer.is_fast:
        raise InputError(
            f"{model_name}: its tokenizer ({type(tokenizer).__name__}) is none of the tokenizers library, which alone "
            "says where a token begins; give the folder a tokenizer.json"
        )
    if tokenizer.pad_token_id is None and tokenizer.eos_token_id is None:
        raise InputError(
            f"{model_name}: its tokenizer has neither a padding token nor an EOS token, and training needs one; "
            "name one in tokenizer_config.json (eos_token)"
        )
    _compare_with_sentencepiece(tokenizer, model_name)
    notes = []
    if tokenizer.eos_token_id is None:
        notes.append(f"note: {model_name}: its tokenizer has no EOS token; --scoring paper cannot evaluate its models")
    if not marks_articles(tokenizer):
        notes.append(
            f"note: {model_name}: its tokenizer puts no token around a text, so in training an article begins where "
            "the last one ends without a mark; separate_articles puts EOS between them"
        )
    return notes


def marks_articles(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer puts a token, BOS or EOS, before or behind a text."""
    return len(tokenizer("")["input_ids"]) > 0


def _compare_with_sentencepiece(tokenizer: PreTrainedTokenizerBase, model_name: str) -> None:
    """transformers makes a tokenizer of a SentencePiece model alone, and not always the same one."""
    if _file(model_name, "tokenizer.json") or not (path := _file(model_name, "tokenizer.model")):
        return
    if find_spec("sentencepiece") is None:
        return
    from sentencepiece import SentencePieceProcessor

    own = SentencePieceProcessor(model_file=path)
    for text in _PROBES:
        found, expected = tokenizer(text, add_special_tokens=False)["input_ids"], own.encode(text)
        if found != expected:
            raise InputError(
                f"{model_name}: of its SentencePiece model transformers makes other ids ({json.dumps(text)} is "
                f"{found}, SentencePiece says {expected}); give the folder the model's tokenizer.json"
            )


def _file(model_name: str, name: str) -> str | None:
    return cached_file(model_name, name, _raise_exceptions_for_missing_entries=False)
