"""Which tokens of a block see each other: all before them, or those of their own article only.

transformers has the latter for packed sequences, under two conditions that differ by attention: SDPA, eager and flex
attention build a mask from positions that start again; flash attention is given where the sequences start and end. A
model may pass on neither, or have layers that carry a state from one article into the next. `check_separate_attention`
finds that out by a try.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel, masking_utils

from leia.base.errors import InputError
from leia.training.memory import is_out_of_memory

_LENGTHS = (8, 16)  # of the two articles of the try, in tokens
# What is no leak: this share of the difference that the article before makes, or so many times what rounding makes.
_LEAST_LEAK, _TIMES_NOISE, _GREATEST_LEAK = 0.02, 5, 0.5


@contextmanager
def attention_within(model: torch.nn.Module, position_ids: torch.Tensor | None) -> Iterator[dict[str, Any]]:
    """Yields what `model` is to be given beside its ids, and has transformers take the articles as told.

    Without `position_ids` a row is one sequence. transformers would look for several at each call, and wait for the GPU
    for it.
    """
    articles = None if position_ids is None else _starts(position_ids).cumsum(-1)
    find = masking_utils.find_packed_sequence_indices
    masking_utils.find_packed_sequence_indices = lambda _: articles
    try:
        yield {} if position_ids is None else _arguments(model, position_ids)
    finally:
        masking_utils.find_packed_sequence_indices = find


def _starts(position_ids: torch.Tensor) -> torch.Tensor:
    """Where an article starts, and where a row does; [batch, length]."""
    before = position_ids[:, :1] - 2  # not the position before: what a row starts with is a start
    return torch.diff(position_ids, prepend=before, dim=-1) != 1


def _arguments(model: torch.nn.Module, position_ids: torch.Tensor) -> dict[str, Any]:
    arguments: dict[str, Any] = {"position_ids": position_ids}
    if "flash" in _attention_of(model):
        # All rows as one sequence after the other. From the positions alone it takes one row only, and asks the GPU for
        # them in each layer. The length may be greater than the longest has.
        first = _starts(position_ids).flatten().nonzero().flatten()
        bounds = torch.cat([first, first.new_tensor([position_ids.numel()])]).to(torch.int32)
        arguments |= {"cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds}
        arguments |= {"max_length_q": position_ids.shape[1], "max_length_k": position_ids.shape[1]}
    return arguments


def _model_in(model: torch.nn.Module) -> torch.nn.Module:
    """The model of transformers in what it was wrapped in."""
    return next((one for one in model.modules() if isinstance(one, PreTrainedModel)), model)


def _attention_of(model: torch.nn.Module) -> str:
    return str(getattr(getattr(_model_in(model), "config", None), "_attn_implementation", ""))


def check_separate_attention(model: torch.nn.Module, device: torch.device | None = None) -> None:
    """Raise `InputError` unless articles in one row are to `model` as if each were alone.

    A try of four short passes with made-up articles, in the precision and with the attention of the model. It may be
    wrapped (DDP, FSDP, DeepSpeed); then all processes call this. `device`: where it computes, None for where its
    weights lie.
    """
    refusal = f"separate_attention is on: {type(_model_in(model)).__name__} does not keep articles apart"
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            leak, noise = _leak(model, device)
    except (IndexError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(f"{refusal} ({reason}); leave it out") from error
    finally:
        model.train(was_training)
    if not _is_rounding(leak, noise):
        attention = _attention_of(model)
        advice = "take attn_implementation sdpa, or leave it out" if "flash" in attention else "leave it out"
        raise InputError(f"{refusal}: with {attention} attention one changes the logits of the next; {advice}")


def _is_rounding(leak: float, noise: float) -> bool:
    return leak <= min(max(_LEAST_LEAK, _TIMES_NOISE * noise), _GREATEST_LEAK)


def _leak(model: torch.nn.Module, device: torch.device | None) -> tuple[float, float]:
    """How far the logits of a second article in a row are from those of it alone, and how far those of a first article,
    which are equal but for rounding. 1 is the difference that the article before makes in a row that is one sequence.
    """
    inner = _model_in(model)
    device = device or next(inner.parameters()).device
    short, long = _LENGTHS
    ids = torch.arange(2 * (short + long), device=device).view(2, -1) * 37 % inner.config.get_text_config().vocab_size
    # In the second row the longer article comes first.
    places = [torch.arange(length, device=device) for length in _LENGTHS]
    position_ids = torch.stack([torch.cat(places), torch.cat(places[::-1])])
    together, joined = _logits(model, ids, position_ids), _logits(model, ids, None)
    of_short = _logits(model, torch.stack([ids[0, :short], ids[1, long:]]), None)
    of_long = _logits(model, torch.stack([ids[0, short:], ids[1, :long]]), None)
    alone = torch.stack([torch.cat([of_short[0], of_long[0]]), torch.cat([of_long[1], of_short[1]])])
    is_second = position_ids != torch.arange(short + long, device=device)
    difference, effect = ((one - alone).abs().mean(-1) for one in (together, joined))
    usual = effect[is_second].mean()
    if not usual > 0:  # as for a model without attention: nothing can leak
        return difference.max().item(), 0.0
    return (difference / usual)[is_second].max().item(), (difference / usual)[~is_second].max().item()


def _logits(model: torch.nn.Module, ids: torch.Tensor, position_ids: torch.Tensor | None) -> torch.Tensor:
    with attention_within(model, position_ids) as more:
        return model(input_ids=ids, use_cache=False, **more).logits.float()
