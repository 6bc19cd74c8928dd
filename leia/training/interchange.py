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

_CLASS = "PreTrainedTokenizerFast"
_ROPE_NAMES = {
    "gpt_neox": {"rope_theta": "rotary_emb_base", "partial_rotary_factor": "rotary_pct"},
    "modernbert-decoder": {"rope_theta": "global_rope_theta", "rope_local_base_freq": "local_rope_theta"},
}
_TWO_ROPES = ("gemma3_text", "gemma3n_text", "modernbert-decoder", "olmo3")
"""The kinds of models of transformers 4 with a RoPE for each kind of layer. Newer ones have no older names: for the one
RoPE that these say transformers 5 would leave the others."""
_READ_TYPE = ("olmo", "olmo2", "phi3", "phimoe")
"""The kinds that read the kind of scaling as `type`, and refuse a field that they do not know."""
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
    path, file = folder / "tokenizer_config.json", folder / "tokenizer.json"
    if path.is_file() and file.is_file() and "auto_map" not in (settings := read_json(path, _ADVICE)):  # no own code
        write_file(path, to_json(older_tokenizer_config(settings, read_json(file, _ADVICE)), indent=2))


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
    rope, kind = config.get("rope_parameters"), config.get("model_type")
    two = kind in _TWO_ROPES
    if not rope or (not two and any(isinstance(value, dict) for value in rope.values())):
        return {}
    full = rope["full_attention"] if two else rope
    older = {name: full[name] for name in ("rope_theta", "partial_rotary_factor") if name in full}
    if two:
        older["rope_local_base_freq"] = rope["sliding_attention"]["rope_theta"]
    names = _ROPE_NAMES.get(kind, {})
    older = {names.get(name, name): value for name, value in older.items()}
    return older | {"rope_scaling": _older_scaling(full, kind)}


def _older_scaling(rope: dict[str, Any], model_type: str) -> dict[str, Any] | None:
    kind = rope.get("rope_type", "default")
    if kind == "default":
        return None
    elsewhere = {"rope_theta", "partial_rotary_factor", "rope_type", "type"}
    if model_type == "phi3":  # which has it beside `rope_scaling`
        elsewhere.add("original_max_position_embeddings")
    scaling = {name: value for name, value in rope.items() if name not in elsewhere}
    return {"type" if model_type in _READ_TYPE else "rope_type": kind, **scaling}


def older_tokenizer_config(config: dict[str, Any], tokenizer_json: dict[str, Any]) -> dict[str, Any]:
    """`config` as transformers 5 writes it, so that all versions take `tokenizer_json` as it is: by the class that adds
    nothing of its own, with further special tokens under the name that all read, and with what version 4 would choose
    by itself otherwise: the space before a text, and the inputs of a causal model."""
    whole = {"model_input_names": ["input_ids", "attention_mask"]} | config | {"tokenizer_class": _CLASS}
    for name in ("backend", "add_prefix_space"):
        whole.pop(name, None)
    if tokens := whole.pop("extra_special_tokens", None):
        whole["additional_special_tokens"] = tokens
    if named := whole.pop("model_specific_special_tokens", None):
        whole["extra_special_tokens"] = named
    space = (tokenizer_json["pre_tokenizer"] or {}).get("add_prefix_space")
    return whole if space is None else whole | {"add_prefix_space": space}
