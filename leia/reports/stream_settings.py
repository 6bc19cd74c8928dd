"""The settings of the stream that a preview shows: those of a configuration or a run, changed by the command line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from leia.base.datasets import open_training_dataset
from leia.base.errors import InputError, UsageError
from leia.training import checkpoints
from leia.training.arguments import read_config, read_experiment
from leia.training.experiment import Experiment

EVERY_NAME = {"entity_name_insertion_prob": 1.0}
"""What a preview shows without a configuration."""


def read_settings(
    config: str | None, given: Mapping[str, Any], model_name: str, dataset_dir: str
) -> tuple[Experiment, int]:
    """The experiment and the seed of `config`, a file of configs/train or the folder of a run, changed by those of
    `given` that are not None. Raises `InputError` for a folder without a run, `UsageError` for values out of range."""
    settings = EVERY_NAME if config is None else _of_run(Path(config)) if Path(config).is_dir() else read_config(config)
    settings = settings | {name: value for name, value in given.items() if value is not None}
    if isinstance(listed := settings.pop("sources", None), list | dict):
        settings |= _of_source(listed, dataset_dir)
    seed = settings.get("seed", 42)
    if not isinstance(seed, int):
        raise UsageError(f"seed is {seed}; expected a whole number")
    model = {"model_name_or_path": model_name, "wikipedia_dataset_dir": dataset_dir}
    return read_experiment(settings | model), seed


def _of_source(listed: list[dict[str, Any]] | dict[str, dict[str, Any]], dataset_dir: str) -> dict[str, Any]:
    """The settings of the source that is the dataset in this folder: by its path in a configuration, by its fingerprint
    in a run. Raises `UsageError` where none is."""
    if isinstance(listed, dict):
        fingerprint = open_training_dataset(dataset_dir)._fingerprint
        found = [one for one in listed.values() if one["dataset"] == fingerprint]
    else:
        folder = Path(dataset_dir).resolve()
        found = [one for one in listed if Path(str(one.get("wikipedia_dataset_dir"))).resolve() == folder]
    if not found:
        raise UsageError(f"{dataset_dir}: is none of the sources of --config; name the folder of one of them")
    return _with_tags(found[0])


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
