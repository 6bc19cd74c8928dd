"""X-CSR for the harness: the data, the order of the items, and the examples in front of each item.

Reads the hub's `INK-USC/xcsr`, or, where the environment variable XCSR_DIR names a folder, a local copy in the
benchmark's own layout: `X-CSQA/<language>/dev.jsonl` below it, or below its `X-CSR_datasets/` (the official archive).
Nothing here needs more than the harness; the YAML files of `xcodah` and `xcsqa` refer to it.
"""

import json
import os
from pathlib import Path
from random import Random
from typing import Any

import datasets
from lm_eval.api.samplers import ContextSampler

REPOSITORY = "INK-USC/xcsr"
SPLIT = "validation"
"""The answers of the test split are hidden, so the published figures are those of the validation split."""
NUM_CHOICES = {"X-CODAH": 4, "X-CSQA": 5}
SEED = 42


def load_data(name: str, **_: Any) -> dict[str, datasets.Dataset]:
    """The validation split of the configuration `name` (say `X-CSQA-jap`), from XCSR_DIR or from the hub.

    Raises `FileNotFoundError` or `ValueError`; the message says which file or item, and what was expected.
    """
    folder = os.environ.get("XCSR_DIR")
    if folder:
        source, dataset = _load_local(Path(folder), name)
    else:
        source, dataset = f"{REPOSITORY} {name}", datasets.load_dataset(REPOSITORY, name, split=SPLIT)
        dataset = dataset.select_columns(["id", "lang", "question", "answerKey"])
    benchmark, _, language = name.rpartition("-")
    _check(dataset, source, language, NUM_CHOICES[benchmark])
    return {SPLIT: dataset}


def _load_local(folder: Path, name: str) -> tuple[str, datasets.Dataset]:
    benchmark, _, language = name.rpartition("-")
    roots = (folder, folder / "X-CSR_datasets")
    path = next((path for root in roots if (path := root / benchmark / language / "dev.jsonl").is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"{folder}: has no {benchmark}/{language}/dev.jsonl; XCSR_DIR (--xcsr_dir) must name a copy of X-CSR "
            "in the layout of its archive"
        )
    rows = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                row = json.loads(line)
                choices = row["question"]["choices"]
                question = {
                    "stem": row["question"]["stem"],
                    "choices": {key: [choice[key] for choice in choices] for key in ("label", "text")},
                }
                rows.append({"id": row["id"], "lang": row["lang"], "question": question, "answerKey": row["answerKey"]})
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{path}:{number}: expected an X-CSR item with id, lang, question and answerKey, found another "
                    f"line ({error!r})"
                ) from error
    if not rows:
        raise ValueError(f"{path}: is empty; expected one item a line")
    return str(path), datasets.Dataset.from_list(rows)


def _check(dataset: datasets.Dataset, source: str, language: str, num_choices: int) -> None:
    seen = set()
    for item in dataset:
        choices = item["question"]["choices"]
        if item["lang"] != language:
            raise ValueError(f"{source}: item {item['id']} is in the language {item['lang']!r}, expected {language!r}")
        if len(choices["text"]) != num_choices or len(choices["label"]) != num_choices:
            raise ValueError(f"{source}: item {item['id']} has {len(choices['text'])} choices, expected {num_choices}")
        if not seen and "" in choices["text"]:  # elsewhere it scores 0, as published
            raise ValueError(f"{source}: item {item['id']}, the first, has an empty choice, at which lm-eval fails")
        if item["answerKey"] not in choices["label"]:
            raise ValueError(f"{source}: item {item['id']} has the answer {item['answerKey']!r}, which is not a choice")
        if item["id"] in seen:
            raise ValueError(f"{source}: the id {item['id']} occurs twice; items are told apart by their ids")
        seen.add(item["id"])


def shuffle(dataset: datasets.Dataset) -> datasets.Dataset:
    """The items in the order of the published evaluation."""
    order = list(range(len(dataset)))
    Random(SEED).shuffle(order)
    return dataset.select(order)


class SharedGeneratorSampler(ContextSampler):
    """The published evaluation's examples: drawn by the generator that shuffled the items, item after item.

    Item by item, in the shuffled order, n + 1 are drawn, the item itself is dropped, and the first n are kept. All
    draws are made at once, so that an item's examples are the same whichever process scores it and under any --limit.
    The harness's few-shot seed has no say.
    """

    def sample(self, n: int, eval_doc: dict[str, Any], df: Any = None, **_: Any) -> list[dict[str, Any]]:
        """The `n` examples of `eval_doc`. Raises `ValueError` when there are fewer than n + 1 items."""
        if getattr(self, "_n", None) != n:
            self._n, self._examples = n, self._draw(n)
        return self._examples[eval_doc["id"]]

    def _draw(self, n: int) -> dict[str, list[dict[str, Any]]]:
        items = list(self.df)
        if len(items) <= n:
            raise ValueError(f"{n} examples in front of each item need at least {n + 1} items; there are {len(items)}")
        generator = Random(SEED)
        generator.shuffle(list(items))  # the draws follow the shuffling of the items
        examples = {}
        for item in items:
            drawn = [other for other in generator.sample(items, n + 1) if other["id"] != item["id"]]
            examples[item["id"]] = drawn[:n]
        return examples
