"""A pretraining on disk: the model after each epoch, the loss of each step, and where it goes on after a stop.

    OUTPUT_DIR/epoch-0, epoch-1 ...   the model before training and after each epoch, with manifest.json
    OUTPUT_DIR/state-1.pt             of the newest epoch, here the first: what the next one goes on from
    OUTPUT_DIR/losses.jsonl           a line a step: iteration, objective, pair, loss, gradient_norm

An epoch is complete or not there. What was trained after the last one is trained again, with the same batches.
"""

import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import click
import torch
from transformers import PreTrainedTokenizerBase

from leia.base.cli import progress
from leia.base.errors import AlreadyComplete, InputError, UsageError
from leia.base.outputs import MANIFEST_NAME, held, new_file, new_folder, write_file
from leia.base.step import identify, read_manifest, versions, was_made_from
from leia.base.text import one_line, to_json, to_json_lines
from leia.retrieval.encoder import Retriever, as_retriever, load_retriever
from leia.retrieval.pairs import Pair, find_pairs, open_pair, pair_folders
from leia.retrieval.pretraining import Pretraining, PretrainingSettings, StepRecord
from leia.retrieval.small_model import make_small_model

_STEP = "pretrain_retriever"
_LOSSES_FILE = "losses.jsonl"
_SHOWN = 100
"""Steps of an objective over which the progress bar's loss is a mean."""


def pretrain(
    data_dir: Path,
    names: Sequence[str],
    base_model: str | None,
    output_dir: Path,
    settings: PretrainingSettings,
    overwrite: bool = False,
) -> None:
    """Train `base_model` (None: a small one from scratch) on the pairs `names` of `data_dir` (none: all), or go on with
    the run in `output_dir`.

    Raises `AlreadyComplete` where that has all epochs, and `UsageError` where it was made from something else.
    """
    names = find_pairs(data_dir, names)
    folders = dict.fromkeys(folder for name in names for folder in pair_folders(data_dir, name))
    inputs = [*folders, *([Path(base_model)] if base_model and Path(base_model).is_dir() else [])]
    world = int(os.environ.get("WORLD_SIZE", "1"))
    options = {"base_model": base_model and Path(base_model).name, "pairs": list(names), "processes": world}
    options |= {key: value for key, value in asdict(settings).items() if key != "epochs"}
    options = json.loads(json.dumps(options))
    newest = None if overwrite else newest_epoch(output_dir)
    if newest is not None:
        _check_same_run(epoch_folder(output_dir, newest), inputs, options)
        if newest >= settings.epochs:
            raise AlreadyComplete(f"complete already: {epoch_folder(output_dir, newest)}")
    pairs = [open_pair(data_dir, name) for name in names]
    start = base_model if newest is None else str(epoch_folder(output_dir, newest))
    training = Pretraining(*_model(start, pairs, settings), pairs, settings)
    identities = [identify(path) for path in inputs] if training.accelerator.is_main_process else []
    manifest = {"step": _STEP, "inputs": identities, "options": options, "versions": versions()}
    with ExitStack() as stack:
        if training.accelerator.is_main_process:
            output_dir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(output_dir))
        _Run(training, output_dir, settings, manifest).go_on(newest, overwrite)


def _model(
    start: str | None, pairs: Sequence[Pair], settings: PretrainingSettings
) -> tuple[Retriever, PreTrainedTokenizerBase]:
    """The model that the training starts from or goes on with; None: a small one from scratch."""
    long_length = settings.max_length if settings.attention_window else None
    how = settings.qlm_head, settings.seed, long_length, settings.attention_window
    if start is None:
        ranker, tokenizer = make_small_model(pairs, settings.max_length, settings.seed)
        return as_retriever(ranker, *how), tokenizer
    retriever, tokenizer = load_retriever(start, *how)
    if settings.max_length > retriever.max_length:
        found = f"--max_length {settings.max_length} is more than its {retriever.max_length} positions"
        raise UsageError(
            f"{start}: {found}; take a smaller one, or --attention_window 64 for a model of long documents"
        )
    return retriever, tokenizer


class _Run:
    """The epochs of a training. Only the main process writes."""

    def __init__(
        self, training: Pretraining, output_dir: Path, settings: PretrainingSettings, manifest: Mapping[str, Any]
    ) -> None:
        self._training, self._output_dir = training, output_dir
        self._settings, self._manifest = settings, manifest
        self._writes = training.accelerator.is_main_process

    def go_on(self, newest: int | None, overwrite: bool) -> None:
        """Train the epochs after the `newest` one, None: from the beginning."""
        if newest is None:
            state = self._training.state()  # which waits for all processes: none looks for an epoch any more
            if self._writes:
                _begin(self._output_dir, overwrite)
                self._save(0, state)
        else:
            self._restore(newest)
        each, total = self._settings.iterations_per_epoch, self._settings.epochs * self._settings.iterations_per_epoch
        bar = _Bar(total, self._training.iteration) if self._writes else None
        while self._training.iteration < total:
            records = list(self._training.run_iteration())
            if bar is not None:
                self._log(records)
                bar.show(records)
            if self._training.iteration % each == 0:
                state = self._training.state()
                if self._writes:
                    self._save(self._training.iteration // each, state)
        if bar is not None:
            bar.close()
            self._report()

    def _report(self) -> None:
        last = epoch_folder(self._output_dir, self._settings.epochs)
        counts = (read_manifest(last) or {})["counts"]
        click.echo("\n".join([f"written: {last}", *(f"{number:>12,}  {what}" for what, number in counts.items())]))

    def _log(self, records: Sequence[StepRecord]) -> None:
        with (self._output_dir / _LOSSES_FILE).open("a", encoding="utf-8") as file:
            file.write(to_json_lines(map(asdict, records)))

    def _save(self, epoch: int, state: Mapping[str, Any]) -> None:
        """Write an epoch: its state before it, so that a complete epoch has one."""
        counts = sum((Counter(process["counts"]) for process in state["processes"]), Counter())
        with new_file(_state_file(self._output_dir, epoch)) as file:
            torch.save(state, file)
        with new_folder(epoch_folder(self._output_dir, epoch), ()) as folder:
            self._training.retriever.save(folder, self._training.tokenizer)
            facts = {"epoch": epoch, "iterations": self._training.iteration, "counts": counts}
            (folder / MANIFEST_NAME).write_text(to_json({**self._manifest, **facts}), encoding="utf-8")
        for before in range(epoch):
            _state_file(self._output_dir, before).unlink(missing_ok=True)

    def _restore(self, epoch: int) -> None:
        file = _state_file(self._output_dir, epoch)
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
            found = f"expected the state of the training, found none that can be read ({one_line(str(error))[:80]})"
            raise InputError(f"{file}: {found}; begin anew with --overwrite") from error
        self._training.restore(state)
        if self._writes:
            losses = self._output_dir / _LOSSES_FILE
            lines = losses.read_text(encoding="utf-8").splitlines(keepends=True) if losses.exists() else []
            kept = [line for line in lines if line.endswith("\n") and _iteration(line) < self._training.iteration]
            write_file(losses, "".join(kept))
            click.echo(f"goes on after {epoch_folder(self._output_dir, epoch)}", err=True)


def _iteration(line: str) -> int:
    return json.loads(line)["iteration"]


class _Bar:
    """A progress bar over iterations, with the mean of each objective's last losses."""

    def __init__(self, total: int, done: int) -> None:
        self._bar = progress("pretraining", total, unit="iteration")
        self._bar.update(done)
        self._losses: dict[str, deque[float]] = {}

    def show(self, records: Sequence[StepRecord]) -> None:
        for record in records:
            if record.loss is not None:
                self._losses.setdefault(record.objective, deque(maxlen=_SHOWN)).append(record.loss)
        means = {objective: f"{sum(losses) / len(losses):.3f}" for objective, losses in self._losses.items()}
        self._bar.set_postfix(means, refresh=False)
        self._bar.update()

    def close(self) -> None:
        self._bar.close()


def epoch_folder(output_dir: Path, epoch: int) -> Path:
    return output_dir / f"epoch-{epoch}"


def _state_file(output_dir: Path, epoch: int) -> Path:
    return output_dir / f"state-{epoch}.pt"


def newest_epoch(output_dir: Path) -> int | None:
    """The last epoch that is complete."""
    names = (path.parent.name.removeprefix("epoch-") for path in output_dir.glob(f"epoch-*/{MANIFEST_NAME}"))
    return max((int(name) for name in names if name.isdigit()), default=None)


def _begin(output_dir: Path, overwrite: bool) -> None:
    """Remove the epochs of an earlier run where that is wanted, and its losses."""
    if overwrite:
        for folder in output_dir.glob("epoch-*"):
            shutil.rmtree(folder)
        for file in output_dir.glob("state-*.pt"):
            file.unlink()
    (output_dir / _LOSSES_FILE).write_text("", encoding="utf-8")


def _check_same_run(folder: Path, inputs: Sequence[Path], options: Mapping[str, Any]) -> None:
    """Raise `UsageError` where the epoch in `folder` was made from something else."""
    if was_made_from(folder / MANIFEST_NAME, inputs, _STEP, options):
        return
    manifest = read_manifest(folder) or {}
    before = manifest.get("options", {})
    changed = [f"{key} was {before.get(key)}, is {value}" for key, value in options.items() if before.get(key) != value]
    found = "; ".join(changed) or "its inputs were others"
    raise UsageError(
        f"{folder.parent}: holds another run ({found}); name another folder, or begin anew with --overwrite"
    )
