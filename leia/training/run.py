"""One training run from its settings to the finished model in OUTPUT_DIR.

Reads the dataset of build_wikipedia_dataset.py and a model; writes checkpoints while it trains and at the end the model
(safetensors), its tokenizer, `README.md` (the model card), `dataset_manifest.json`, `run.json` (its settings)
and `trainer_state.json`.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, TrainingArguments
from transformers.utils.logging import disable_progress_bar

from leia.base.errors import InputError
from leia.base.outputs import errors_named, held
from leia.data import LeiaDataCollator
from leia.data.suitability import note_on_articles
from leia.data.tokenizers import load_tokenizer
from leia.training import checkpoints, streams
from leia.training.arguments import count_processes
from leia.training.experiment import Experiment
from leia.training.finish import finish, model_card
from leia.training.identity import run_identity
from leia.training.machine import Machine, machine_of_process
from leia.training.machine_checks import check_machine
from leia.training.metrics import peak_flops
from leia.training.model import check_length, first_line, make_model
from leia.training.sources import tag_pairs_of
from leia.training.streams import OpenSource, check_sources, make_streams, manifest_of, open_sources
from leia.training.trainer import LeiaTrainer
from leia.training.validation import Evaluation, TaskScorer


@dataclass(frozen=True)
class Run:
    """A run as it is found: `checkpoint` is the one to continue, `identity` what it must have in common with this run,
    `finished` says that the final model is in `output_dir`."""

    experiment: Experiment
    args: TrainingArguments
    output_dir: Path
    sources: list[OpenSource]
    identity: dict[str, Any]
    checkpoint: Path | None
    finished: bool
    machine: Machine

    def beginning(self) -> str:
        """What will be done, in one line: with a mistyped name a run that was to be continued begins again."""
        if self.finished:
            return f"{self.output_dir}: nothing to do, the finished model of this run is there"
        if self.checkpoint is not None:
            return f"{self.output_dir}: continues from {self.checkpoint.name} of {self.args.max_steps} steps"
        looked = ", no checkpoint was found there to continue" if self.args.resume_from_checkpoint else ""
        return f"{self.output_dir}: a new run begins{looked}"


def train(experiment: Experiment, args: TrainingArguments, command: str, score_tasks: TaskScorer | None = None) -> bool:
    """Train, or continue, until the model is in `args.output_dir`. False: SIGTERM ended it, it can be continued.
    `score_tasks` is called with the model and its tokenizer each `eval_steps`, on all processes.
    Raises `InputError` for settings that do not fit the model, the dataset or what the folder holds."""
    disable_progress_bar()
    output_dir = Path(os.path.abspath(args.output_dir))
    args.output_dir = str(output_dir)
    is_first = args.process_index == 0
    machine = machine_of_process(args)
    check_machine(experiment, args, machine)
    with ExitStack() as stack:
        if is_first:
            stack.enter_context(held(output_dir))
            checkpoints.remove_leftovers(output_dir)
        stack.enter_context(errors_named(output_dir, checkpoints.partial_folder(output_dir)))
        run = find_run(experiment, args, output_dir, machine)
        if is_first:
            print(run.beginning(), flush=True)
        if run.finished:
            if is_first:
                checkpoints.keep_newest(output_dir, experiment.keep_checkpoints)
            return True
        tokenizer = checked_tokenizer(run)
        if is_first:
            output_dir.mkdir(parents=True, exist_ok=True)
        trainer = make_trainer(run, tokenizer, score_tasks)
        last = train_from(run.checkpoint, trainer)
        if is_first and trainer.stopped:
            print(what_was_saved(last, trainer), flush=True)
        elif is_first:
            manifest = manifest_of(run.sources)
            card = model_card(experiment, args, run.identity, manifest, command)
            with checkpoints.clear_errors(output_dir, "config.json"):
                finish(output_dir, last, experiment, manifest, card)
            checkpoints.keep_newest(output_dir, experiment.keep_checkpoints)
        trainer.accelerator.wait_for_everyone()
        return not trainer.stopped


def what_was_saved(last: Path | None, trainer: LeiaTrainer) -> str:
    """What a run says that was stopped while it trained; `last`: its newest checkpoint."""
    if last is None:
        return "stopped within the first step, with nothing to save; the same command begins again"
    saved = f"stopped after saving {last.name}"
    if trainer.stopped_within:
        saved = f"stopped within step {trainer.state.global_step + 1}; {last.name}, of the last whole step, is saved"
    return f"{saved}; the same command with RESUME=1 (train.py: --resume_from_checkpoint last) continues"


def checked_tokenizer(run: Run) -> PreTrainedTokenizerBase:
    """The tokenizer of the run's model. Raises `InputError` where model, tokenizer and dataset do not fit."""
    experiment = run.experiment
    check_length(experiment.model_name_or_path, experiment.max_length, experiment.trust_remote_code)
    tags = tag_pairs_of(experiment.listed_sources())
    tokenizer = load_tokenizer(experiment.model_name_or_path, experiment.trust_remote_code, tags)
    check_sources(run.sources, tokenizer, read_ids=run.args.process_index == 0)
    return tokenizer


def find_run(experiment: Experiment, args: TrainingArguments, output_dir: Path, machine: Machine) -> Run:
    """The run that these settings describe, as far as `output_dir` holds it already."""
    checkpoint = find_checkpoint(output_dir, args.resume_from_checkpoint)
    sources = open_sources(experiment)
    identity = run_identity(experiment, args, sources, machine)
    finished = checkpoints.is_finished(output_dir)
    if finished:
        checkpoints.check_same_run(output_dir, identity)
    elif checkpoint is not None:
        checkpoints.check_same_run(checkpoint, identity)
        checkpoints.check_whole(checkpoint)
    return Run(experiment, args, output_dir, sources, identity, checkpoint, finished, machine)


def find_checkpoint(output_dir: Path, wanted: str | None) -> Path | None:
    """The checkpoint to continue: the newest one for `last`, else the folder `wanted`; None for a new run.
    Raises `InputError` when there is no such checkpoint, or when a new run would mix with an earlier one."""
    newest = checkpoints.newest_checkpoint(output_dir)
    if wanted is None and checkpoints.is_finished(output_dir):
        raise InputError(f"{output_dir}: holds the finished model of an earlier run; choose another --output_dir")
    if wanted is None and newest:
        raise InputError(
            f"{output_dir}: holds {newest.name} of an earlier run; continue it with --resume_from_checkpoint last "
            "(RESUME=1 ./train.sh) or choose another --output_dir"
        )
    if wanted is None or wanted.lower() in ("last", "true", "1"):
        return newest
    if not (Path(wanted) / checkpoints.FILES_FILE).is_file():  # the final model has a run.json, too
        raise InputError(
            f"{wanted}: expected a checkpoint of train.py, found no {checkpoints.FILES_FILE} in it; "
            "name a folder checkpoint-STEP, or last"
        )
    return Path(wanted)


def train_from(checkpoint: Path | None, trainer: LeiaTrainer) -> Path | None:
    """Train, after `checkpoint` where there is one; the last checkpoint, None where the run was stopped before one."""
    output_dir = Path(trainer.args.output_dir)
    if checkpoint is not None:
        step = checkpoints.read_saved(checkpoint / checkpoints.LOG_FILE)["global_step"]
        if step >= trainer.args.max_steps:
            return checkpoint
        trainer.saved_step = step if checkpoint.parent == output_dir else 0
        trainer.train_dataset.load_state_dict(checkpoints.read_saved(checkpoint / checkpoints.STREAM_FILE))
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except torch._dynamo.exc.TorchDynamoException as error:
        reason = first_line(error).removesuffix(":")
        raise InputError(f"torch_compile: the layers cannot be compiled here ({reason}); leave it out") from error
    return checkpoints.newest_checkpoint(output_dir)


def make_trainer(
    run: Run,
    tokenizer: PreTrainedTokenizerBase,
    score_tasks: TaskScorer | None = None,
    kind: type[LeiaTrainer] = LeiaTrainer,
) -> LeiaTrainer:
    experiment, args = run.experiment, run.args
    model = make_model(experiment, args, tokenizer)
    find_optimizer(args, model)
    blocks, held_out = make_streams(run.sources, experiment, tokenizer, args.seed)
    evaluation = None
    if held_out or score_tasks is not None:
        steps = args.eval_steps or args.save_steps
        evaluation = Evaluation.each(steps, args.max_steps, blocks=held_out, score_tasks=score_tasks)
    if args.process_index == 0:
        print(describe(run, model.config._attn_implementation), flush=True)
        if not experiment.separate_articles and (note := note_on_articles(tokenizer)):
            print(f"note: {experiment.model_name_or_path}: its tokenizer {note}", flush=True)
    try:
        return kind(
            model=model,
            args=args,
            train_dataset=blocks,
            data_collator=LeiaDataCollator(tokenizer, experiment.max_length, experiment.disable_entity_name_token_loss),
            processing_class=tokenizer,
            run=run.identity,
            peak_flops=peak_flops(experiment.peak_tflops),
            evaluation=evaluation,
        )
    except (ImportError, RuntimeError) as error:  # a service of --report_to is not installed or refuses the run
        if args.report_to and any(name in str(error).lower() for name in args.report_to):
            raise InputError(f"--report_to {' '.join(args.report_to)}: {first_line(error)}") from error
        raise


def find_optimizer(args: TrainingArguments, model: torch.nn.Module) -> None:
    """Raise `InputError` where a package is missing that the optimizer needs."""
    try:
        LeiaTrainer.get_optimizer_cls_and_kwargs(args, model)
    except ImportError as error:
        raise InputError(f"optim is {args.optim.value}: {first_line(error)}") from error


def describe(run: Run, attention: str) -> str:
    """The data and the arithmetic of a step."""
    experiment = run.experiment
    layers = f"recomputed: {experiment.activation_checkpointing}"
    layers += ", compiled" if experiment.torch_compile else ""
    layers += ", fp8" if experiment.fp8 else ""
    layers += ", weights in 4 bits" if experiment.load_in_4bit else ""
    return f"{streams.describe(run.sources, experiment)}; attention: {attention}; {layers}\n{step_of(run)}"


def step_of(run: Run) -> str:
    """The arithmetic of a step."""
    experiment, args = run.experiment, run.args
    return (
        f"a step: {count_processes(run.machine.processes)} x {args.per_device_train_batch_size} sequences x "
        f"{args.gradient_accumulation_steps} accumulation = {experiment.global_batch_size:,} sequences x "
        f"{experiment.max_length:,} tokens; {args.max_steps} steps"
    )
