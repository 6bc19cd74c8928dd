"""The folder of a dataset for the model hub, which `scripts/push_dataset.py` writes and pushes:

README.md               the card
data/train-*.parquet    the rows
manifest.json           of this export
dataset_manifest.json   of the dataset, where it has one
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc

from leia.base.datasets import open_articles, open_training_dataset
from leia.base.errors import UsageError
from leia.base.outputs import NewFolder
from leia.base.step import Step, open_step, read_manifest, unless_complete
from leia.base.text import to_json
from leia.corpus.titles import check_language
from leia.reports.dataset_card import LICENSE, Card
from leia.reports.example_rows import examples_of_articles, examples_of_training
from leia.reports.lineage import Source, all_manifests, all_sources, sources_of
from leia.reports.parquet_export import DATA_FOLDER, export_parquet
from leia.reports.statistics import dataset_statistics

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

STEP = "push_dataset"
DATASET_MANIFEST = "dataset_manifest.json"


def write_hub_folder(
    source: "HubDataset",
    output_dir: str,
    given_license: str | None,
    shard_bytes: int,
    model_name: str | None = None,
    trust_remote_code: bool = False,
    overwrite: bool = False,
) -> None:
    """Write the folder; where it is complete already, only say so: it may still have to be pushed."""
    license = source.license(given_license)
    tokenizer = source.tokenizer(model_name, trust_remote_code)
    options = source.options(license, shard_bytes, model_name)
    output = NewFolder(output_dir, ("README.md", DATA_FOLDER, DATASET_MANIFEST, ".cache"), made_by=STEP)
    with unless_complete(), open_step(STEP, [source.folder], output, options, overwrite) as step:
        source.write(step, license, shard_bytes, tokenizer)


class HubDataset:
    """A training dataset or preprocessed articles, and where they come from.

    `given`: inputs that lie elsewhere than beside the dataset. `languages`: for the hub; empty for what the dataset and
    its sources tell. Raises `InputError` for a folder that holds neither.
    """

    def __init__(self, dataset_dir: str, given: Sequence[Path], languages: Sequence[str]) -> None:
        self.folder = Path(dataset_dir)
        self.manifest = read_manifest(dataset_dir)
        self.is_encoded = _is_encoded(self.folder)
        self.dataset = open_training_dataset(dataset_dir) if self.is_encoded else open_articles(dataset_dir)
        self.sources = sources_of(self.manifest, self.folder, given)
        manifests = all_manifests(self.manifest, self.sources)
        self.of_wikipedia = not any(
            one.get("step") == "import_articles" or one.get("texts") == "imported" for one in manifests
        )
        self.languages = list(map(check_language, languages)) or self._languages()

    def license(self, given: str | None) -> str:
        """Raises `UsageError` where it must be given, or is no name of the hub's."""
        if given is None and not self.of_wikipedia:
            raise UsageError(
                f"missing --license: the texts of {self.folder} are from elsewhere than Wikipedia "
                "(import_articles.py); name theirs"
            )
        if given is not None and not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", given):
            raise UsageError(f"--license is {given!r}; expected a name as the hub has it, such as mit or cc-by-4.0")
        return given or LICENSE

    def _languages(self) -> list[str]:
        """The languages of the texts, then those of the names."""
        if not self.is_encoded:
            return _text_languages(self.dataset)
        found = [code for one in self.sources for code in _languages_of(one)]
        options = (self.manifest or {}).get("options", {})
        names = options.get("name_languages") or filter(None, [options.get("pivot_language")])
        return list(dict.fromkeys([*found, *names]))

    def options(self, license: str, shard_bytes: int, model_name: str | None) -> dict[str, Any]:
        """What the folder depends on beside the dataset: for its manifest."""
        followed = [one.sha256 for one in all_sources(self.sources) if one.manifest is not None]
        name = None if model_name is None else model_name.rstrip("/").rsplit("/", 1)[-1]
        own = {"license": license, "max_shard_bytes": shard_bytes, "examples_by_tokenizer_of": name}
        return own | {"languages": self.languages, "manifests_found_of": followed}

    def tokenizer(self, model_name: str | None, trust_remote_code: bool) -> "PreTrainedTokenizerBase | None":
        """The tokenizer for the examples. Raises `InputError` where it is not the dataset's."""
        if model_name is None:
            return None
        if not self.is_encoded:
            raise UsageError(f"--model_name is for a training dataset; {self.folder} holds texts, not token ids")
        from leia.data.tokenizers import check_dataset, load_tokenizer

        tokenizer = load_tokenizer(model_name, trust_remote_code)
        check_dataset(self.dataset, tokenizer, self.manifest, str(self.folder))
        return tokenizer

    def write(self, step: Step, license: str, shard_bytes: int, tokenizer: "PreTrainedTokenizerBase | None") -> None:
        """Fill the folder `step.target`."""
        files = export_parquet(self.dataset, step.target, shard_bytes)
        size = sum(file.stat().st_size for file in files)
        step.count("rows").kept += len(self.dataset)
        step.count("Parquet files").kept += len(files)
        if self.manifest is not None:
            (step.target / DATASET_MANIFEST).write_text(to_json(self.manifest), encoding="utf-8")
        examples = (
            examples_of_training(self.dataset, tokenizer) if self.is_encoded else examples_of_articles(self.dataset)
        )
        counts = [*self._counts(), ("bytes of the Parquet files", f"{size:,}")]
        name = self.folder.resolve().name
        languages = [code.partition("-")[0] for code in self.languages]
        card = Card(
            name,
            license,
            languages,
            self.dataset,
            self.manifest,
            self.sources,
            self.of_wikipedia,
            counts,
            examples,
        )
        (step.target / "README.md").write_text(str(card), encoding="utf-8")

    def _counts(self) -> list[tuple[str, str]]:
        if self.is_encoded:
            statistics = dataset_statistics(self.dataset, self.manifest)
            units = ("articles", "tokens", "entities", "name_tokens")
            counts = [(unit.replace("name_tokens", "tokens of names"), f"{statistics[unit]:,}") for unit in units]
            return [*counts, ("names per 1,000 tokens", f"{statistics['names_per_1000_tokens']:.1f}")]
        table = self.dataset.data.table
        characters = pc.sum(pc.utf8_length(table["text"])).as_py()
        anchors = pc.sum(pc.list_value_length(table["anchors"])).as_py()
        numbers = {"articles": len(self.dataset), "characters of text": characters, "links (anchors)": anchors}
        return [(unit, f"{number:,}") for unit, number in numbers.items()]


def _is_encoded(folder: Path) -> bool:
    try:
        columns = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))["features"]
    except (OSError, ValueError, KeyError, TypeError):  # `open_articles` says what is wrong
        return False
    return "input_ids" in columns


def _text_languages(dataset: "Dataset") -> list[str]:
    return sorted(filter(None, pc.unique(dataset.data.table["language"]).to_pylist()))


def _languages_of(source: Source) -> list[str]:
    """Of the articles that a training dataset was made from; by the name of their folder where they were not found."""
    if source.path is not None and (source.path / "dataset_info.json").is_file():
        return _text_languages(open_articles(source.path))
    named = re.match(r"([a-z]{2,3}(?:_[a-z]+)*)wiki(?![a-z])", source.name)
    return [named[1].replace("_", "-")] if named else []
