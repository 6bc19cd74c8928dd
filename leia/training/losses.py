"""The loss of each token, without the logits of all positions at once.

The logits of 2,048 tokens of a vocabulary of 128,000 take 1 GB in 32 bits, and their loss needs them several times.
Here the output layer of the model is given the next tokens and returns their losses in place of logits, a few rows at a
time; backward computes the logits of these rows again. The layer itself is called, whatever it is made of (a bias,
adapters), inside the model's forward pass, so that FSDP and DeepSpeed have its weights at hand.

torch's own `linear_cross_entropy` is not used: of 16-bit weights it gives the loss of a token in 16 bits.
"""

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from leia.data.collator import IGNORED_LABEL

LOGITS_AT_ONCE = 2**26
"""256 MB in 32 bits: all 2,048 tokens of a sequence for a vocabulary of 32,000."""


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
    on to give logits. `needs_logits`: the model does something to its logits (scales or caps them), so that they are
    needed whole; None until the first batch shows it.
    """

    def __init__(self, model: torch.nn.Module) -> None:
        self.needs_logits: bool | None = None
        layer = model.get_output_embeddings()
        self._logits_of = layer.forward
        self._rows = max(1, LOGITS_AT_ONCE // model.config.get_text_config().vocab_size)
        self._targets: torch.Tensor | None = None
        self._losses: torch.Tensor | None = None
        layer.forward = self._logits_or_losses

    def __call__(self, model: torch.nn.Module, ids: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """The loss of predicting each next token, [batch, length], in float32; 0 where there is no label.

        `model`: the one given at first, or what it was wrapped in. `ids`, `labels`: [batch, length], without padding.
        """
        targets = next_tokens(labels, IGNORED_LABEL)
        if self.needs_logits is None:
            self.needs_logits = not self._returns_what_its_output_layer_gives(model, ids[:1])
        return cross_entropy(_forward(model, ids), targets) if self.needs_logits else self._run(model, ids, targets)

    def _returns_what_its_output_layer_gives(self, model: torch.nn.Module, ids: torch.Tensor) -> bool:
        devices = [ids.device] if ids.is_cuda else []
        with torch.no_grad(), torch.random.fork_rng(devices), torch.compiler.set_stance("force_eager"):
            returned = self._run(model, ids, ids)
        given, self._losses = self._losses, None
        return returned.shape == given.shape and returned.data_ptr() == given.data_ptr() and not given._version

    def _run(self, model: torch.nn.Module, ids: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        self._targets = targets
        try:
            return _forward(model, ids)
        finally:
            self._targets = None

    def _logits_or_losses(self, hidden: torch.Tensor) -> torch.Tensor:
        """[batch, length, width] to logits, or to losses [batch, length] where next tokens are given."""
        if self._targets is None:
            return self._logits_of(hidden)
        rows = zip(hidden.flatten(0, -2).split(self._rows), self._targets.flatten().split(self._rows), strict=True)
        chunks = [checkpoint(self._chunk, *some, use_reentrant=False, preserve_rng_state=False) for some in rows]
        losses = torch.cat(chunks).view_as(self._targets).clone()  # no view: FSDP warns of those
        if self.needs_logits is None:
            self._losses = losses
        return losses

    def _chunk(self, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return cross_entropy(self._logits_of(hidden), targets)


def _forward(model: torch.nn.Module, ids: torch.Tensor) -> torch.Tensor:
    return model(input_ids=ids, use_cache=False).logits  # the blocks are full: attention needs no mask of padding
