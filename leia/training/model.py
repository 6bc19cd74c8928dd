"""The model of a run: its tokenizer with the two tags, their embeddings, its attention."""

from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase, TrainingArguments
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.utils import is_flash_attn_2_available, is_flash_attn_3_available

from leia.base.errors import InputError
from leia.data.tokenizers import ENTITY_NAME_TAGS, add_entity_name_tags, check_model_name, count_ids
from leia.training.arguments import Experiment
from leia.training.four_bits import in_four_bits
from leia.training.layers import prepare_layers, use_fp8


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
    attn_implementation: str | None,
    dtype: torch.dtype,
    trust_remote_code: bool = False,
    or_another: bool = False,
    four_bits: bool = False,
) -> PreTrainedModel:
    """`attn_implementation`: None for the one that transformers takes by itself, `sdpa` where the model has it.
    `or_another`: take that one where the model lacks the one given. `four_bits`: linear layers have them, all else
    `dtype`. Raises `InputError`."""
    check_weights(name_or_path)
    try:
        return AutoModelForCausalLM.from_pretrained(
            name_or_path,
            attn_implementation=attn_implementation,
            dtype=dtype,
            trust_remote_code=trust_remote_code,
            return_dict=True,  # whatever its config says
            quantization_config=in_four_bits(dtype) if four_bits else None,
        )
    except (OSError, ValueError, ImportError) as error:
        if or_another:
            return load_model(name_or_path, None, dtype, trust_remote_code, four_bits=four_bits)
        raise InputError(f"{name_or_path}: no model can be loaded from it ({first_line(error)})") from error


def make_model(
    experiment: Experiment, args: TrainingArguments, tokenizer: PreTrainedTokenizerBase, attention: str
) -> tuple[torch.nn.Module, tuple[int, int]]:
    """The model to train and the ids of the two tags, which it and `tokenizer` are given."""
    # DeepSpeed keeps 32-bit weights beside bf16 ones, and adapters leave the weights as they are; elsewhere the weights
    # are 32-bit and bf16 is for the arithmetic.
    narrow = args.bf16 and (args.deepspeed_plugin is not None or experiment.lora_rank > 0)
    dtype = torch.bfloat16 if narrow else torch.float32
    is_free = wanted_attention(experiment) == "auto"
    name, trusted = experiment.model_name_or_path, experiment.trust_remote_code
    model = load_model(name, attention, dtype, trusted, is_free, experiment.load_in_4bit)
    tag_ids = add_tags(model, tokenizer)
    return prepare(model, experiment, args, tag_ids), tag_ids


def prepare(
    model: PreTrainedModel, experiment: Experiment, args: TrainingArguments, tag_ids: tuple[int, int]
) -> torch.nn.Module:
    """`model`, which has the tags, as this run trains it: with adapters or not, and how its layers run."""
    if experiment.lora_rank:
        model = add_lora(model, experiment.lora_rank, tag_ids, args.seed)
    if experiment.fp8:
        use_fp8(model)
    if args.bf16:
        # What layers hand on has 16 bits, as under DeepSpeed and FSDP; autocast alone would leave it 32.
        model.get_input_embeddings().register_forward_hook(lambda _, __, embedded: embedded.to(torch.bfloat16))
    prepare_layers(model, experiment.activation_checkpointing, experiment.torch_compile)
    return model


def add_tags(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """Give `tokenizer` and `model` the two tags where they lack them; return their ids. What the model has for each
    token (rows of the embeddings and of the output layer, biases) is for a new tag the mean of all former ones (paper,
    section 3, for the input embeddings). Raises `InputError` where it cannot be made larger."""
    known = count_ids(tokenizer)
    new_tags = [tag for tag in ENTITY_NAME_TAGS if tag not in tokenizer.get_vocab()]
    tag_ids = add_entity_name_tags(tokenizer)
    if not new_tags:
        return tag_ids
    axes = axes_of_tokens(model)
    if (rows := count_ids(tokenizer)) > model.config.get_text_config().vocab_size:
        model.resize_token_embeddings(rows, mean_resizing=False)
    tensors = dict(chain(model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)))
    with torch.no_grad(), gathered([tensors[name] for name in axes]):
        for name, axis in axes.items():
            tensor = tensors[name]
            if tensor.numel() > 0 and tensor.shape[axis] < rows:  # else another process has it
                raise InputError(f"{type(model).__name__}: its {name} cannot be made larger for the tags")
            for tag_id in tokenizer.convert_tokens_to_ids(new_tags) if tensor.numel() else ():
                mean = tensor.narrow(axis, 0, known).mean(dim=axis, dtype=torch.float32)
                tensor.select(axis, tag_id).copy_(mean)
    return tag_ids


def axes_of_tokens(model: PreTrainedModel) -> dict[str, int]:
    """The parameters and buffers of `model` that hold something for each token, and along which axis: those that would
    be larger if it knew one token more."""
    shapes = []
    for more in (0, 1):
        config = deepcopy(model.config)
        config._attn_implementation = "eager"  # the others ask what the device can
        config.get_text_config().vocab_size += more
        with torch.device("meta"):
            made = type(model)(config)
        tensors = chain(made.named_parameters(remove_duplicate=False), made.named_buffers(remove_duplicate=False))
        shapes.append({name: tensor.shape for name, tensor in tensors})
    one, other = shapes
    return {name: axis for name in one for axis, size in enumerate(one[name]) if size != other[name][axis]}


def gathered(parameters: list[torch.nn.Parameter]) -> AbstractContextManager[None]:
    """Make whole what DeepSpeed ZeRO-3 has shared out among the processes; the changes of process 0 are kept."""
    if not is_deepspeed_zero3_enabled():
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters(parameters, modifier_rank=0)


def wanted_attention(experiment: Experiment) -> str:
    return "flash_attention_2" if experiment.use_flash_attention_2 else experiment.attn_implementation


def choose_attention(wanted: str) -> str:
    """The attention implementation: the wanted one, or for `auto` flash attention where it runs, else `sdpa`."""
    if wanted != "auto":
        return wanted
    capability = torch.cuda.get_device_capability() if torch.cuda.is_available() else (0, 0)
    if capability[0] == 9 and is_flash_attn_3_available():
        return "flash_attention_3"
    return "flash_attention_2" if capability[0] >= 8 and is_flash_attn_2_available() else "sdpa"


def add_lora(model: PreTrainedModel, rank: int, tag_ids: tuple[int, int], seed: int) -> Any:
    """`model` with LoRA adapters on all linear layers; of the embeddings only the rows of the tags are trained."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)  # for the adapters; the Trainer sets it only later
    settings = {"r": rank, "lora_alpha": 2 * rank, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    try:
        adapted = get_peft_model(model, LoraConfig(**settings, trainable_token_indices=list(tag_ids)))
    except ValueError as error:  # of Mamba, say
        raise InputError(f"lora_rank is {rank}: {first_line(error)}; train all weights (lora_rank 0)") from error
    # What peft chooses by itself where the tags made the embeddings larger, with a warning at each checkpoint.
    adapted.save_pretrained = partial(adapted.save_pretrained, save_embedding_layers=True)
    return adapted


def first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
