"""Manifests as Markdown: the files that a dataset was made from, and each step with what it kept and dropped."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from leia.base.text import markdown, markdown_table
from leia.reports.lineage import Source, all_manifests, all_sources

_NOT_KNOWN = "Not known: the dataset has no manifest."


def source_table(sources: Sequence[Source]) -> str:
    """Every source with its size and content, and the step that made it."""
    rows = [
        [markdown(one.name), f"{one.bytes:,}", f"`{one.sha256}`", markdown(_made_from(one))]
        for one in all_sources(sources)
    ]
    return markdown_table(["file or folder", "bytes", "SHA-256", "made by, from"], rows) if rows else _NOT_KNOWN


def _made_from(source: Source) -> str:
    if source.manifest is None:
        return ""
    return f"{source.manifest.get('step')}, {', '.join(one.name for one in source.inputs)}"


def steps(manifest: Mapping[str, Any] | None, sources: Sequence[Source]) -> list[str]:
    """The sections of the steps that made the dataset with this `manifest`, in their order."""
    manifests = all_manifests(manifest, sources)
    distinct = {json.dumps(one, sort_keys=True): one for one in manifests}  # all id files of a run share one
    return [section for one in distinct.values() for section in _step(one)] or [_NOT_KNOWN]


def _step(manifest: Mapping[str, Any]) -> list[str]:
    """A step's options, what it kept, what it dropped for which reason, and the versions it ran with."""
    inputs = ", ".join(markdown(one["name"]) for one in manifest.get("inputs", []))
    options = [[f"`{name}`", markdown(_shown(value))] for name, value in manifest.get("options", {}).items()]
    counts, drops = [], []
    for unit, tally in manifest.get("tally", {}).items():
        counts.append([markdown(unit), f"{tally['read']:,}", f"{tally['kept']:,}"])
        drops += [[markdown(f"{unit}: {reason}"), f"{count:,}"] for reason, count in tally["dropped"].items()]
    versions = ", ".join(f"{name} {number}" for name, number in manifest.get("versions", {}).items())
    parts = [f"### {markdown(str(manifest.get('step')))}", f"Reads {inputs}. Versions: {markdown(versions)}."]
    parts += [markdown_table(["option", "value"], options)] if options else []
    parts += [markdown_table(["unit", "read", "kept"], counts, numbers=True)] if counts else []
    parts += [markdown_table(["dropped", "number"], drops, numbers=True)] if drops else []
    return parts


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
