"""A few steps of a run for their speed and memory, with all that a step is made of, which leave nothing behind.

The model, the data, the optimizer and the processes are those of the run. A step is cut to two micro batches a process:
one whose gradients are kept, and the last one, after which the optimizer steps. From the second step on the states of
the optimizer are there too, so that its memory is that of the run.
"""

import json
import os
import signal
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.utils.logging import disable_progress_bar

from leia.base.errors import UsageError
from leia.training.arguments import accumulation_steps
from leia.training.experiment import Experiment
from leia.training.machine import machine_of_process
from leia.training.machine_checks import check_machine
from leia.training.metrics import peak_memory
from leia.training.run import checked_tokenizer, find_run, make_trainer
from leia.training.trainer import LeiaTrainer
from leia.training.within_step import now

GPU_SHARE = 0.95
"""Of a GPU's memory that a try may take. The rest is for what it does not see: a longer run breaks memory up."""


@dataclass(frozen=True)
class Trial:
    """What a try has found. `micro_batch`: sequences of one pass of a process; `accumulation`: passes of a whole step.
    `tokens_per_second`: of all processes in a whole step; `peak_memory_gib`: of the process that needs most."""

    micro_batch: int
    accumulation: int
    tokens_per_second: float
    peak_memory_gib: float


class TrialTrainer(LeiaTrainer):
    """Measures each step: `seconds` holds how long a micro batch took whose gradients are kept (0 where a step has one
    alone), and how long the last one took with the optimizer's step."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.seconds: list[tuple[float, float]] = []
        self._begun = self._kept = 0.0

    def on_train_begin(self, *given: Any, **named: Any) -> None:
        former = signal.getsignal(signal.SIGTERM)
        super().on_train_begin(*given, **named)
        signal.signal(signal.SIGTERM, former)  # it ends a try at once: there is nothing to save

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._begun = self._kept = now()

    def on_substep_end(self, *_: Any, **__: Any) -> None:
        self._kept = now()

    def on_step_end(self, *given: Any, **named: Any) -> None:
        self.seconds.append((self._kept - self._begun, now() - self._kept))
        super().on_step_end(*given, **named)

    def found(self, accumulation: int) -> Trial:
        """`accumulation`: passes of a step that is not cut. The first step, which warms up, counts only if alone."""
        seconds = min((accumulation - 1) * kept + last for kept, last in self.seconds[1:] or self.seconds)
        mine = torch.tensor([[seconds, peak_memory() / 2**30]], device=self.args.device)
        slowest, greatest = self.accelerator.gather(mine).amax(dim=0).tolist()
        tokens = accumulation * self.tokens_per_step / self.args.gradient_accumulation_steps
        return Trial(self.args.per_device_train_batch_size, accumulation, tokens / slowest, greatest)


def try_out(experiment: Experiment, args: TrainingArguments) -> None:
    """Train the steps of `args`, as `parse` has cut them; process 0 prints a `Trial` as JSON in its last line."""
    disable_progress_bar()
    machine = machine_of_process(args)
    check_machine(experiment, args, machine)
    if os.environ.get("LOCAL_WORLD_SIZE", str(args.world_size)) != str(args.world_size):
        raise UsageError("try_steps is for one machine, this run is on several; try the experiment on one of them")
    if args.device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(GPU_SHARE)
    micro_batch = args.per_device_train_batch_size
    accumulation = accumulation_steps(experiment.global_batch_size, args.world_size, micro_batch)
    cut = args.world_size * micro_batch * args.gradient_accumulation_steps
    experiment = replace(experiment, global_batch_size=cut, validation_articles=0)
    with TemporaryDirectory() as folder:  # transformers makes it
        args.output_dir = folder
        run = find_run(experiment, args, Path(folder), machine)
        trainer = make_trainer(run, checked_tokenizer(run), kind=TrialTrainer)
        trainer.train()
        found = trainer.found(accumulation)
    if args.process_index == 0:
        print(json.dumps(asdict(found)), flush=True)
