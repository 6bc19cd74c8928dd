"""What a model has for each token, and new tokens, such as the two tags, in it: rows of its embeddings, biases of its
output layer and whatever else its class has.

It is found without names: the vocabulary is the axis that is longer in a model of the same class whose config says a
longer one. Such models are made on the meta device, without weights. They tell, too, whether plain transformers will
load what is saved: each size is the one that the class has for the model's config.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy

import torch
from accelerate.utils import compare_versions
from torch.nn import Parameter
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase, __version__
from transformers.initialization import no_init_weights

from leia.base.errors import InputError
from leia.data.name_tags import add_tag_pairs, tag_pairs
from leia.data.tokenizers import count_ids

_LONGER = 1024
"""By how much the vocabulary of the other model is longer."""


def add_tags(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Give `tokenizer` and `model` the tags (of `tag_pairs`) where they lack them; return their ids. What the model has
    for a new token is the mean of what it has for all former ones (paper, section 3: of the embeddings); of whole
    numbers, such as the experts of a token, what most tokens have. The rows of a padded vocabulary are used.

    Raises `InputError` for a model that cannot be given them."""
    known = count_ids(tokenizer)
    tags = [tag for pair in tag_pairs(tokenizer) for tag in pair]
    new_tags = [tag for tag in tags if tag not in tokenizer.get_vocab()]
    add_tag_pairs(tokenizer, tag_pairs(tokenizer))
    tag_ids = tuple(tokenizer.convert_tokens_to_ids(tags))
    former = lengthen(model, known, count_ids(tokenizer))
    # Of a model that has fewer rows than its tokenizer has tokens, those that were missing are new, too.
    new = sorted({*tokenizer.convert_tokens_to_ids(new_tags), *range(former, count_ids(tokenizer))})
    if new:
        fill(model, min(known, former), dict.fromkeys(new))
    _refuse_what_has_no_rows(model, tag_ids)
    return tag_ids


def lengthen(model: PreTrainedModel, known: int, rows: int) -> int:
    """Give `model` rows for the ids below `rows` where it has fewer; return how many it had. Its tokenizer had `known`
    ids. Raises `InputError` for a model that cannot be given them."""
    former = min(_vocabulary_lengths(model.config, known).values())
    if rows > former:
        _grow(model, known, rows)
    return former


def _refuse_what_has_no_rows(model: PreTrainedModel, tag_ids: Sequence[int]) -> None:
    """Gemma 3n has a table for a part of the tokens: transformers before 5.21 stops at others, in the first step."""
    if model.config.model_type == "gemma3n_text" and compare_versions("transformers", "<", "5.21"):
        rows = model.config.vocab_size_per_layer_input
        if rows <= max(tag_ids, default=0):
            raise InputError(
                f"{type(model).__name__}: vocab_size_per_layer_input is {rows}; transformers {__version__} stops at "
                "tokens beyond it, as the two tags are; pip install -U transformers (5.21 or later)"
            )


def _vocabulary_lengths(config: PreTrainedConfig, known: int) -> dict[str, int]:
    """The lengths of the vocabulary that `config` names, `vocab_size` and those of further tables with a row for each
    of the `known` tokens (Gemma 3n's `vocab_size_per_layer_input`). Others are for a part of the tokens, or for their
    kinds (BERT's `type_vocab_size`)."""
    values = config.get_text_config().to_dict()
    if not isinstance(values.get("vocab_size"), int):
        raise InputError(
            f"{config.model_type}: its config names no vocab_size, so that no tokens can be added; take a model "
            "that does"
        )
    least = min(known, values["vocab_size"])
    return {name: value for name, value in values.items() if "vocab" in name and _is_count(value) and value >= least}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _grow(model: PreTrainedModel, known: int, rows: int) -> None:
    """Make the vocabulary of `model` at least `rows` long: what transformers knows of in its way, the rest in ours."""
    config = model.config.get_text_config()
    names = _vocabulary_lengths(model.config, known).keys()
    try:
        model.resize_token_embeddings(max(rows, config.vocab_size), mean_resizing=False)
    except (AttributeError, NotImplementedError, TypeError, ValueError) as error:
        raise _cannot(model, str(error).strip().split("\n")[0]) from error
    if further := sorted(_vocabulary_lengths(model.config, known).keys() - names):
        raise _cannot(model, f"of {further[0]} only some of its tokens had a row")
    for name in names:
        if getattr(config, name) < rows:
            setattr(config, name, config.vocab_size)
    wanted = _sizes_made_anew(model, model.config)
    for name, tensor in list(_tensors(model)):
        if hasattr(tensor, "quant_state"):  # of 4 bits, packed into another size; what holds tokens is none of those
            continue
        if name in wanted and getattr(tensor, "ds_shape", tensor.shape) != wanted[name]:
            _lengthen(model, name, wanted[name])
    model.tie_weights()


def _lengthen(model: PreTrainedModel, name: str, size: torch.Size) -> None:
    """Put a tensor of that size in place of the one with that name, with its numbers; the new ones are 0."""
    place, _, own_name = name.rpartition(".")
    owner = model.get_submodule(place)
    former = getattr(owner, own_name)
    can_grow = len(former.shape) == len(size) and all(
        one <= other for one, other in zip(former.shape, size, strict=True)
    )
    if hasattr(former, "ds_shape") or name not in model.state_dict() or not can_grow:
        raise _cannot(model, f"{name} has the size {list(former.shape)}, with them it would need {list(size)}")
    longer = former.new_zeros(size)
    with torch.no_grad():
        longer[tuple(map(slice, former.shape))] = former
    setattr(owner, own_name, Parameter(longer, former.requires_grad) if isinstance(former, Parameter) else longer)
    for number in ("num_embeddings", "out_features"):  # of torch's own layers
        if getattr(owner, number, None) == len(former):
            setattr(owner, number, len(longer))


def fill(model: PreTrainedModel, known: int, sources: Mapping[int, Sequence[int] | None]) -> None:
    """Give each id of `sources` the mean of what its former tokens have, None for all of the first `known` ones; of
    whole numbers what most of them have."""
    tensors = dict(_tensors(model))
    for name, axis in {
        id(tensors[name]): (name, axis) for name, axis in _vocabulary_axes(model, known).items()
    }.values():
        with torch.no_grad(), gathered(tensors[name]):
            tensor = tensors[name]
            if tensor.is_meta or not tensor.numel():  # another process has it
                continue
            of_tokens = tensor.movedim(axis, 0)
            of_all = _typical(of_tokens[:known]) if None in sources.values() else None
            for new, former in sources.items():
                of_tokens[new] = of_all if former is None else _typical(of_tokens[list(former)])


def _typical(of_tokens: torch.Tensor) -> torch.Tensor:
    """The mean along the first axis; of whole numbers the most frequent."""
    if of_tokens.is_floating_point():
        return of_tokens.mean(dim=0, dtype=torch.float32).to(of_tokens.dtype)
    kinds, numbers = of_tokens.unique(dim=0, return_counts=True)
    return kinds[numbers.argmax()]


def _vocabulary_axes(model: PreTrainedModel, known: int) -> dict[str, int]:
    """The axis of the vocabulary of each tensor that has one, by its name."""
    longer = deepcopy(model.config)
    for name, length in _vocabulary_lengths(longer, known).items():
        setattr(longer.get_text_config(), name, length + _LONGER)
    sizes, of_longer = _sizes_made_anew(model, model.config), _sizes_made_anew(model, longer)
    return {
        name: next(axis for axis, (one, other) in enumerate(zip(size, of_longer[name], strict=True)) if one != other)
        for name, size in sizes.items()
        if name in model.state_dict() and size != of_longer[name]
    }


def _sizes_made_anew(model: PreTrainedModel, config: PreTrainedConfig) -> dict[str, torch.Size]:
    """The sizes that the tensors of a model of this class have, for a config."""
    config = deepcopy(config)
    config._attn_implementation = "eager"  # of the others it is checked whether they run on a meta device
    with torch.device("meta"), no_init_weights():
        made = type(model)(config)
    return {name: tensor.shape for name, tensor in _tensors(made)}


def _tensors(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """All tensors of `model`, with all of their names."""
    yield from model.named_parameters(remove_duplicate=False)
    yield from model.named_buffers(remove_duplicate=False)


def gathered(tensor: torch.Tensor) -> AbstractContextManager[None]:
    """Make whole what DeepSpeed ZeRO-3 has shared out among the processes; the changes of process 0 are kept."""
    if not hasattr(tensor, "ds_id"):
        return nullcontext()
    import deepspeed

    return deepspeed.zero.GatheredParameters([tensor], modifier_rank=0)


def _cannot(model: PreTrainedModel, why: str) -> InputError:
    return InputError(f"{type(model).__name__}: cannot be given new tokens ({why}); take another model")
