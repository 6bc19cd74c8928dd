"""The files that make a model's tokenizer: are they there and whole, and can this machine read them?

transformers says of a SentencePiece model that tiktoken is missing, and makes an empty tokenizer where a file is not
there; tokenizers raises plain exceptions. So the files are looked at before.
"""

import json
import re
from importlib.util import find_spec
from pathlib import Path

import tokenizers
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerBase
from transformers.utils.hub import cached_file

from leia.base.errors import InputError

_JSON_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "config.json")
_PIECES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "sentencepiece.model", "spm.model")
_BPE = ("vocab.json", "merges.txt")
_OTHERS = ("vocab.txt", "vocab.bpe", "bpe.codes", "vocab.model", "tekken.json")
_ADVICE = "expected a folder with tokenizer.json"


def check_files(model_name: str) -> None:
    """Raise `InputError` for the files of a tokenizer that is damaged, that needs a package which is missing, or of
    which a part is missing."""
    for name in _JSON_FILES:
        if (file := _find(model_name, name)) is not None:
            _check_json(file)
    if (file := _find(model_name, "tokenizer.json")) is not None:
        _check_readable(file)
        return
    found = [name for name in (*_PIECES, *_BPE, *_OTHERS) if _find(model_name, name)]
    pieces = [name for name in found if name in _PIECES]
    if pieces:
        package = "sentencepiece" if is_sentencepiece(_find(model_name, pieces[0])) else "tiktoken"
        if find_spec(package) is None:
            what = "SentencePiece model" if package == "sentencepiece" else f"{pieces[0]} of tiktoken"
            raise InputError(f"{model_name}: has only a {what}; pip install {package}")
    elif found == ["tekken.json"]:
        raise InputError(f"{model_name}: has only a tekken.json, which mistral-common alone reads; {_ADVICE}")
    elif len(set(_BPE).intersection(found)) == 1:
        there, missing = sorted(_BPE, key=lambda name: name not in found)
        raise InputError(f"{model_name}: has {there} and no {missing}; copy {missing}, or a tokenizer.json, beside it")
    elif not found and not _has_own_code(model_name):
        raise InputError(f"{model_name}: has no file of a tokenizer; {_ADVICE}")


def check_vocabulary(model_name: str, tokenizer: PreTrainedTokenizerBase) -> None:
    """Raise `InputError` for a tokenizer that transformers made otherwise than the model's SentencePiece file says."""
    if _find(model_name, "tokenizer.json") is not None:
        return
    files = [file for name in _PIECES if (file := _find(model_name, name)) is not None]
    if files and is_sentencepiece(files[0]):
        _check_pieces(model_name, files[0], tokenizer)


def _has_own_code(model_name: str) -> bool:
    config = _find(model_name, "tokenizer_config.json")
    return config is not None and "auto_map" in json.loads(config.read_bytes())


def _find(model_name: str, name: str) -> Path | None:
    file = cached_file(model_name, name, _raise_exceptions_for_missing_entries=False)
    return None if file is None else Path(file)


def _check_json(file: Path) -> None:
    text = file.read_bytes()
    if text.startswith(b"version https://git-lfs"):
        raise InputError(f"{file}: is a pointer of Git LFS, not the file; run git lfs pull in its folder")
    try:
        is_object = isinstance(json.loads(text), dict)
    except ValueError as error:
        raise InputError(f"{file}: is damaged or cut off ({error}); copy it again") from error
    if not is_object:
        raise InputError(f"{file}: expected a JSON object; copy it again")


def _check_readable(file: Path) -> None:
    try:
        Tokenizer.from_file(str(file))
    except Exception as error:  # tokenizers has no narrower one
        raise InputError(
            f"{file}: tokenizers {tokenizers.__version__} cannot read it ({str(error).splitlines()[0]}); it is of a "
            "newer version (pip install -U tokenizers transformers), or damaged (copy it again)"
        ) from error


def is_sentencepiece(file: Path) -> bool:
    """Whether a `.model` file is SentencePiece's; tiktoken's holds lines of a token in base64 and its rank."""
    with file.open("rb") as opened:
        return not re.match(rb"[A-Za-z0-9+/=]+ \d+\s", opened.read(4096))


def _check_pieces(model_name: str, file: Path, tokenizer: PreTrainedTokenizerBase) -> None:
    from sentencepiece import SentencePieceProcessor

    try:
        model = SentencePieceProcessor(model_file=str(file))
    except (RuntimeError, OSError) as error:
        raise InputError(f"{file}: is damaged or cut off ({error}); copy it again") from error
    ordinary = [k for k in range(len(model)) if not (model.is_control(k) or model.is_unknown(k) or model.is_byte(k))]
    words = [model.id_to_piece(k).replace("▁", "") for k in ordinary[:: max(1, len(ordinary) // 50)]]
    text = " ".join(filter(None, words))
    if tokenizer(text, add_special_tokens=False)["input_ids"] != model.encode(text):
        raise InputError(
            f"{model_name}: transformers splits texts otherwise than the model's {file.name} says; make a "
            "tokenizer.json of it with transformers 4.57 (AutoTokenizer.from_pretrained, then save_pretrained)"
        )
