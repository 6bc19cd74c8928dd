"""Texts of any kind, one after the other: from JSON lines, Parquet files, or a dataset of the Hugging Face hub.

A dataset of the hub is streamed: nothing of it is stored, and reading may stop early.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
from tqdm import tqdm

from leia.base.cli import InputPath, progress, setting
from leia.base.errors import DropReason, InputError, UsageError
from leia.base.step import Step
from leia.base.text import one_line
from leia.corpus.text_files import Row, present, read_file

_USUAL_COLUMNS = ("title", "spans")  # which need not be there
_FILES, _HUB, _COLUMNS = "Texts from files", "Texts from the hub", "Which texts"


@dataclass(frozen=True)
class TextSource:
    """Where texts are read from. Raises `UsageError` unless that is files or a dataset."""

    text_files: tuple[str, ...] = setting(
        *(_FILES, "JSON lines (also .gz, .zst) or Parquet; repeatable.", ()),
        **{"type": InputPath(dir_okay=False), "multiple": True},
    )
    text_dataset: str | None = setting(_HUB, "owner/name of a dataset, or a folder of one; streamed.", None, type=str)
    text_config: str | None = setting(_HUB, "Its configuration, where it has several.", None, type=str)
    text_split: str = setting(_HUB, "Its split.", "train")
    text_revision: str | None = setting(
        _HUB, "Its commit, tag or branch.", None, type=str, show_default="the newest, written to the manifest"
    )
    text_column: str = setting(_COLUMNS, "Column of the text.", "text")
    title_column: str = setting(_COLUMNS, "Column of the title; it may be missing.", "title")
    max_articles: int | None = setting(
        _COLUMNS, "Stop after this many texts.", None, type=click.IntRange(1), show_default="all"
    )

    def __post_init__(self) -> None:
        if bool(self.text_files) == bool(self.text_dataset):
            raise UsageError("expected --text_files or --text_dataset, found both or none; name one of them")

    @property
    def inputs(self) -> list[Path]:
        """What of it lies on disk, as `open_step` takes it."""
        return [*map(Path, self.text_files), *([Path(self.text_dataset)] if self._is_folder else [])]

    @property
    def options(self) -> dict[str, Any]:
        """What else it is, as `open_step` takes it."""
        on_disk = {"text_files", "text_dataset"} if self._is_folder else {"text_files"}  # which are inputs
        return {name: value for name, value in asdict(self).items() if name not in on_disk}

    @property
    def _is_folder(self) -> bool:
        return bool(self.text_dataset) and Path(self.text_dataset).is_dir()

    def rows(self, wanted: Sequence[str], step: Step) -> Iterator[Row]:
        """`(place, {column: value})` of each row, of the columns `wanted` that it has; the first must be there."""
        if self.text_files:
            with progress("texts", total=sum(Path(path).stat().st_size for path in self.text_files)) as bar:
                for path in map(Path, self.text_files):
                    yield from read_file(path, wanted, bar)
        else:
            with progress("texts", total=self.max_articles, unit=" texts") as bar:
                yield from self._read_dataset(wanted, bar, step)

    def _read_dataset(self, wanted: Sequence[str], bar: tqdm, step: Step) -> Iterator[Row]:
        from datasets import load_dataset, load_from_disk  # takes a second
        from huggingface_hub import HfApi

        name, revision = str(self.text_dataset).rstrip("/"), self.text_revision
        try:
            if not self._is_folder:  # of one commit from its first row to its last
                revision = HfApi().dataset_info(name, revision=revision).sha
                step.facts["text_revision"] = revision
            if (Path(name) / "state.json").is_file():  # of `save_to_disk`
                rows = load_from_disk(name)
            elif (Path(name) / "dataset_dict.json").is_file():
                rows = load_from_disk(f"{name}/{self.text_split}")
            else:
                rows = load_dataset(name, self.text_config, split=self.text_split, streaming=True, revision=revision)
            if rows.column_names:
                rows = rows.select_columns(present(rows.column_names, wanted, name))
            for number, row in enumerate(rows, 1):
                bar.update()
                yield f"{name}: row {number}", row
        except InputError:
            raise
        except Exception as error:  # of half a dozen libraries, each with errors of its own
            found = one_line(f"{type(error).__name__}: {error}")
            network = "" if self._is_folder else "the network and "
            advice = f"check {network}--text_dataset, --text_config, --text_split, --text_revision"
            raise InputError(f"{name}: cannot be read as a dataset of the hub ({found}); {advice}") from error


class Text(NamedTuple):
    """`place` says where it was read, for errors: file and line. `spans` are as they were found."""

    place: str
    title: str | None
    text: str
    spans: Any = None


def read_texts(source: TextSource, step: Step, spans_column: str | None = None) -> Iterator[Text]:
    """Yield the texts of `source` that are not empty, `max_articles` at most; `step` counts them as articles.

    Raises `InputError` for a file of another kind or one that breaks off, for a row without a text, and where there is
    no text at all.
    """
    articles, seen = step.count("articles"), set()
    names = [source.text_column, source.title_column, *([spans_column] if spans_column else [])]
    for place, row in source.rows(names, step):
        text, title = row.get(source.text_column), row.get(source.title_column)
        if not isinstance(text, str):
            raise InputError(f"{place}: {source.text_column}: expected a text, found {_shown(text)}; correct it")
        if not isinstance(title, str | None):
            raise InputError(f"{place}: {source.title_column}: expected a title, found {_shown(title)}; correct it")
        if not text.strip():
            articles.drop(DropReason.NO_TEXT)
            continue
        seen.update(name for name, value in row.items() if value is not None)
        articles.kept += 1
        yield Text(place, title or None, text, row.get(spans_column) if spans_column else None)
        if articles.kept == source.max_articles:
            break
    if not articles.kept:
        where = source.text_dataset or ", ".join(source.text_files)
        found = f"{articles.read:,} rows without one" if articles.read else "no row"
        raise InputError(f"{where}: expected texts, found {found}; name other texts")
    for name in {source.title_column, spans_column} - {None, *_USUAL_COLUMNS, *seen}:
        step.notes.append(f"note: no text has anything in the column {name!r}")


def _shown(value: Any) -> str:
    return "null" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
