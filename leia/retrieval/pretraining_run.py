"""A pretraining on disk: the model after each epoch, the loss of each step, and where it goes on after a stop.

    OUTPUT_DIR/epoch-0, epoch-1 ...   the model before training and after each epoch, with manifest.json
    OUTPUT_DIR/state-1.safetensors    of the newest epoch, here the first: what the next one goes on from
    OUTPUT_DIR/losses.jsonl           a line a step: iteration, objective, pair, loss, gradient_norm

An epoch is complete or not there. What was trained after the last one is trained again, with the same batches.
"""

import json
import os
import shutil
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from safetensors import SafetensorError
from transformers import PreTrainedTokenizerBase

from leia.base.cli import progress
from leia.base.errors import AlreadyComplete, InputError, UsageError
from leia.base.outputs import MANIFEST_NAME, held, new_file, new_folder, write_file
from leia.base.step import FilesIn, identify, read_manifest, versions
from leia.base.text import one_line, to_json, to_json_lines
from leia.corpus.languages import is_language
from leia.retrieval.encoder import Retriever, as_retriever, is_long, load_retriever
from leia.retrieval.pairs import Pair, aligned_texts, find_pairs, open_pair, pair_folders
from leia.retrieval.pretraining import Pretraining, StepRecord
from leia.retrieval.recipe import PretrainingSettings
from leia.retrieval.same_run import check_same, identity_of
from leia.retrieval.small_model import make_small_model
from leia.retrieval.training_state import TrainingState, load_state

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
    if overwrite and base_model and Path(base_model).resolve().is_relative_to(output_dir.resolve()):
        raise UsageError(f"{base_model}: is in {output_dir}, which --overwrite empties; name another output folder")
    folders = dict.fromkeys(folder for name in names for folder in pair_folders(data_dir, name))
    inputs = [FilesIn(folder, ("state.json",)) for folder in folders]  # it holds a hash of the rows
    newest = None if overwrite else newest_epoch(output_dir)
    options = _options(base_model, names, settings, before=newest and epoch_folder(output_dir, newest))
    if newest is not None:
        check_same(epoch_folder(output_dir, newest), output_dir, _STEP, inputs, options)
        if newest >= settings.epochs:
            raise AlreadyComplete(f"complete already: {epoch_folder(output_dir, newest)}")
    if settings.sentence_language and not is_language(settings.sentence_language):
        raise UsageError(f"--sentence_language: expected a language code like en, found {settings.sentence_language!r}")
    pairs = [open_pair(data_dir, name) for name in names]
    start = base_model if newest is None else str(epoch_folder(output_dir, newest))
    model = _model(start, pairs, settings)
    manifest = {"step": _STEP, "inputs": list(map(identify, inputs)), "options": options, "versions": versions()}
    training = Pretraining(*model, pairs, settings)
    with ExitStack() as stack:
        if training.accelerator.is_main_process:
            output_dir.mkdir(parents=True, exist_ok=True)
            stack.enter_context(held(output_dir))
        _Run(training, output_dir, settings, manifest).go_on(newest, overwrite)


def _options(
    base_model: str | None, names: Sequence[str], settings: PretrainingSettings, before: Path | None
) -> dict[str, Any]:
    """What decides how a run goes, beside its data. Where the base model is gone, it is as the epoch `before` says."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    options = {"base_model": base_model and identity_of(base_model), "pairs": list(names), "processes": world}
    if before is not None and base_model and not Path(base_model).is_dir():
        recorded = (read_manifest(before) or {}).get("options", {}).get("base_model") or {}
        if recorded.get("name") == Path(base_model).name:
            options["base_model"] = recorded
    return options | {key: value for key, value in asdict(settings).items() if key != "epochs"}


def _model(
    start: str | None, pairs: Sequence[Pair], settings: PretrainingSettings
) -> tuple[Retriever, PreTrainedTokenizerBase]:
    """The model that the training starts from or goes on with; None: a small one from scratch."""
    window, length = settings.attention_window, settings.max_length
    how = settings.qlm_head, settings.seed, length if window else None, window
    if start is None:
        texts = (text for pair in pairs for text in aligned_texts(pair))
        ranker, tokenizer = make_small_model(texts, length, settings.seed)
        return as_retriever(ranker, *how), tokenizer
    retriever, tokenizer = load_retriever(start, *how)
    config = retriever.ranker.config
    if is_long(retriever.ranker) and config.attention_window != window:
        found = f"expected --attention_window {config.attention_window}, with which it was made, found {window}"
        raise UsageError(f"{start}: {found}")
    if length > config.max_position_embeddings:
        found = f"--max_length {length} is more than its {config.max_position_embeddings} positions; take a smaller one"
        raise UsageError(f"{start}: {found}" + ("" if window else ", or --attention_window 64 for long documents"))
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

    def _save(self, epoch: int, state: TrainingState) -> None:
        """Write an epoch: its state before it, so that a complete epoch has one."""
        counts = sum((Counter(process["counts"]) for process in state.values["processes"]), Counter())
        with new_file(_state_file(self._output_dir, epoch)) as file:
            state.save(file)
        with new_folder(epoch_folder(self._output_dir, epoch), ()) as folder:
            self._training.retriever.save(folder, self._training.tokenizer)
            facts = {"epoch": epoch, "iterations": self._training.iteration, "counts": counts}
            (folder / MANIFEST_NAME).write_text(to_json({**self._manifest, **facts}), encoding="utf-8")
        for before in range(epoch):
            _state_file(self._output_dir, before).unlink(missing_ok=True)

    def _restore(self, epoch: int) -> None:
        file, folder = _state_file(self._output_dir, epoch), epoch_folder(self._output_dir, epoch)
        try:
            self._training.restore(load_state(file))
        except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
            found = f"expected the state of the training, found none that can be read ({one_line(str(error))[:80]})"
            raise InputError(f"{file}: {found}; begin a run in another folder with --base_model {folder}") from error
        if self._writes:
            losses = self._output_dir / _LOSSES_FILE
            write_file(losses, "".join(_lines_before(losses, self._training.iteration)))
            click.echo(f"goes on after {folder}", err=True)


def _lines_before(losses: Path, iteration: int) -> Iterator[str]:
    """The lines of the iterations before this one. The last line may be broken off: a kill does that."""
    with losses.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                is_before = json.loads(line)["iteration"] < iteration
            except (ValueError, LookupError, TypeError) as error:
                if not line.endswith("\n"):
                    return
                expected = "expected the losses of a step, which this run wrote"
                raise InputError(f"{losses}:{number}: {expected}, found {line[:60]!r}; remove the line") from error
            if is_before:
                yield line


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
    return output_dir / f"state-{epoch}.safetensors"


def newest_epoch(output_dir: Path) -> int | None:
    """The last epoch that is complete."""
    complete = [epoch for epoch, folder in _epochs(output_dir).items() if (folder / MANIFEST_NAME).is_file()]
    return max(complete, default=None)


def _epochs(output_dir: Path) -> dict[int, Path]:
    named = {path.name.removeprefix("epoch-"): path for path in output_dir.glob("epoch-*") if path.is_dir()}
    return {int(name): path for name, path in named.items() if name.isdecimal()}


def _begin(output_dir: Path, overwrite: bool) -> None:
    """Remove the epochs of an earlier run where that is wanted, and its losses."""
    if overwrite:
        for epoch, folder in _epochs(output_dir).items():
            _state_file(output_dir, epoch).unlink(missing_ok=True)
            shutil.rmtree(folder)
    (output_dir / _LOSSES_FILE).write_text("", encoding="utf-8")
