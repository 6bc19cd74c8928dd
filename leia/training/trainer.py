"""The Trainer of transformers with LEIA's data, loss, figures and checkpoints.

- Data: the blocks come straight from `LeiaConstantLengthDataset`, which knows the ranks. accelerate would feed an
  iterable dataset in one way under DDP and in another under DeepSpeed, so it does not touch this one. Step k trains on
  the blocks k*G to (k+1)*G - 1 of the stream (G: the global batch), on any number of processes.
- Loss: the mean over all labels of the global batch, whatever the share of a process and a micro batch. Nothing in a
  micro batch waits for the GPU.
- Gradients are exchanged once a step by DDP, FSDP2 and ZeRO-1; ZeRO-3, which shares them out, does it each micro batch.
- SIGTERM: a checkpoint of the last whole step, or of this one where it is about to end, the same on all processes; then
  training ends.
"""

import math
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from leia.base.errors import InputError
from leia.data.collator import IGNORED_LABEL
from leia.training import checkpoints
from leia.training.attention import check_separate_attention
from leia.training.losses import TokenLosses
from leia.training.metrics import (
    StepSums,
    evaluation_line,
    flops_per_token,
    mean_losses,
    peak_memory,
    step_line,
)
from leia.training.validation import Evaluation
from leia.training.within_step import Beginning, WithinStep


class LeiaTrainer(Trainer, TrainerCallback):
    """`run`: the settings that a checkpoint must share to be continued. `peak_flops`: of one GPU, None where
    unknown. `evaluation`: what is evaluated each `eval_steps`, None for nothing. `saved_step`: of the newest
    checkpoint in the output folder, 0 for none. `sources`: the names of those that the stream is mixed of.
    `stopped` tells after training whether SIGTERM ended it before its last step, `stopped_within` whether it did
    so within a step. The trainer is a callback of its own.
    """

    def __init__(
        self,
        *,
        args: TrainingArguments,
        run: dict[str, Any],
        peak_flops: float | None,
        evaluation: Evaluation | None = None,
        **options: Any,
    ) -> None:
        # Else DeepSpeed and FSDP add up the gradients of a step, of 256 micro batches in the paper's run, in bf16.
        if args.deepspeed_plugin is not None:
            args.deepspeed_plugin.deepspeed_config.setdefault("data_types", {"grad_accum_dtype": "fp32"})
        super().__init__(args=args, **options)
        sharding = getattr(self.accelerator.state, "fsdp_plugin", None)
        if sharding is not None and sharding.mixed_precision_policy is not None:
            # What a module returns stays as it is: losses have 32 bits.
            policy = {"reduce_dtype": torch.float32, "output_dtype": None}
            sharding.mixed_precision_policy = replace(sharding.mixed_precision_policy, **policy)
        self._keeps_weights = sharding is not None and not sharding.reshard_after_forward
        self.model_accepts_loss_kwargs = True  # `compute_loss` takes the mean over the global batch for any model
        self.token_losses = TokenLosses(self.model)
        self.run = run
        self.peak_flops = peak_flops
        self.evaluation = evaluation
        self.flops_per_token = flops_per_token(self.model, run["max_length"])
        self.tokens_per_step = run["global_batch_size"] * run["max_length"]
        self.stop_asked = False
        self.stopped = False
        self.stopped_within = False
        self.saved_step = 0
        self.clock = 0.0
        accumulation = args.gradient_accumulation_steps
        self._within = WithinStep(accumulation, self.tokens_per_step // accumulation, self.is_world_process_zero())
        self.sources = tuple(getattr(self.train_dataset, "sources", ()))
        self._sums = StepSums(self.sources)
        self._figures: dict[str, float] = {}
        if self.is_deepspeed_enabled:  # else accelerate takes DeepSpeed's number in place of the Trainer's 1, and warns
            self.accelerator.gradient_accumulation_steps = accumulation
        self.remove_callback(PrinterCallback)
        self.add_callback(self)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        if self.run.get("separate_attention"):
            check_separate_attention(self.model_wrapped, self.args.device)
        self.clock = time.perf_counter()
        signal.signal(signal.SIGTERM, self._ask_to_stop)

    def _ask_to_stop(self, *_: Any) -> None:
        self.stop_asked = True

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._within.begin(f"step {state.global_step + 1}/{state.max_steps}")

    def on_substep_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """After each micro batch but the last one of a step."""
        if self._within.is_asked_to_stop(self.accelerator, self.stop_asked):
            self._within.end()
            self.stopped = self.stopped_within = True
            self._beginning.restore(self)
            control.should_save = state.global_step > self.saved_step
            control.should_training_stop = True

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._within.end()
        state.epoch = state.global_step / state.max_steps  # transformers begins to count again when a run is continued
        due = self.evaluation is not None and self.evaluation.is_due(state)
        control.should_evaluate = due and not self.stopped  # who is asked to stop has little time
        if self.stopped:
            control.should_save = True
            control.should_training_stop = True

    def get_train_dataloader(self) -> DataLoader:
        return DataLoader(
            self.train_dataset,
            batch_size=self._train_batch_size,
            collate_fn=self.data_collator,
            generator=torch.Generator(),  # else each start would draw one of the numbers that dropout draws
            pin_memory=self.args.device.type == "cuda",
        )

    def get_batch_samples(self, *given: Any) -> tuple[list[dict[str, torch.Tensor]], torch.Tensor]:
        """The micro batches of a step, on their way to the device, and the number of labels in the global batch."""
        self._beginning = Beginning(self)
        batches, labels = super().get_batch_samples(*given)
        device = self.args.device
        return [{name: one.to(device, non_blocking=True) for name, one in batch.items()} for batch in batches], labels

    def _get_num_items_in_batch(self, batches: list[dict[str, torch.Tensor]], device: torch.device) -> torch.Tensor:
        """Counted by ourselves after the shift: transformers' count leaves the shift out for some models."""
        labels = sum((batch["labels"][:, 1:] != IGNORED_LABEL).sum() for batch in batches)
        return self.accelerator.reduce(labels.to(device), "sum")

    def training_step(self, model: torch.nn.Module, *given: Any, **settings: Any) -> torch.Tensor:
        if self._keeps_weights:  # they stay whole until the step's end
            model.set_reshard_after_backward(self.accelerator.sync_gradients)
        return super().training_step(model, *given, **settings)

    def compute_loss(
        self, model: torch.nn.Module, inputs: dict[str, torch.Tensor], *, num_items_in_batch: torch.Tensor | int
    ) -> torch.Tensor:
        """The token losses of a micro batch over the number of labels in the global batch, times the number of
        processes, since DDP, FSDP and ZeRO take the mean of their gradients."""
        ids, labels = inputs["input_ids"], inputs["labels"]
        total, losses = self.token_losses(model, ids, labels, inputs.get("position_ids"))
        self._sums.add(losses, inputs, self.data_collator)
        if self.accelerator.sync_gradients:
            self._finish_step()
        return total / num_items_in_batch * self.accelerator.num_processes

    def _finish_step(self) -> None:
        """Add up the step over all processes. The weights have not changed yet: a NaN stops before it harms them."""
        step = self.state.global_step + 1
        sums = self._sums.finish(self.accelerator, stop=self.stop_asked)
        if not math.isfinite(sums["loss"]):
            self._fail(f"the loss of step {step} is {sums['loss']}")
        self.stopped = sums["stop"] > 0 and step < self.args.max_steps
        inserted_share = sums["inserted"] / sums["tokens"]
        self._figures = {"tokens_seen": step * self.tokens_per_step, "inserted_share": inserted_share}
        self._figures |= mean_losses(sums)
        if self.sources:  # the blocks of a step are all fetched before its first pass
            blocks = zip(self.sources, self.train_dataset.given, strict=True)
            self._figures |= {f"tokens/{name}": given * self.run["max_length"] for name, given in blocks}

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            if not math.isfinite(logs.get("grad_norm", 0.0)):
                self._fail(f"the gradient norm of step {self.state.global_step} is {logs['grad_norm']}")
            logs |= self._figures | self._speed()
            if self.is_world_process_zero():
                print(step_line(self.state.global_step, self.state.max_steps, logs), flush=True)
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Evaluate the model as it is and log what is found. Training goes on as if nothing had been."""
        start = time.perf_counter()
        logs = self.evaluation.run(self)
        if self.is_world_process_zero():
            print(evaluation_line(self.state.global_step, self.state.max_steps, logs), flush=True)
        self.log(logs)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, logs)
        self.clock += time.perf_counter() - start
        return logs

    def _speed(self) -> dict[str, float]:
        now = time.perf_counter()
        steps = self.state.global_step - max(
            (one["step"] for one in self.state.log_history if "loss" in one), default=0
        )
        tokens_per_second = steps * self.tokens_per_step / (now - self.clock)
        self.clock = now
        speed = {"tokens_per_second": tokens_per_second, "peak_memory_gib": peak_memory() / 2**30}
        if self.peak_flops:
            speed["mfu"] = tokens_per_second * self.flops_per_token / self.accelerator.num_processes / self.peak_flops
        return speed

    def _fail(self, what: str) -> None:
        newest = checkpoints.newest_checkpoint(Path(self.args.output_dir))
        saved = f"the newest checkpoint is {newest}" if newest else "no checkpoint was saved yet"
        raise InputError(f"{what}, training stops; {saved}; lower --learning_rate or look for broken articles")

    def _get_output_dir(self, trial: Any) -> str:
        return str(checkpoints.partial_folder(Path(self.args.output_dir)))

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        output_dir, step = Path(self.args.output_dir), self.state.global_step
        with checkpoints.clear_errors(output_dir, f"checkpoint-{step}"):
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.accelerator.is_main_process:
                documents = {checkpoints.STREAM_FILE: self.train_dataset.state_dict(), checkpoints.RUN_FILE: self.run}
                checkpoints.publish_checkpoint(output_dir, step, documents, self.args.save_total_limit)
        self.accelerator.wait_for_everyone()
        self.saved_step = step
        self.clock = time.perf_counter()
