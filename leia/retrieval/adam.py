"""Adam as the published pretraining has it: epsilon is added before the bias is corrected, PyTorch's after it."""

from collections.abc import Iterable
from typing import Any

import torch
from torch.optim import Optimizer

MOMENTS = ("mean", "square")
"""What it keeps of each parameter's gradients, beside the number of its steps."""


class PublishedAdam(Optimizer):
    """`p -= lr * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + eps)`, without weight decay.

    A parameter without a gradient is left as it is, and its t does not grow.
    """

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    _update(parameter, self.state[parameter], **{key: group[key] for key in ("lr", "betas", "eps")})


def _update(parameter: torch.Tensor, state: dict[str, Any], lr: float, betas: tuple[float, float], eps: float) -> None:
    if not state:
        state |= {"step": 0, "mean": torch.zeros_like(parameter), "square": torch.zeros_like(parameter)}
    state["step"] += 1
    state["mean"].lerp_(parameter.grad, 1 - betas[0])
    state["square"].mul_(betas[1]).addcmul_(parameter.grad, parameter.grad, value=1 - betas[1])
    rate = lr * (1 - betas[1] ** state["step"]) ** 0.5 / (1 - betas[0] ** state["step"])
    parameter.addcdiv_(state["mean"], state["square"].sqrt().add_(eps), value=-rate)
