"""Counts of a corpus: what a training dataset holds, and how many of the articles' links give a name.

Both read the Arrow memory of the dataset as it lies on disk; no row becomes a Python object.
"""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from leia.base.errors import DropReason
from leia.base.step import Tally
from leia.base.text import one_line
from leia.data.article_encoder import entity_keys
from leia.data.encoding import names_of_anchors
from leia.data.names import PivotTitles, name_or_reason, names_of_titles

if TYPE_CHECKING:
    from datasets import Dataset

TOP_NAMES = 30


def dataset_statistics(dataset: "Dataset", manifest: Mapping[str, Any] | None) -> dict[str, Any]:
    """Counts of a training dataset; `anchors` is what its build kept and dropped, None without a manifest."""
    table = dataset.data.table
    lengths = _list_lengths(table["input_ids"])
    entities = _list_lengths(table["entity_start_positions"])
    name_lengths = _list_lengths(_names(dataset))
    articles, tokens = len(lengths), int(lengths.sum())
    counts = {"tokens": tokens, "entities": int(entities.sum()), "name_tokens": int(name_lengths.sum())}
    return {
        "articles": articles,
        **counts,
        "per_article": {unit: count / articles if articles else 0.0 for unit, count in counts.items()},
        "names_per_1000_tokens": 1000 * counts["entities"] / tokens if tokens else 0.0,
        "article_length": _distribution(lengths),
        "entities_of_article": _distribution(entities),
        "anchors": _tally_of(manifest, "anchors"),
    }


def link_statistics(preprocessed: "Dataset", manifest: Mapping[str, Any] | None, titles: PivotTitles) -> dict[str, Any]:
    """How many links give a name, and why the others do not, by the rule of the build: the titles' names, and those
    that anchors themselves have.

    `links` is what the preprocessing kept and dropped, None without a manifest; `anchors` are those that it kept. The
    build drops some more of them: those that do not lie on token boundaries.
    """
    table = preprocessed.data.table
    keys = pc.value_counts(pa.chunked_array([entity_keys(chunk.flatten()) for chunk in table["anchors"].chunks]))
    by_key = {**names_of_titles(titles), **names_of_anchors(preprocessed)}
    anchors, names = Tally("anchors"), Counter()
    for key, count in zip(keys.field("values").to_pylist(), keys.field("counts").to_pylist(), strict=True):
        name = name_or_reason(by_key, key)
        if isinstance(name, DropReason):
            anchors.drop(name, count)
        else:
            anchors.kept += count
            names[name] += count
    top = sorted(names.items(), key=lambda item: (-item[1], item[0]))
    languages = pc.unique(table["language"]).to_pylist()
    return {
        "language": ",".join(sorted(filter(None, languages))),
        "articles": table.num_rows,
        "links": _tally_of(manifest, "links"),
        "anchors": anchors.as_dict(),
        "distinct_names": len(names),
        "top_names": [[name, count] for name, count in top[:TOP_NAMES]],
    }


def most_inserted_names(dataset: "Dataset") -> list[tuple[list[int], int]]:
    """Token ids and number of entities of the most frequent names of a training dataset."""
    keys, id_type = [], np.int32
    for lists in _names(dataset).chunks:
        # The bytes of a list's numbers as one binary value, so that Arrow can count them; nothing is copied.
        ids = np.ascontiguousarray(lists.flatten().to_numpy())
        id_type = ids.dtype
        bounds = np.cumsum([0, *pc.list_value_length(lists).to_numpy()], dtype=np.int64) * ids.itemsize
        buffers = [None, pa.py_buffer(bounds), pa.py_buffer(ids)]
        keys.append(pa.Array.from_buffers(pa.large_binary(), len(lists), buffers))
    counted = pc.value_counts(pa.chunked_array(keys, pa.large_binary()))
    counts = counted.field("counts").to_numpy()
    top = np.lexsort((np.arange(len(counts)), -counts))[:TOP_NAMES]
    values = counted.field("values").take(pa.array(top)).to_pylist()
    return [(np.frombuffer(key, id_type).tolist(), int(counts[k])) for key, k in zip(values, top, strict=True)]


def _names(dataset: "Dataset") -> pa.ChunkedArray:
    """The token ids of each entity's name; of names in several languages those that there are."""
    column = dataset.data.table["alternative_entity_input_ids"]
    if pa.types.is_null(column.type.value_type):  # not one article has an entity
        column = column.cast(pa.list_(pa.list_(pa.int32())))
    names = [chunk.flatten() for chunk in column.chunks]
    if pa.types.is_list(column.type.value_type.value_type):
        names = [one.flatten() for one in names]
        names = [one.filter(pc.greater(pc.list_value_length(one), 0)) for one in names]
        return pa.chunked_array(names, column.type.value_type.value_type)
    return pa.chunked_array(names, column.type.value_type)


def _list_lengths(lists: pa.ChunkedArray) -> np.ndarray:
    return pc.list_value_length(lists).to_numpy().astype(np.int64)


def _distribution(values: np.ndarray) -> dict[str, Any]:
    """Mean, least, quantiles, greatest, and `histogram`: `[least, greatest, count]` of each doubling of the value."""
    if not len(values):
        return {}
    # frexp gives v = m * 2^e with 0.5 <= m < 1: values from 2^(e-1) to 2^e - 1 share e, and 0 has e = 0.
    exponents, counts = np.unique(np.frexp(values)[1], return_counts=True)
    bins = zip(exponents.tolist(), counts.tolist(), strict=True)
    return {
        "mean": float(values.mean()),
        "min": int(values.min()),
        **{"median" if p == 50 else f"p{p}": float(np.percentile(values, p)) for p in (1, 10, 25, 50, 75, 90, 99)},
        "max": int(values.max()),
        "histogram": [[1 << (e - 1) if e else 0, (1 << e) - 1, count] for e, count in bins],
    }


def _tally_of(manifest: Mapping[str, Any] | None, unit: str) -> dict[str, Any] | None:
    return ((manifest or {}).get("tally") or {}).get(unit)


def describe_dataset(statistics: Mapping[str, Any]) -> str:
    """The statistics of a dataset as lines of text."""
    per_article = statistics["per_article"]
    lines = [f"{'articles':<22}{statistics['articles']:>15,}"]
    for unit in ("tokens", "entities", "name_tokens"):
        label = unit.replace("_", " ")
        lines.append(f"{label:<22}{statistics[unit]:>15,}  {per_article[unit]:>12,.1f} per article")
    lines.append(f"{'names per 1,000 tokens':<22}{statistics['names_per_1000_tokens']:>15.1f}")
    for key in ("article_length", "entities_of_article"):
        shown = {name: value for name, value in statistics[key].items() if name not in ("mean", "histogram")}
        lines.append(f"{key.replace('_', ' ')}: {', '.join(f'{name} {value:,.0f}' for name, value in shown.items())}")
    return "\n".join([*lines, *_describe_names(statistics)])


def describe_links(statistics: Mapping[str, Any]) -> str:
    """The funnel from links to names as lines of text; shares are of all links."""
    links, anchors = statistics["links"], statistics["anchors"]
    total = (links or anchors)["read"]
    lines = []
    for unit, tally in (("links", links), ("anchors (links to articles)", anchors)):
        if tally is not None:
            lines.append(_share(unit, tally["read"], total))
            lines += [_share(f"  dropped: {reason}", count, total) for reason, count in tally["dropped"].items()]
    lines.append(_share("names (before token boundaries)", anchors["kept"], total))
    lines.append(f"{statistics['distinct_names']:,} distinct names")
    if links is None:
        lines.append("links that were dropped before are not known: no manifest.json counts them")
    return "\n".join([*lines, *_describe_names(statistics)])


def _share(label: str, count: int, total: int) -> str:
    return f"{label:<45}{count:>12,}{100 * count / total if total else 0:>7.1f}%"


def _describe_names(statistics: Mapping[str, Any]) -> list[str]:
    names = [f"{one_line(name)} ({count:,})" for name, count in statistics.get("top_names", [])[:10]]
    return ["most frequent names: " + ", ".join(names)] if names else []
