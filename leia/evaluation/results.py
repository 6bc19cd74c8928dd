"""A finished evaluation on disk: `<task>_<k>shot.jsonl`, a line an item, and `<task>_<k>shot.json`, written last.

The JSON file is the mark of completion. It holds the value of each metric of the task, the harness's own results, and
the identity of what was evaluated: model, data, scoring and precision. A folder of results holds one identity only.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from leia.base.errors import InputError
from leia.base.outputs import MANIFEST_NAME, new_file
from leia.base.step import identify
from leia.base.text import read_json, read_json_lines, to_json, to_json_lines

MODEL_FILES = (
    "config.json",
    "model*.safetensors",
    "pytorch_model*.bin",
    "adapter_*",
    "tokenizer*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.*",
    "merges.txt",
    "*.py",
)
_AGAIN = "evaluate.sh makes it again"

PLAIN = "none"
"""The harness's name for answers that were taken as they are."""


@dataclass(frozen=True)
class ItemResult:
    """One item. `answer`: what was asked and what the model gave, by the names of the line: `context`, `choices`,
    `log_likelihoods`, `prediction` and `gold` (indices of choices), or `context`, `generation` and `gold`. `metrics`:
    its value under each metric that has one for a single item; None where the metric does not count it."""

    id: str
    answer: dict[str, Any]
    metrics: dict[str, float | None]

    def line(self) -> dict[str, Any]:
        return {"id": self.id, **self.answer, **self.metrics}


@dataclass(frozen=True)
class TaskResult:
    """What one result file says. `about` is the JSON file as it is; `items` the lines beside it; `metrics` the value of
    each metric of the task, the task's first metric first."""

    about: dict[str, Any]
    items: list[ItemResult]
    metrics: dict[str, float]

    def value(self, metric: str | None = None) -> float:
        """That of `metric`, or of the task's first one. Raises `InputError` where the task has no such metric."""
        name = metric or next(iter(self.metrics))
        if name not in self.metrics:
            raise InputError(
                f"{self.about['task']}: has no metric {name!r}; expected one of its own: {', '.join(self.metrics)}"
            )
        return self.metrics[name]

    def is_better_less(self, metric: str | None = None) -> bool:
        """Whether the task says of `metric`, or of its first one, that less is better: a perplexity, an error rate."""
        name = (metric or next(iter(self.metrics))).partition(",")[0]
        told = self.about.get("harness", {}).get("higher_is_better", {}).get(self.about["task"], {})
        return told.get(name) is False


def result_path(results_dir: Path, task: str, num_fewshot: int) -> Path:
    """The JSON file of a task; its items lie beside it under `.jsonl`."""
    return results_dir / f"{task}_{num_fewshot}shot.json"


def identify_model(name_or_path: str) -> dict[str, Any]:
    """Name, bytes and SHA-256 of a model folder with its manifests, or name and revision on the hub.
    Raises `InputError` when there is no such model."""
    path = Path(name_or_path)
    if not path.is_dir():
        return {"name": name_or_path, "revision": _hub_revision(name_or_path)}
    if not (path / "config.json").is_file():
        raise InputError(f"{path}: expected a model folder, found no config.json in it; scripts/train.py makes one")
    files = [identify(file) for pattern in MODEL_FILES for file in sorted(path.glob(pattern))]
    if not any(file["name"].endswith((".safetensors", ".bin")) for file in files):
        raise InputError(f"{path}: holds no weights (*.safetensors); did the training end?")
    digest = hashlib.sha256("\n".join(f"{file['name']} {file['sha256']}" for file in files).encode()).hexdigest()
    identity = {"name": path.resolve().name, "bytes": sum(file["bytes"] for file in files), "sha256": digest}
    manifests = (path / name for name in (MANIFEST_NAME, "dataset_manifest.json"))  # what the model was made from
    return identity | {file.name: read_json(file, "make the model again") for file in manifests if file.is_file()}


def _hub_revision(name: str) -> str:
    from transformers.utils.hub import cached_file, extract_commit_hash

    try:
        config = cached_file(name, "config.json")
    except OSError as error:
        raise InputError(f"{name}: is neither a model folder nor a model that the hub gives ({error})") from error
    return str(extract_commit_hash(config, None))


def identify_data(docs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Number and SHA-256 of the items, the same for the hub's data and a local copy of it."""
    text = "\n".join(sorted(json.dumps(doc, ensure_ascii=False, sort_keys=True, default=str) for doc in docs))
    return {"items": len(docs), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def check_folder(results_dir: Path, identity: dict[str, Any]) -> None:
    """Raise `InputError` when `results_dir` holds a result of another model, scoring or precision."""
    for path in sorted(results_dir.glob("*_*shot.json")):
        try:
            earlier = read_json(path, _AGAIN)["identity"]
        except (InputError, KeyError, TypeError):
            continue  # broken: `read_result` tells, and the task is evaluated again
        for key, value in identity.items():
            if _comparable(earlier.get(key)) != _comparable(value):
                raise InputError(
                    f"{path}: is the result of another {key} ({_short(earlier.get(key))}, now {_short(value)}); "
                    "name another results folder"
                )


def _comparable(value: Any) -> Any:
    return value.get("sha256", value) if isinstance(value, dict) else value


def _short(value: Any) -> str:
    return f"{value.get('name')} {str(value.get('sha256', ''))[:12]}".strip() if isinstance(value, dict) else str(value)


def named_metrics(reported: Mapping[str, Any], first: Sequence[str]) -> dict[str, Any]:
    """The metrics among what the harness reports of a task, by our names: `acc` for its `acc,none`, else
    `exact_match,FILTER`. Those of `first` come first, in this order."""
    names = [name for name in reported if "," in name and name.replace("_stderr,", ",") not in reported.keys() - {name}]
    order = {metric: place for place, metric in enumerate(first)}
    names.sort(key=lambda name: order.get(name.partition(",")[0], len(order)))
    return {name.removesuffix(f",{PLAIN}"): reported[name] for name in names}


def read_result(path: Path) -> TaskResult:
    """Raises `InputError` when the result is broken: cut off, not JSON, or without the items that it counts."""
    about = read_json(path, _AGAIN)
    try:
        expected = about["data"]["items"]
        dict(about["identity"]["model"])
        metrics = about["metrics"] if "metrics" in about else _former_metrics(about)
        metrics = {name: math.nan if value is None else float(value) for name, value in metrics.items()}
        if not metrics:
            raise ValueError("no metric")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: is not a complete result of evaluate.sh ({error!r}); {_AGAIN}") from error
    items_path = path.with_suffix(".jsonl")
    try:
        items = read_json_lines(items_path, lambda line: _read_item(line, metrics), "an item", _AGAIN)
    except FileNotFoundError:
        raise InputError(f"{items_path}: is missing beside {path.name}; {_AGAIN}") from None
    if len(items) != expected:
        raise InputError(f"{items_path}: has {len(items)} items, expected {expected}; {_AGAIN}")
    return TaskResult(about, items, metrics)


def _former_metrics(about: dict[str, Any]) -> dict[str, Any]:
    """Results once had an accuracy alone, whatever their task asks for; what the harness said of it is there too."""
    task, harness = about["task"], about.get("harness", {})
    if task not in harness.get("results", {}):
        return {"acc": about["accuracy"]}
    first = [one["metric"] for one in harness["configs"][task].get("metric_list", [])]
    return named_metrics(harness["results"][task], first)


def _read_item(line: dict[str, Any], metrics: Mapping[str, float]) -> ItemResult:
    own = {name: line.pop(name) for name in metrics if name in line}
    if not own and "acc" in metrics and "prediction" in line:  # as results once were
        own = {"acc": float(line["prediction"] == line["gold"])}
    return ItemResult(line.pop("id"), line, own)


def of_status(result: TaskResult, status: str) -> TaskResult:
    """The items whose field `status` says so, each metric the mean over those that it counts; "": the result as it is.
    Raises `InputError` where there is none."""
    if not status:
        return result
    items = [item for item in result.items if item.answer.get("status") == status]
    if not items:
        raise InputError(
            f"{result.about['task']}: has no item of the status {status!r}; expected one of those in its data"
        )
    metrics = {}
    for name in result.metrics:
        values = [value for item in items if (value := item.metrics.get(name)) is not None]
        metrics[name] = sum(values) / len(values) if values else math.nan
    return TaskResult(result.about, items, metrics)


def check_models(results: Mapping[Path, TaskResult]) -> None:
    """Raise `InputError` when two of the results are of one model: seeds whose spread would be that of copies."""
    models = {path: _comparable(result.about["identity"]["model"]) for path, result in results.items()}
    for (path, model), (other, other_model) in combinations(models.items(), 2):
        if model == other_model:
            raise InputError(
                f"{other}: is the result of the same model as {path}; each seed has its own: "
                "remove the result in the wrong folder and evaluate the right model"
            )


@contextmanager
def new_result(path: Path) -> Iterator[Callable[[dict[str, Any], Sequence[ItemResult]], None]]:
    """Hold the result `path` alone while a task runs, and yield what writes it; a failure leaves no file."""
    with new_file(path) as about_path, new_file(path.with_suffix(".jsonl")) as items_path:

        def write(about: dict[str, Any], items: Sequence[ItemResult]) -> None:
            items_path.write_text(to_json_lines(item.line() for item in items), encoding="utf-8")
            # A function in a task's configuration goes by its name: its `repr` holds an address and a path.
            text = to_json(about, default=lambda value: getattr(value, "__name__", str(value)))
            about_path.write_text(text, encoding="utf-8")

        yield write
