"""The loss of each token, without the logits of all positions at once.

The logits of 2,048 tokens of a vocabulary of 128,000 take 1 GB in 32 bits, and their loss needs them several times.
Here the output layer of the model is given the next tokens and returns their losses in place of logits, a few rows at a
time. That happens inside the model's forward pass, so that FSDP and DeepSpeed have the weights at hand.

Neither torch's `linear_cross_entropy` nor Liger's is used: of 16-bit weights torch's gives the loss of a token in 16
bits, and both multiply by the vocabulary as it is. With the two tags it is no multiple of 8 (32,002 for Llama 2), for
which GPUs have no fast kernel; here zeros fill it up.
"""

import torch
from torch.nn import Linear, functional
from torch.utils.checkpoint import checkpoint

from leia.data.collator import IGNORED_LABEL
from leia.training.attention import attention_within
from leia.training.memory import is_out_of_memory

LOGITS_AT_ONCE = 2**26
"""256 MB in 32 bits: all 2,048 tokens of a sequence for a vocabulary of 32,000."""

_MULTIPLE = 64


def next_tokens(values: torch.Tensor, last: int) -> torch.Tensor:
    """`values` [batch, length] moved one to the left, so that each position holds what it has to predict."""
    return functional.pad(values[:, 1:], (0, 1), value=last)


def cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """The loss of each of `targets` (of any shape), in float32; 0 where there is no label. `logits`: one axis more."""
    losses = functional.cross_entropy(
        logits.flatten(0, -2).float(), targets.flatten(), ignore_index=IGNORED_LABEL, reduction="none"
    )
    return losses.view_as(targets)


class TokenLosses:
    """Runs a model for the losses of next tokens. The output layer of `model` is changed for it; to all others it goes
    on to give logits. `needs_logits`: the model does something to its logits (scales, caps or cuts them) or computes
    them without that layer, so that they are needed whole; None until the first batch shows it.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self._layer = model.get_output_embeddings()
        self.needs_logits: bool | None = True if self._layer is None else None
        if self._layer is None:
            return
        self._logits_of = self._layer.forward
        self._is_plain = isinstance(self._layer, Linear) and type(self._layer).forward is Linear.forward
        self._rows = max(1, LOGITS_AT_ONCE // model.config.get_text_config().vocab_size)
        self._targets: torch.Tensor | None = None
        self._returned: torch.Tensor | None = None
        self._layer.forward = self._logits_or_losses

    def __call__(
        self,
        model: torch.nn.Module,
        ids: torch.Tensor,
        labels: torch.Tensor,
        position_ids: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The sum of the losses, which has a gradient, and the loss of predicting each next token, [batch, length]; in
        float32, 0 where there is no label.

        `model`: the one given at first, or what it was wrapped in. `ids`, `labels`: [batch, length], without padding;
        `position_ids` as in `run_model`.
        """
        targets = next_tokens(labels, IGNORED_LABEL)
        if self.needs_logits is None:
            self.needs_logits = not self._returns_what_its_output_layer_gives(
                model, ids[:1], None if position_ids is None else position_ids[:1]
            )
        if self.needs_logits:
            losses = cross_entropy(run_model(model, ids, position_ids), targets)
            return losses.sum(), losses.detach()
        found = self._run(model, ids, targets, position_ids)
        return found[0], found[1:].detach().view_as(targets)

    def _returns_what_its_output_layer_gives(
        self, model: torch.nn.Module, ids: torch.Tensor, position_ids: torch.Tensor | None = None
    ) -> bool:
        devices = [ids.device] if ids.is_cuda else []
        with torch.no_grad(), torch.random.fork_rng(devices), torch.compiler.set_stance("force_eager"):
            try:
                returned = self._run(model, ids, ids, position_ids)
            except (IndexError, RuntimeError, ValueError) as error:  # logits have more axes than losses
                if is_out_of_memory(error):
                    raise
                return False
            finally:
                given, self._returned = self._returned, None
        if given is None:
            return False
        return returned.shape == given.shape and returned.data_ptr() == given.data_ptr() and not given._version

    def _run(
        self,
        model: torch.nn.Module,
        ids: torch.Tensor,
        targets: torch.Tensor,
        position_ids: torch.Tensor | None = None,
    ) -> torch.Tensor:
        self._targets = targets.flatten()
        try:
            return run_model(model, ids, position_ids)
        finally:
            self._targets = None

    def _logits_or_losses(self, hidden: torch.Tensor) -> torch.Tensor:
        """[batch, length, width] to logits; or, where next tokens are given, to their losses with the sum in front,
        [1 + batch * length]."""
        if self._targets is None:
            return self._logits_of(hidden)
        hidden = hidden.flatten(0, -2)
        if self._is_plain:
            given = (hidden, self._layer.weight, self._layer.bias)
            if not torch.is_grad_enabled():  # which the function cannot see
                given = tuple(None if one is None else one.detach() for one in given)
            found = _LinearLosses.apply(*given, self._targets, self._rows)
        else:
            rows = zip(hidden.split(self._rows), self._targets.split(self._rows), strict=True)
            parts = [checkpoint(self._losses, *some, use_reentrant=False, preserve_rng_state=False) for some in rows]
            losses = torch.cat(parts)
            found = torch.cat([losses.sum()[None], losses.detach()])
        if self.needs_logits is None:
            self._returned = found
        return found

    def _losses(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(self._logits_of(hidden), targets)


class _LinearLosses(torch.autograd.Function):
    """Of a linear output layer: the losses with their sum in front, [1 + tokens]; the sum alone has a gradient, which
    is computed with the losses. `hidden`: [tokens, width]; `rows`: tokens at once."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        rows: int,
    ) -> torch.Tensor:
        kind, size = hidden.device.type, len(weight)
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        inputs = hidden.to(dtype)
        filled = functional.pad(weight.to(dtype), (0, 0, 0, -size % _MULTIPLE))
        filled_bias = None if bias is None else functional.pad(bias.to(dtype), (0, -size % _MULTIPLE))
        of_hidden = torch.empty_like(inputs) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(filled, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        of_bias = torch.zeros_like(bias, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        of_logits = filled.new_zeros(min(rows, len(targets)), len(filled)) if any(ctx.needs_input_grad) else None
        losses = torch.empty(len(targets), dtype=torch.float32, device=hidden.device)
        for start in range(0, len(targets), rows):
            some = slice(start, start + rows)
            logits = functional.linear(inputs[some], filled, filled_bias)[:, :size]
            log_probabilities = logits.log_softmax(dim=-1, dtype=torch.float32)
            labelled = (targets[some, None] != IGNORED_LABEL).float()
            labels = targets[some, None].clamp(min=0)
            losses[some] = (log_probabilities.gather(1, labels) * -labelled).squeeze(1)
            if of_logits is None:
                continue
            difference = log_probabilities.exp_().scatter_add_(1, labels, -labelled).mul_(labelled)
            if of_bias is not None:
                of_bias += difference.sum(dim=0)
            part = of_logits[: len(labels)]
            part[:, :size] = difference
            if of_hidden is not None:
                torch.mm(part, filled, out=of_hidden[some])
            if of_weight is not None:
                of_weight += part.T @ inputs[some]
        ctx.gradients = (of_hidden, of_weight if of_weight is None else of_weight[:size], of_bias)
        ctx.dtypes = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return torch.cat([losses.sum()[None], losses])

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        parts = zip(ctx.gradients, ctx.dtypes, strict=True)
        scaled = [None if part is None else (part * given[0]).to(dtype) for part, dtype in parts]
        ctx.gradients = None
        return *scaled, None, None


def run_model(model: torch.nn.Module, ids: torch.Tensor, position_ids: torch.Tensor | None = None) -> torch.Tensor:
    """What `model` gives as logits for `ids`, [batch, length], without padding.

    `position_ids` [batch, length] are the places of the tokens in their articles, which start again at 0 where an
    article starts: a token sees the tokens of its own article only. Without them it sees all before it in its row.
    """
    with attention_within(model, position_ids) as more:
        # The blocks are full: attention needs no mask of padding.
        return model(input_ids=ids, use_cache=False, **more).logits
