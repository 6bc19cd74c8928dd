"""The finished model as others read it: transformers 4 and the tools that were built on it.

Transformers 5 writes some settings under new names alone, and older readers take their defaults for them without a
word: `rope_parameters` for `rope_theta` and `rope_scaling` (other positions, other scores), a class of tokenizers and a
list of special tokens that they do not know. Both names stand in the files of a finished model.
"""

from pathlib import Path
from typing import Any

import torch

from leia.base.outputs import write_file
from leia.base.text import read_json, to_json

_NEW_CLASS, _OLD_CLASS = "TokenizersBackend", "PreTrainedTokenizerFast"
_ROPE_NAMES = {"gpt_neox": {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"}}
_OF_THE_FILE = ("transformers_version", "_name_or_path", "_commit_hash", "architectures", "quantization_config")
_PARTS = ("text_config",)  # of a model that reads more than text
_ADVICE = "make the model again"


def write_older_names(folder: Path, base: dict[str, Any], dtype: torch.dtype | None) -> None:
    """Complete `config.json` and `tokenizer_config.json` of the model in `folder`: the `dtype` of its weights (None: as
    it says), the older names of settings, and what the config of its `base` has beside them. The files are replaced,
    not changed: they may be other names of a checkpoint's."""
    config = read_json(folder / "config.json", _ADVICE)
    if dtype is not None:
        config = _with_dtype(config, str(dtype).removeprefix("torch."))
    write_file(folder / "config.json", to_json(older_config(config, base), indent=2))
    if (path := folder / "tokenizer_config.json").is_file():
        write_file(path, to_json(older_tokenizer_config(read_json(path, _ADVICE)), indent=2))


def _with_dtype(config: dict[str, Any], dtype: str) -> dict[str, Any]:
    parts = {name: _with_dtype(part, dtype) for name, part in config.items() if name in _PARTS and part}
    return config | {"dtype": dtype} | parts


def older_config(config: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """`config` as transformers 5 writes it, with the older names of its positions and all that the config of its base
    model has besides; the cache is used as in the base."""
    lost = {name: value for name, value in base.items() if name not in config and name not in _OF_THE_FILE}
    if "torch_dtype" in lost:
        lost["torch_dtype"] = config.get("dtype")
    whole = config | _older_rope(config) | lost
    for part in _PARTS:
        if config.get(part):
            whole[part] = older_config(config[part], base.get(part) or {})
    if "use_cache" in config:  # training switches it off
        whole["use_cache"] = base.get("use_cache", True)
    return whole


def _older_rope(config: dict[str, Any]) -> dict[str, Any]:
    rope = config.get("rope_parameters")
    if not rope:
        return {}
    local = rope.get("sliding_attention")
    rope = rope.get("full_attention", rope)
    own = ("rope_theta", "partial_rotary_factor")
    names = _ROPE_NAMES.get(config["model_type"], {})
    older = {names.get(name, name): rope[name] for name in own if name in rope}
    scaling = {name: value for name, value in rope.items() if name not in own}
    older["rope_scaling"] = scaling if scaling.get("rope_type", "default") != "default" else None
    if local:
        older["rope_local_base_freq"] = local["rope_theta"]
    return older


def older_tokenizer_config(config: dict[str, Any]) -> dict[str, Any]:
    """`config` as transformers 5 writes it, with a class of tokenizers that older versions know and further special
    tokens under the name that all versions read."""
    whole = {name: value for name, value in config.items() if name != "backend"}
    if whole.get("tokenizer_class") == _NEW_CLASS:
        whole["tokenizer_class"] = _OLD_CLASS  # takes tokenizer.json as it is, in all versions
    if isinstance(tokens := whole.get("extra_special_tokens"), list):
        del whole["extra_special_tokens"]
        whole["additional_special_tokens"] = tokens
    return whole
