"""The model card: what a saved model was made from, with which settings, by which command."""

import dataclasses
import json
from typing import Any

from transformers import TrainingArguments

from leia.manifest import versions
from leia.training.arguments import Experiment


def model_card(
    experiment: Experiment,
    args: TrainingArguments,
    run: dict[str, Any],
    manifest: dict[str, Any] | None,
    command: str,
) -> str:
    """Markdown with the metadata that the model hub reads; every setting that differs from transformers' default."""
    defaults = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    skipped = {"output_dir", "resume_from_checkpoint", "logging_dir", "run_name", "accelerator_config", "hub_token"}
    changed = {
        name: value
        for name, value in args.to_dict().items()
        if name not in skipped and value not in (defaults.get(name), None, [])
    }
    settings = {**dataclasses.asdict(experiment), **run, **changed, "num_processes": args.world_size}
    tally = json.dumps(manifest["tally"], ensure_ascii=False, indent=2) if manifest else "The dataset has no manifest."
    lines = [
        "---",
        f"base_model: {json.dumps(experiment.model_name_or_path, ensure_ascii=False)}",
        "library_name: transformers",
        "tags: [leia]",
        "---",
        "",
        f"# {args.run_name or 'LEIA model'}",
        "",
        f"{experiment.model_name_or_path}, fine-tuned with LEIA (arXiv 2402.11485): English names of linked entities "
        "inserted into Wikipedia text.",
        "",
        "## Command",
        "",
        "```",
        command,
        "```",
        "",
        "## Settings",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | {json.dumps(value, ensure_ascii=False, default=str)} |" for name, value in settings.items()),
        "",
        "## Dataset",
        "",
        "```json",
        tally,
        "```",
        "",
        "## Versions",
        "",
        ", ".join(f"{name} {number}" for name, number in versions().items()),
        "",
    ]
    return "\n".join(lines)
