"""The final model: made from the last checkpoint of a run, put into OUTPUT_DIR beside it, with its model card."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, TrainingArguments

from leia.base.step import versions
from leia.base.text import markdown_table, to_json
from leia.data.specification import deviating_parts, neutral_tokenizer
from leia.data.tokenizers import load_tokenizer
from leia.training import checkpoints
from leia.training.arguments import Experiment
from leia.training.model import add_tags, load_model

MODEL_FILES = (
    "config.json",
    "generation_config.json",
    "model*.safetensors*",
    "tokenizer*",
    "special_tokens_map.json",
    "vocab*",
    "merges.txt",
    "*.model",
    "*.jinja",
    "*.py",  # of a model that comes with its code
    "trainer_state.json",
    checkpoints.RUN_FILE,
)
"""What of a checkpoint makes the final model; adapters have their weights and config merged instead."""


def finish(
    output_dir: Path, checkpoint: Path, experiment: Experiment, manifest: dict[str, Any] | None, card: str
) -> None:
    """Make the final model from its last checkpoint, with the manifest of its dataset and its card."""
    folder = checkpoints.partial_folder(output_dir) / "model"
    folder.mkdir(parents=True)
    for file in {file for pattern in MODEL_FILES for file in checkpoint.glob(pattern)}:
        try:
            os.link(file, folder / file.name)  # a second name: these files are never changed
        except OSError:  # a file system without links
            shutil.copyfile(file, folder / file.name)
    if experiment.lora_rank:
        from peft import PeftModel

        tokenizer = load_tokenizer(experiment.model_name_or_path, experiment.trust_remote_code)
        model = load_model(experiment.model_name_or_path, None, torch.float32, experiment.trust_remote_code)
        add_tags(model, tokenizer)
        PeftModel.from_pretrained(model, str(checkpoint)).merge_and_unload().save_pretrained(folder)
    if manifest is not None:
        (folder / "dataset_manifest.json").write_text(to_json(manifest, indent=1), encoding="utf-8")
    card += tokenizer_note(folder, experiment.trust_remote_code)
    (folder / "README.md").write_text(card, encoding="utf-8")
    checkpoints.publish_model(output_dir, folder)
    print(f"{output_dir}: the model, its tokenizer and README.md, which says how it was made")


def tokenizer_note(folder: Path, trust_remote_code: bool) -> str:
    """What the card says where plain transformers does not load the tokenizer in `folder` as its file says; else
    nothing."""
    plain = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    neutral = neutral_tokenizer(str(folder), plain)
    parts = deviating_parts(plain, neutral) if neutral else ""
    if not parts:
        return ""
    return f"""
## Tokenizer

Load it with `PreTrainedTokenizerFast.from_pretrained`, which takes `tokenizer.json` as it is: the model was trained \
with those token ids. `AutoTokenizer` of transformers makes {type(plain).__name__} of it, with that class's own {parts}.
"""


def model_card(
    experiment: Experiment, args: TrainingArguments, run: dict[str, Any], manifest: dict[str, Any] | None, command: str
) -> str:
    """Markdown with the metadata that the model hub reads; every setting that differs from transformers' default."""
    settings = {**dataclasses.asdict(experiment), **run, **_changed(args), "num_processes": args.world_size}
    del settings["try_steps"]
    rows = [(name, json.dumps(value, ensure_ascii=False, default=str)) for name, value in settings.items()]
    tally = to_json(manifest["tally"]) if manifest else "The dataset has no manifest.\n"
    return f"""\
---
base_model: {json.dumps(experiment.model_name_or_path, ensure_ascii=False)}
library_name: transformers
tags: [leia]
---

# {args.run_name or "LEIA model"}

{experiment.model_name_or_path}, fine-tuned with LEIA (arXiv 2402.11485): English names of linked entities \
inserted into Wikipedia text.

## Command

```
{command}
```

## Settings

{markdown_table(("setting", "value"), rows)}
## Dataset

```json
{tally}```

## Versions

{", ".join(f"{name} {number}" for name, number in versions().items())}
"""


def _changed(args: TrainingArguments) -> dict[str, Any]:
    """The settings that are not transformers' defaults, but for those of this machine and this try."""
    defaults = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    skipped = {"output_dir", "resume_from_checkpoint", "logging_dir", "run_name", "accelerator_config", "hub_token"}
    changed = {name: value for name, value in args.to_dict().items() if value not in (defaults.get(name), None, [])}
    return {name: value for name, value in changed.items() if name not in skipped}
