"""Aligned sections as training reads them: from folders, however many pieces their files have."""

import random
from itertools import pairwise

import pyarrow as pa
import pytest

from leia.base.datasets import save_dataset
from leia.base.errors import InputError, UsageError
from leia.retrieval.pairs import Aligned, aligned_texts, find_pairs, open_pair, pair_folders

SECTIONS = pa.schema({"id": pa.string(), "text": pa.string()})
ALIGNED = pa.schema(
    {
        **{"source": pa.string(), "target": pa.string()},
        **{"source_negatives": pa.list_(pa.string()), "target_negatives": pa.list_(pa.string())},
    }
)


def write(folder, schema, rows, sizes):
    """Save `rows` in record batches of these sizes, and the rest in one."""
    folder.mkdir(parents=True)
    cuts = [0, *(sum(sizes[: k + 1]) for k in range(len(sizes))), len(rows)]
    pieces = [rows[start:end] for start, end in pairwise(cuts)]
    save_dataset(folder, schema, [pa.RecordBatch.from_pylist(piece, schema=schema) for piece in pieces])


def write_pair(folder, name="a-b", sections=40, sizes=()):
    source, target = name.split("-", 1)
    for language in (source, target):
        rows = [{"id": f"{language}{k}", "text": f"Text {k} of {language}."} for k in range(sections)]
        write(folder / "sections" / language, SECTIONS, rows, sizes)
    rows = [
        {"source": f"{source}{k}", "target": f"{target}{k}", "source_negatives": [f"{target}{k + 1}"]}
        | {"target_negatives": [] if k % 2 else [f"{source}{k + 2}", f"{source}{k + 1}"]}
        for k in range(0, sections - 2, 3)
    ]
    write(folder / "aligned" / name, ALIGNED, rows, sizes)
    return rows


def test_texts_are_found_in_the_order_of_the_sections_in_files_of_many_pieces(tmp_path):
    rng = random.Random(3)
    for number in range(20):
        sizes = [rng.choice((0, 1, 2, 7)) for _ in range(rng.randrange(5))]
        rows = write_pair(tmp_path / str(number), sizes=sizes)
        pair = open_pair(tmp_path / str(number), "a-b")
        assert [
            {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}
            for fields in ({name: getattr(row, name) for name in ALIGNED.names} for row in pair.rows)
        ] == rows
        wanted = rng.sample(range(40), rng.randrange(1, 41))
        found = pair.target_texts({f"b{k}" for k in wanted})
        assert list(found.items()) == [(f"b{k}", f"Text {k} of b.") for k in sorted(wanted)] and len(found) == len(
            wanted
        )


def test_many_thousand_sections_in_small_pieces(tmp_path):
    """Arrow may give its answers in other pieces than those of the question."""
    write_pair(tmp_path, sections=30_000, sizes=[600] * 49)
    pair = open_pair(tmp_path, "a-b")
    assert pair.rows[9_000] == Aligned("a27000", "b27000", ("b27001",), ("a27002", "a27001"))
    found = pair.source_texts({f"a{k}" for k in range(0, 30_000, 7)})
    assert all(found[f"a{k}"] == f"Text {k} of a." for k in range(0, 30_000, 7))
    assert sum(1 for _ in aligned_texts(pair)) == 2 * len(pair.rows)


def test_a_language_code_may_hold_hyphens(tmp_path):
    write_pair(tmp_path, name="en-zh-min-nan")
    assert [folder.name for folder in pair_folders(tmp_path, "en-zh-min-nan")] == ["en-zh-min-nan", "en", "zh-min-nan"]
    assert open_pair(tmp_path, "en-zh-min-nan").target_language == "zh-min-nan"


def test_all_pairs_are_taken_where_none_is_named(tmp_path):
    for name in ("c-d", "a-b"):
        write_pair(tmp_path, name=name)
    (tmp_path / "aligned/.c-d.partial").mkdir()
    assert find_pairs(tmp_path) == ["a-b", "c-d"] and find_pairs(tmp_path, ("c-d", "c-d")) == ["c-d"]
    with pytest.raises(UsageError, match=r"--pairs: expected some of a-b, c-d in .*, found a-d"):
        find_pairs(tmp_path, ["a-d"])


def test_a_section_that_is_missing_is_named(tmp_path):
    write_pair(tmp_path / "whole")
    write_pair(tmp_path / "few", sections=20)
    (tmp_path / "few/aligned/a-b").rename(tmp_path / "few/aligned/other")
    (tmp_path / "whole/aligned/a-b").rename(tmp_path / "few/aligned/a-b")
    with pytest.raises(
        InputError, match=r"sections/a: expected the section a2\d, which is in a pair, found none \("
    ) as error:
        open_pair(tmp_path / "few", "a-b")
    assert str(error.value).endswith("make pairs and sections again")


@pytest.mark.parametrize("column", ["text", "source_negatives"])
def test_a_dataset_of_other_columns_is_one_line(tmp_path, column):
    write_pair(tmp_path)
    folder = tmp_path / ("sections/b" if column == "text" else "aligned/a-b")
    schema = SECTIONS if column == "text" else ALIGNED
    other = pa.schema([field for field in schema if field.name != column])
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    write(folder, other, [{field.name: None for field in other}], ())
    with pytest.raises(InputError, match=f"lacks the columns {column}"):
        open_pair(tmp_path, "a-b")


def test_a_pair_without_aligned_sections_is_one_line(tmp_path):
    write_pair(tmp_path)
    for file in (tmp_path / "aligned/a-b").iterdir():
        file.unlink()
    (tmp_path / "aligned/a-b").rmdir()
    write(tmp_path / "aligned/a-b", ALIGNED, [], ())
    with pytest.raises(InputError, match="holds no pair of sections"):
        open_pair(tmp_path, "a-b")
