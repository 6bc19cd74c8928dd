"""The model of a run: its attention, its adapters."""

import os
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch.nn import Linear
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments
from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

from leia.base.errors import InputError
from leia.data.tokenizers import check_model_name
from leia.training.experiment import Experiment
from leia.training.four_bits import in_four_bits
from leia.training.layers import prepare_layers, use_fp8
from leia.training.token_rows import add_tags


def check_length(name_or_path: str, max_length: int, trust_remote_code: bool = False) -> None:
    """Raise `InputError` when there is no model, or one with fewer positions than a sequence has tokens."""
    check_model_name(name_or_path)
    try:
        config = AutoConfig.from_pretrained(name_or_path, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise InputError(f"{name_or_path}: no model can be loaded from it ({first_line(error)})") from error
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions is not None and max_length > positions:
        raise InputError(f"max_length is {max_length}, {name_or_path} has {positions} positions; lower max_length")


def check_weights(name_or_path: str) -> None:
    """Raise `InputError` for a weights file of a model folder that is cut off or garbled, as far as its head tells."""
    for file in sorted(Path(name_or_path).glob("model*.safetensors")):
        try:
            safe_open(file, framework="pt")
        except SafetensorError as error:
            raise InputError(f"{file}: is damaged ({error}); copy it again, or make the model again") from error


def load_model(
    name_or_path: str,
    attn_implementation: str,
    dtype: torch.dtype,
    trust_remote_code: bool = False,
    four_bits: bool = False,
) -> PreTrainedModel:
    """`attn_implementation`: one that transformers has a name for, or `auto` for the fastest one that the model's class
    and this machine have. `four_bits`: linear layers have them, all else `dtype`. Raises `InputError`."""
    check_weights(name_or_path)
    is_free = attn_implementation == "auto"
    for attention in attentions() if is_free else [attn_implementation]:
        try:
            return _load(name_or_path, attention, dtype, trust_remote_code, four_bits)
        except (OSError, ValueError, ImportError) as error:
            # Which attention a class lacks, it says before its weights are read; eager is in all of them.
            reason, failed = first_line(error).split(". ")[0].rstrip("."), error
    if is_free or attn_implementation == "eager":
        raise InputError(f"{name_or_path}: no model can be loaded from it ({reason})") from failed
    # This raises what is wrong with the model itself.
    other = load_model(name_or_path, "auto", dtype, trust_remote_code, four_bits)
    raise InputError(
        f"attn_implementation is {attn_implementation}: {type(other).__name__} cannot have it here ({reason}); "
        f"take {other.config._attn_implementation}, or auto"
    ) from failed


def _load(
    name_or_path: str, attention: str, dtype: torch.dtype, trust_remote_code: bool, four_bits: bool
) -> PreTrainedModel:
    config = AutoConfig.from_pretrained(name_or_path, trust_remote_code=trust_remote_code)
    config.return_dict = True
    config._attn_implementation = attention  # given as an argument it would not go before one in the config's file
    model, found = AutoModelForCausalLM.from_pretrained(
        name_or_path,
        config=config,
        dtype=dtype,
        trust_remote_code=trust_remote_code,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
        **({"quantization_config": in_four_bits(dtype)} if four_bits else {}),
    )
    # Else they would be random numbers, and no more than a warning said so.
    wrong = {"lacks": found["missing_keys"], "has in another size": {name for name, *_ in found["mismatched_keys"]}}
    for what, names in wrong.items():
        if names:
            more = f" and {len(names) - 1} others" if len(names) > 1 else ""
            raise InputError(
                f"{name_or_path}: expected the weights of {type(model).__name__} with the sizes of its config.json, it "
                f"{what} {min(names)}{more}; copy the model again, or take another one"
            )
    return model


def attentions() -> list[str]:
    """What `auto` tries, the fastest first: flash attention where it runs, then PyTorch's and transformers' own."""
    capability = torch.cuda.get_device_capability() if torch.cuda.is_available() else (0, 0)
    flash = {
        "flash_attention_3": capability[0] == 9 and is_flash_attn_3_available(),
        "flash_attention_2": capability[0] >= 8 and is_flash_attn_2_available(),
    }
    return [name for name, runs in flash.items() if runs] + ["sdpa", "eager"]


def make_model(experiment: Experiment, args: TrainingArguments, tokenizer: PreTrainedTokenizerBase) -> torch.nn.Module:
    """The model to train; it and `tokenizer` are given the tags that `tokenizer` is to have."""
    # DeepSpeed keeps 32-bit weights beside bf16 ones, and adapters leave the weights as they are; elsewhere the weights
    # are 32-bit and bf16 is for the arithmetic.
    narrow = args.bf16 and (args.deepspeed_plugin is not None or experiment.lora_rank > 0)
    dtype = torch.bfloat16 if narrow else torch.float32
    attention = "flash_attention_2" if experiment.use_flash_attention_2 else experiment.attn_implementation
    name, trusted = experiment.model_name_or_path, experiment.trust_remote_code
    model = load_model(name, attention, dtype, trusted, experiment.load_in_4bit)
    tag_ids = add_tags(model, tokenizer)
    return prepare(model, experiment, args, tag_ids)


def prepare(
    model: PreTrainedModel, experiment: Experiment, args: TrainingArguments, tag_ids: Sequence[int]
) -> torch.nn.Module:
    """`model`, which has the tags, as this run trains it: with adapters or not, and how its layers run."""
    if experiment.lora_rank:
        if (args.fsdp or os.environ.get("ACCELERATE_USE_FSDP") == "true") and has_tied_weights(model):
            raise InputError(
                f"lora_rank is {experiment.lora_rank}: adapters of {type(model).__name__}, whose output layer shares "
                "its weights with the embeddings, are not trained under FSDP; "
                "ACCELERATE_CONFIG=configs/accelerate/zero1_8gpu.yaml is for them"
            )
        model = add_lora(model, experiment.lora_rank, tag_ids, args.seed)
    if experiment.fp8:
        use_fp8(model)
    if args.bf16:
        # What layers hand on has 16 bits, as under DeepSpeed and FSDP; autocast alone would leave it 32.
        model.get_input_embeddings().register_forward_hook(lambda _, __, embedded: embedded.to(torch.bfloat16))
    prepare_layers(model, experiment.activation_checkpointing, experiment.torch_compile)
    return model


def has_tied_weights(model: torch.nn.Module) -> bool:
    return len(list(model.parameters())) < len(list(model.named_parameters(remove_duplicate=False)))


def add_lora(model: PreTrainedModel, rank: int, tag_ids: Sequence[int], seed: int) -> Any:
    """`model` with LoRA adapters on all linear layers; of the embeddings only the rows of the tags are trained."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # for the adapters; the Trainer sets it only later
    settings = {"r": rank, "lora_alpha": 2 * rank, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    settings |= {"exclude_modules": _without_adapters(model), "trainable_token_indices": list(tag_ids) or None}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "fan_in_fan_out is set")  # which peft then sets as GPT-2 needs it
            adapted = get_peft_model(model, LoraConfig(**settings))
    except (NotImplementedError, TypeError, ValueError) as error:
        raise InputError(
            f"lora_rank is {rank}: {type(model).__name__} cannot have adapters ({first_line(error)}); train all "
            "weights (lora_rank 0)"
        ) from error
    # What peft chooses by itself where the tags made the embeddings larger, with a warning at each checkpoint.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=True)
    return adapted


def _without_adapters(model: PreTrainedModel) -> list[str]:
    """The linear layers where an adapter would not be seen or would be something else than a change of the weights:
    those of state-space models (Mamba, Jamba) that are never called, since a kernel with the products of all of them
    reads their weights; and those of which a model makes something else than one product (DeepSeek V4)."""
    read_by_kernels = [
        f"{name}.{own_name}"
        for name, module in model.named_modules()
        if hasattr(module, "A_log")
        for own_name in ("x_proj", "dt_proj", "out_proj")
        if hasattr(module, own_name)
    ]
    of_its_own = [
        name for name, module in model.named_modules() if isinstance(module, Linear) and not _is_product(module)
    ]
    return read_by_kernels + of_its_own


def _is_product(layer: Linear) -> bool:
    if not type(layer).__module__.startswith(("transformers.models.", "transformers_modules.")):
        return True  # torch's own, or of a library of fewer bits
    inputs = layer.weight.new_empty(1, layer.in_features)
    try:
        with torch.no_grad():
            return layer(inputs).shape == (1, layer.out_features)
    except RuntimeError:  # for another shape
        return False


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
