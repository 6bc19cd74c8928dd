"""The settings of the stream that a preview shows: those of a configuration or a run, changed by the command line."""

from collections.abc import Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from leia.base.datasets import open_training_dataset
from leia.base.errors import InputError, UsageError
from leia.training import checkpoints
from leia.training.arguments import read_config, read_experiment
from leia.training.experiment import Experiment
from leia.training.sources import Source

EVERY_NAME = {"entity_name_insertion_prob": 1.0}
"""What a preview shows without a configuration."""


def read_settings(
    config: str | None, given: Mapping[str, Any], model_name: str, dataset_dir: str
) -> tuple[Experiment, int]:
    """The experiment and the seed of `config`, a file of configs/train or the folder of a run, changed by those of
    `given` that are not None. Raises `InputError` for a folder without a run, `UsageError` for values out of range."""
    settings = EVERY_NAME if config is None else _of_run(Path(config)) if Path(config).is_dir() else read_config(config)
    model = {"model_name_or_path": model_name, "wikipedia_dataset_dir": dataset_dir}
    if listed := settings.get("sources"):
        own = _in_run(listed, dataset_dir) if isinstance(listed, dict) else _in_config(settings | model, dataset_dir)
        settings = settings | own
    settings = settings | {name: value for name, value in given.items() if value is not None}
    seed = settings.get("seed", 42)
    if not isinstance(seed, int):
        raise UsageError(f"seed is {seed}; expected a whole number")
    return read_experiment(settings | model | {"sources": ""}), seed


def _in_config(settings: Mapping[str, Any], dataset_dir: str) -> dict[str, Any]:
    """The settings of the source that is the dataset in this folder, read as training reads them."""
    sources = read_experiment({**settings, "wikipedia_dataset_dir": ""}).listed_sources()
    folder = Path(dataset_dir).resolve()
    here = {one.name: one for one in sources if Path(one.wikipedia_dataset_dir).resolve() == folder}
    return {field.name: getattr(here[_only(here, dataset_dir)], field.name) for field in fields(Source)}


def _in_run(listed: Mapping[str, dict[str, Any]], dataset_dir: str) -> dict[str, Any]:
    """The settings of the source that is the dataset in this folder; a run keeps the fingerprints of its datasets."""
    fingerprint = open_training_dataset(dataset_dir)._fingerprint
    here = {name: one for name, one in listed.items() if one["dataset"] == fingerprint}
    return _with_tags(here[_only(here, dataset_dir)])


def _only(names: Collection[str], dataset_dir: str) -> str:
    """Raises `UsageError` unless there is one source of this dataset."""
    if not names:
        raise UsageError(f"{dataset_dir}: is none of the sources of --config; name the folder of one of them")
    if len(names) > 1:
        raise UsageError(
            f"{dataset_dir}: is the dataset of the sources {', '.join(names)} of --config; give the settings of one by "
            "options, without --config"
        )
    return next(iter(names))


def _of_run(folder: Path) -> dict[str, Any]:
    """The settings of a run from its finished model or its newest checkpoint."""
    saved = folder if (folder / checkpoints.RUN_FILE).is_file() else checkpoints.newest_checkpoint(folder)
    if saved is None:
        raise InputError(
            f"{folder}: expected the folder of a run, found neither {checkpoints.RUN_FILE} nor a checkpoint"
        )
    return _with_tags(checkpoints.read_saved(saved / checkpoints.RUN_FILE))


def _with_tags(settings: Mapping[str, Any]) -> dict[str, Any]:
    """With the two settings that a run keeps as `entity_name_tags`."""
    if tags := settings.get("entity_name_tags"):
        return {**settings, "entity_name_start_tag": tags[0], "entity_name_end_tag": tags[1]}
    return dict(settings)
