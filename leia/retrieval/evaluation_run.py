"""Models on judged collections, on disk: of each pair a folder with every ranking and results.json; then their table.

OUTPUT_DIR/<model>/<collection>/results.json                average precision of each test query, their mean, the folds
OUTPUT_DIR/<model>/<collection>/fold-1/test-epoch-12.run    TREC run files, of dev and test; all.run without training
OUTPUT_DIR/table.md                                         all of them
"""

import codecs
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from leia.base.cli import progress
from leia.base.errors import UsageError
from leia.base.outputs import NewFolder, write_file
from leia.base.step import open_step, unless_complete
from leia.base.text import to_json
from leia.retrieval.collection import Collection, folds, open_collection, split
from leia.retrieval.encoder import load_ranker
from leia.retrieval.finetuning import Ranker, fine_tune
from leia.retrieval.map_table import fill_map_table, read_results, results_table
from leia.retrieval.recipe import FineTuning
from leia.retrieval.same_run import check_same, identity_of
from leia.retrieval.scoring import Run, average_precision, check_installed, mean_average_precision, write_run
from leia.tables.definition import load_table
from leia.tables.rendering import to_markdown

RESULTS_FILE = "results.json"
_STEP = "evaluate_retriever"


@dataclass(frozen=True)
class Named:
    """A model or a collection: what the table calls it, and where it is: a folder, or its id on a hub."""

    name: str
    place: str


@dataclass(frozen=True)
class How:
    """`max_length`: tokens of query and document, None: as many as the model has positions for. `folds_file`: which
    query is in which of the five. `query_fields`: of TREC topics. `encoding`: of TREC's topics and documents."""

    fine_tuning: FineTuning
    max_length: int | None = None
    folds_file: Path | None = None
    query_fields: tuple[str, ...] = ("title",)
    encoding: str = "utf-8"


def evaluate_all(
    models: Sequence[Named],
    collections: Sequence[Named],
    output_dir: Path,
    how: How,
    table_file: Path | None = None,
    overwrite: bool = False,
) -> str:
    """Evaluate each model on each collection, but for what is complete, and return their table.

    Models of one name are the same one from several seeds. `table_file`: the table of `configs/tables` beside whose
    numbers ours are shown; models and collections have the names of its rows and columns then.
    """
    check_installed()
    _check_encoding(how.encoding)
    results: dict[str, dict[str, list[Mapping[str, float]]]] = {}
    table = load_table(table_file) if table_file else None
    if table is not None:
        names = [one.name for one in collections]
        fill_map_table(table, {model.name: dict.fromkeys(names, ()) for model in models})  # has it rows of these names?
    for (model, collection), target in _targets(models, collections, output_dir).items():
        with unless_complete():
            evaluate(model, collection, target, how, overwrite)
        found = read_results(target / RESULTS_FILE)
        results.setdefault(model.name, {}).setdefault(collection.name, []).append(found)
    shown = to_markdown(table, fill_map_table(table, results)) if table else results_table(results)
    write_file(output_dir / "table.md", shown)
    return shown


def _check_encoding(name: str) -> None:
    try:
        codecs.lookup(name)
    except LookupError:
        raise UsageError(f"--encoding: expected the name of an encoding like latin-1, found {name!r}") from None


def _targets(
    models: Sequence[Named], collections: Sequence[Named], output_dir: Path
) -> dict[tuple[Named, Named], Path]:
    """The folder of each model on each collection. Raises `UsageError` where two would have the same."""
    of_name = Counter(model.name for model in models)
    met: Counter[str] = Counter()
    targets: dict[tuple[Named, Named], Path] = {}
    for model in models:
        met[model.name] += 1
        name = f"{model.name}-{met[model.name]}" if of_name[model.name] > 1 else model.name
        for collection in collections:
            target = output_dir / _folder_name(name) / _folder_name(collection.name)
            if (model, collection) in targets or target in targets.values():
                raise UsageError(
                    f"{target}: would hold two evaluations; give each model and collection a name of its own"
                )
            targets[model, collection] = target
    return targets


def evaluate(model: Named, collection: Named, target: Path, how: How, overwrite: bool = False) -> None:
    """One model on one collection; raises `AlreadyComplete` where `target` has it, and `UsageError` where that has
    another evaluation."""
    inputs = [how.folds_file] if how.folds_file else []
    of = {"model": identity_of(model.place), "collection": identity_of(collection.place)}
    options = {**of, **{key: value for key, value in asdict(how).items() if key not in ("fine_tuning", "folds_file")}}
    options = json.loads(json.dumps(options | asdict(how.fine_tuning)))  # lists and no tuples, as manifests have them
    writes = NewFolder(target, ("fold-*", "*.run", RESULTS_FILE), made_by=_STEP)
    if writes.exists() and not overwrite:
        check_same(target, target, _STEP, inputs, options)
    with open_step(_STEP, inputs, writes, options, overwrite) as step:
        found = open_collection(collection.place, step, how.query_fields, how.encoding)
        ranking_model, tokenizer = load_ranker(model.place, how.fine_tuning.seed)
        positions = ranking_model.config.max_position_embeddings
        if (how.max_length or 0) > positions:
            raise UsageError(f"--max_length: expected at most the {positions} positions of {model.place}")
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        ranker = Ranker(ranking_model.to(device), tokenizer, how.max_length or positions)
        work = _fine_tune_folds if how.fine_tuning.epochs else _rank_all
        content = work(ranker, found, step.target, _folder_name(model.name), how)
        precisions = content["average_precision"]
        mean = mean_average_precision(precisions)
        about = {"model": model.name, "collection": collection.name, "map": mean}
        (step.target / RESULTS_FILE).write_text(to_json(about | content), encoding="utf-8")
        step.notes.append(f"{model.name} on {collection.name}: MAP {mean:.4f} of {len(precisions):,} queries")


def _rank_all(ranker: Ranker, collection: Collection, folder: Path, tag: str, _: How) -> dict[str, Any]:
    """The model as it is, on all queries."""
    run = ranker.rank(collection, list(collection.queries))
    write_run(folder / "all.run", run, tag)
    return {"average_precision": average_precision(collection.judgements, run), "folds": []}


def _fine_tune_folds(ranker: Ranker, collection: Collection, folder: Path, tag: str, how: How) -> dict[str, Any]:
    dealt = folds(collection, how.folds_file)
    precisions: dict[str, float] = {}
    facts = []
    with progress("fine-tuning", len(dealt) * how.fine_tuning.epochs, unit="epoch") as bar:
        for number in range(len(dealt)):
            runs = folder / f"fold-{number + 1}"
            runs.mkdir()

            def keep(part: str, epoch: int, run: Run, runs: Path = runs) -> None:
                write_run(runs / f"{part}-epoch-{epoch}.run", run, tag)

            result = fine_tune(ranker, collection, split(dealt, number), how.fine_tuning, keep, bar.update)
            precisions |= result.average_precision
            test_map = mean_average_precision(result.average_precision)
            trained = {"trained_queries": result.trained_queries, "epoch": result.epoch}
            facts.append({**trained, "dev_map": result.dev_map, "test_map": test_map})
    return {"average_precision": precisions, "folds": facts}


def _folder_name(name: str) -> str:
    """`name` as that of a folder, and as a word of a run file."""
    return "".join(letter if letter.isalnum() or letter in "-_.+" else "-" for letter in name).strip(".") or "model"
