"""One training run from its settings to the finished model in OUTPUT_DIR.

Reads the dataset of build_wikipedia_dataset.py and a model; writes checkpoints while it trains and at the end the model
(safetensors), its tokenizer, `README.md` (the model card), `dataset_manifest.json`, `run.json` (its settings)
and `trainer_state.json`.
"""

import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations import is_deepspeed_zero3_enabled
from transformers.utils.logging import disable_progress_bar

from leia.base.datasets import open_training_dataset
from leia.base.errors import InputError
from leia.base.outputs import errors_named, held
from leia.base.step import read_manifest
from leia.data import LeiaConstantLengthDataset, LeiaDataCollator
from leia.data.tokenizers import check_dataset, load_tokenizer
from leia.training import checkpoints
from leia.training.arguments import Experiment, count_processes
from leia.training.finish import finish, model_card
from leia.training.metrics import peak_flops
from leia.training.model import (
    add_lora,
    add_tags,
    check_length,
    choose_attention,
    first_line,
    load_model,
)
from leia.training.trainer import LeiaTrainer

STOPPED_FILE = ".stopped"
"""Says in OUTPUT_DIR that SIGTERM ended the run after its checkpoint; launchers hide the exit code of a process."""


def train(experiment: Experiment, args: TrainingArguments, command: str) -> bool:
    """Train, or continue, until the model is in `args.output_dir`. False: SIGTERM ended it, it can be continued.

    Raises `InputError` for settings that do not fit the model, the dataset or what the folder holds.
    """
    output_dir = Path(os.path.abspath(args.output_dir))
    args.output_dir = str(output_dir)
    disable_progress_bar()
    if args.n_gpu > 1:
        raise InputError(
            f"one process sees {args.n_gpu} GPUs; name one (CUDA_VISIBLE_DEVICES=0), or start it by train.sh"
        )
    if experiment.lora_rank and is_deepspeed_zero3_enabled():
        raise InputError(
            f"lora_rank is {experiment.lora_rank}: adapters are not trained under DeepSpeed ZeRO-3; "
            "ACCELERATE_CONFIG=configs/accelerate/single_gpu.yaml is for one GPU"
        )
    with ExitStack() as stack:
        if args.process_index == 0:
            output_dir.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(output_dir))
            checkpoints.remove_leftovers(output_dir)
        stack.enter_context(errors_named(output_dir, checkpoints.partial_folder(output_dir)))
        checkpoint = find_checkpoint(output_dir, args.resume_from_checkpoint)
        dataset = open_training_dataset(experiment.wikipedia_dataset_dir)
        manifest = read_manifest(experiment.wikipedia_dataset_dir)
        run = run_identity(experiment, args, dataset._fingerprint)
        finished = checkpoints.is_finished(output_dir)
        if finished or checkpoint is not None:
            checkpoints.check_same_run(output_dir if finished else checkpoint, run)
        if checkpoint is not None and not finished:
            checkpoints.check_whole(checkpoint)
        if args.process_index == 0:
            print(beginning(output_dir, checkpoint, finished, args), flush=True)
        if finished:
            return True
        check_length(experiment.model_name_or_path, experiment.max_length, experiment.trust_remote_code)
        tokenizer = load_tokenizer(experiment.model_name_or_path, experiment.trust_remote_code)
        check_dataset(dataset, tokenizer, manifest, experiment.wikipedia_dataset_dir)
        if args.process_index == 0:
            output_dir.mkdir(parents=True, exist_ok=True)
            (output_dir / STOPPED_FILE).unlink(missing_ok=True)
        trainer = make_trainer(experiment, args, dataset, tokenizer, run)
        last = checkpoint
        if checkpoint is None or checkpoints.step_of(checkpoint) < args.max_steps:
            if checkpoint is not None:
                state = checkpoints.read_json(checkpoint / checkpoints.STREAM_FILE)
                trainer.train_dataset.load_state_dict(state)
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            last = checkpoints.newest_checkpoint(output_dir)
        if args.process_index == 0:
            if trainer.stopped:
                (output_dir / STOPPED_FILE).touch()
                again = "the same command with RESUME=1 (train.py: --resume_from_checkpoint last) continues"
                print(f"stopped after saving {last.name}; {again}", flush=True)
            else:
                card = model_card(experiment, args, run, manifest, command)
                with checkpoints.clear_errors(output_dir, "config.json"):
                    finish(output_dir, last, experiment, manifest, card)
        trainer.accelerator.wait_for_everyone()
        return not trainer.stopped


def find_checkpoint(output_dir: Path, wanted: str | None) -> Path | None:
    """The checkpoint to continue: the newest one for `last`, else the folder `wanted`; None for a new run.

    Raises `InputError` when there is no such checkpoint, or when a new run would mix with an earlier one.
    """
    newest = checkpoints.newest_checkpoint(output_dir)
    if wanted is None:
        if checkpoints.is_finished(output_dir):
            raise InputError(f"{output_dir}: holds the finished model of an earlier run; choose another --output_dir")
        if newest:
            raise InputError(
                f"{output_dir}: holds {newest.name} of an earlier run; continue it with --resume_from_checkpoint last "
                "(RESUME=1 ./train.sh) or choose another --output_dir"
            )
        return None
    if wanted.lower() in ("last", "true", "1"):
        return newest
    if not (Path(wanted) / checkpoints.FILES_FILE).is_file():  # the final model has a run.json, too
        raise InputError(
            f"{wanted}: is no checkpoint of train.py (it has no {checkpoints.FILES_FILE}); "
            "name a folder checkpoint-STEP, or last"
        )
    return Path(wanted)


def beginning(output_dir: Path, checkpoint: Path | None, finished: bool, args: TrainingArguments) -> str:
    """What will be done, in one line: with a mistyped name a run that was to be continued begins anew."""
    if finished:
        return f"{output_dir}: nothing to do, the finished model of this run is there"
    if checkpoint is not None:
        return f"{output_dir}: continues from {checkpoint.name} of {args.max_steps} steps"
    looked = ", no checkpoint was found there to continue" if args.resume_from_checkpoint else ""
    return f"{output_dir}: a new run begins{looked}"


def run_identity(experiment: Experiment, args: TrainingArguments, dataset_fingerprint: str) -> dict[str, Any]:
    """What must be the same when a run is continued. The micro batch may change, and the number of processes but under
    DeepSpeed, which saves the optimizer's states in as many parts."""
    settings = ("seed", "max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "optim", "weight_decay",
                "adam_beta1", "adam_beta2", "adam_epsilon", "max_grad_norm", "bf16", "fp16")  # fmt: skip
    own = ("max_length", "entity_name_insertion_strategy", "entity_name_insertion_prob",
           "disable_entity_name_token_loss", "global_batch_size", "lora_rank")  # fmt: skip
    fsdp = args.fsdp or os.environ.get("ACCELERATE_USE_FSDP") == "true"
    states = f"DeepSpeed, {count_processes(args.world_size)}" if args.deepspeed_plugin else "FSDP" if fsdp else "whole"
    return {
        "model": Path(experiment.model_name_or_path).name,
        "dataset": dataset_fingerprint,
        "optimizer_states": states,
        **{name: getattr(experiment, name) for name in own},
        **{name: getattr(args, name) for name in settings},
    }


def make_trainer(
    experiment: Experiment, args: TrainingArguments, dataset: Any, tokenizer: Any, run: dict[str, Any]
) -> LeiaTrainer:
    attention = choose_attention(
        "flash_attention_2" if experiment.use_flash_attention_2 else experiment.attn_implementation
    )
    # DeepSpeed keeps 32-bit weights beside bf16 ones; elsewhere the weights are 32-bit and bf16 is for the arithmetic.
    # Adapters leave the weights as they are, so that these may be 16-bit.
    narrow = args.bf16 and (args.deepspeed_plugin is not None or experiment.lora_rank > 0)
    dtype = torch.bfloat16 if narrow else torch.float32
    model = load_model(experiment.model_name_or_path, attention, dtype, experiment.trust_remote_code)
    tag_ids = add_tags(model, tokenizer)
    if experiment.lora_rank:
        model = add_lora(model, experiment.lora_rank, tag_ids, args.seed)
    blocks = LeiaConstantLengthDataset(
        dataset,
        experiment.max_length,
        *tag_ids,
        experiment.entity_name_insertion_prob,
        experiment.entity_name_insertion_strategy,
        shuffle=True,
        seed=args.seed,
    )
    if args.process_index == 0:
        strategy = experiment.entity_name_insertion_strategy
        probability = "" if strategy == "none" else f", probability {experiment.entity_name_insertion_prob}"
        print(
            f"{len(dataset):,} articles; names: {strategy}{probability}; attention: {attention}\n"
            f"a step: {count_processes(args.world_size)} x {args.per_device_train_batch_size} sequences x "
            f"{args.gradient_accumulation_steps} accumulation = {experiment.global_batch_size:,} sequences x "
            f"{experiment.max_length:,} tokens; {args.max_steps} steps",
            flush=True,
        )
    # Else DeepSpeed and FSDP (below) add up the gradients of a step, of 256 micro batches in the paper's run, in bf16.
    if args.deepspeed_plugin is not None:
        args.deepspeed_plugin.deepspeed_config.setdefault("data_types", {"grad_accum_dtype": "fp32"})
    try:
        trainer = LeiaTrainer(
            model=model,
            args=args,
            train_dataset=blocks,
            data_collator=LeiaDataCollator(tokenizer, experiment.max_length, experiment.disable_entity_name_token_loss),
            processing_class=tokenizer,
            run=run,
            peak_flops=peak_flops(experiment.peak_tflops),
        )
    except (ImportError, RuntimeError) as error:
        if args.report_to and any(name in str(error).lower() for name in args.report_to):
            raise InputError(f"--report_to {' '.join(args.report_to)}: {first_line(error)}") from error
        raise
    sharding = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if sharding is not None and sharding.mixed_precision_policy is not None:
        sharding.mixed_precision_policy = replace(sharding.mixed_precision_policy, reduce_dtype=torch.float32)
    return trainer
