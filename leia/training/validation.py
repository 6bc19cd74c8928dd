"""What is evaluated while a model trains: the loss on articles that training never reads, and scores on tasks.

All processes make the same number of forward passes, which DeepSpeed ZeRO-3 and FSDP need, and get the same numbers.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerState

from leia.base.errors import InputError
from leia.data.collator import IGNORED_LABEL
from leia.training.metrics import StepSums, mean_losses

if TYPE_CHECKING:
    from leia.training.trainer import LeiaTrainer

TaskScorer = Callable[[PreTrainedModel, PreTrainedTokenizerBase], dict[str, float]]
Block = dict[str, torch.Tensor]


def hold_out(dataset: Dataset, number: int) -> tuple[Dataset, Dataset | None]:
    """The articles to train on and, evenly spread over the dataset, `number` others; runs of any seed share them.
    Raises `InputError` when none would be left."""
    if not number:
        return dataset, None
    if number >= len(dataset):
        raise InputError(f"validation_articles is {number:,}, the dataset has {len(dataset):,} articles; take fewer")
    held = [(2 * k + 1) * len(dataset) // (2 * number) for k in range(number)]
    kept = sorted(set(range(len(dataset))) - set(held))
    return dataset.select(kept), dataset.select(held)


@dataclass(frozen=True)
class Evaluation:
    """`every`: after how many steps (and after the last one). `blocks`: of the articles held out, the same on all
    processes. `score_tasks`: gives the same scores on all processes, by the name of task and metric."""

    every: int
    blocks: Sequence[Block] = ()
    score_tasks: TaskScorer | None = None

    @classmethod
    def each(cls, steps: float, max_steps: int, **what: Any) -> "Evaluation":
        """`steps` below 1 are a share of all steps, as for transformers."""
        return cls(max(1, math.ceil(steps * max_steps) if steps < 1 else int(steps)), **what)

    def is_due(self, state: TrainerState) -> bool:
        return state.global_step % self.every == 0 or state.global_step == state.max_steps

    def run(self, trainer: "LeiaTrainer") -> dict[str, float]:
        """The losses and scores of the trainer's model, named `eval_...`; nothing is compiled for it."""
        model = trainer.model_wrapped
        was_training = model.training
        random_numbers = torch.random.get_rng_state()
        model.eval()
        with torch.compiler.set_stance("force_eager"):
            logs = self._losses(trainer) if self.blocks else {}
            logs |= {f"eval_{name}": value for name, value in self._scores(trainer).items()}
        model.train(was_training)
        torch.random.set_rng_state(random_numbers)
        return logs

    def _scores(self, trainer: "LeiaTrainer") -> dict[str, float]:
        if self.score_tasks is None:
            return {}
        whole = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        base = whole.get_base_model() if hasattr(whole, "get_base_model") else whole  # which has the adapters in it
        return self.score_tasks(base, trainer.processing_class)

    def _losses(self, trainer: "LeiaTrainer") -> dict[str, float]:
        """The mean loss over all labels of the blocks, that on names and that on text."""
        micro, processes = trainer.args.per_device_train_batch_size, trainer.accelerator.num_processes
        rank, sums = trainer.accelerator.process_index, StepSums(trainer.sources)
        for first in range(rank * micro, _round_up(len(self.blocks), micro * processes), micro * processes):
            numbers = range(first, first + micro)
            # Where the blocks have run out for a process, it takes the first one once more, without labels.
            batch = trainer.data_collator([self.blocks[n if n < len(self.blocks) else 0] for n in numbers])
            batch["labels"][[n >= len(self.blocks) for n in numbers]] = IGNORED_LABEL
            inputs = trainer._prepare_inputs(batch)
            with torch.no_grad():
                given = inputs["input_ids"], inputs["labels"], inputs.get("position_ids")
                _, losses = trainer.token_losses(trainer.model_wrapped, *given)
            sums.add(losses, inputs, trainer.data_collator)
        found = sums.finish(trainer.accelerator, stop=False)
        return {"eval_loss": found["loss"] / max(1, found["labels"])} | mean_losses(found, "eval_")


def _round_up(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple
