"""The final model: made from the last checkpoint of a run, put into OUTPUT_DIR beside it, with its model card."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedConfig, PreTrainedModel, TrainingArguments

from leia.base.step import versions
from leia.base.text import markdown_table, to_json
from leia.data.name_tags import TagPair
from leia.data.specification import deviating_parts, neutral_tokenizer
from leia.data.tokenizers import load_tokenizer
from leia.training import checkpoints
from leia.training.experiment import Experiment
from leia.training.interchange import write_older_names
from leia.training.model import add_tags, load_model
from leia.training.sources import Source, tag_pairs_of
from leia.training.weights import convert, stored_dtype, take_over, take_over_weights, wanted_dtype

MODEL_FILES = (
    "config.json",
    "generation_config.json",
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
"""What of a checkpoint makes the final model, beside the weights; adapters have theirs and their config merged."""


def finish(
    output_dir: Path, checkpoint: Path, experiment: Experiment, manifest: dict[str, Any] | None, card: str
) -> None:
    """Make the final model from its last checkpoint, with the manifest of its dataset and its card.

    Raises `InputError` where the weights do not fit into `save_dtype`."""
    folder = checkpoints.partial_folder(output_dir) / "model"
    folder.mkdir(parents=True)
    for file in {file for pattern in MODEL_FILES for file in checkpoint.glob(pattern)}:
        take_over(file, folder / file.name)
    base, trusted = experiment.model_name_or_path, experiment.trust_remote_code
    given, _ = PreTrainedConfig.get_config_dict(base, trust_remote_code=trusted)
    stored = stored_dtype(base)
    dtype = wanted_dtype(experiment.save_dtype, given, stored)
    if experiment.lora_rank:
        tags = tag_pairs_of(experiment.listed_sources())
        merged(checkpoint, base, trusted, dtype or torch.float32, stored, tags).save_pretrained(folder)
    else:
        take_over_weights(checkpoint, folder, dtype)
    write_older_names(folder, given, dtype)
    if manifest is not None:
        (folder / "dataset_manifest.json").write_text(to_json(manifest, indent=1), encoding="utf-8")
    card += tokenizer_note(folder, experiment.trust_remote_code)
    (folder / "README.md").write_text(card, encoding="utf-8")
    checkpoints.publish_model(output_dir, folder)
    print(f"{output_dir}: the model, its tokenizer and README.md, which says how it was made")


def merged(
    checkpoint: Path,
    base: str,
    trust_remote_code: bool,
    dtype: torch.dtype,
    stored: torch.dtype | None,
    tags: Sequence[TagPair] | None = None,
) -> PreTrainedModel:
    """The model `base` with the adapters of `checkpoint` in its weights, in `dtype`. It is loaded as its weights are
    `stored`, or wider where `dtype` asks; layer by layer it is merged in 32 bits."""
    from peft import PeftModel
    from peft.tuners.tuners_utils import BaseTunerLayer

    wide = stored is None or dtype == torch.float32
    model = load_model(base, "auto", torch.float32 if wide else stored, trust_remote_code)
    add_tags(model, load_tokenizer(base, trust_remote_code, tags))
    # The checkpoint has the whole embeddings beside the adapters, in the precision that the run computed with.
    layers = (model.get_input_embeddings(), model.get_output_embeddings())
    own = [(layer.weight, layer.weight.data.clone()) for layer in layers if layer is not None]
    adapted = PeftModel.from_pretrained(model, str(checkpoint))
    for weight, numbers in own:
        weight.data.copy_(numbers)
    for name, layer in adapted.named_modules():
        if isinstance(layer, BaseTunerLayer):
            own_name = getattr(layer, "parameter_name", "weight")  # experts have others
            weight = getattr(layer.get_base_layer(), own_name)
            weight.data = weight.data.float()
            layer.merge()
            weight.data = convert(name, weight.data, dtype)
    model = adapted.unload()
    for name, tensor in model.state_dict(keep_vars=True).items():
        tensor.data = convert(name, tensor.data, dtype)
    return model


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
    if experiment.sources:  # each has its own of these
        for name in ("sources", *(field.name for field in dataclasses.fields(Source))):
            del settings[name]
        for one in experiment.listed_sources():
            settings[f"source {one.name}"] = {"folder": one.wikipedia_dataset_dir, **run["sources"][one.name]}
    rows = [(name, json.dumps(value, ensure_ascii=False, default=str)) for name, value in settings.items()]
    tally = to_json(_tallies(manifest)) if manifest else "The dataset has no manifest.\n"
    return f"""\
---
base_model: {json.dumps(experiment.model_name_or_path, ensure_ascii=False)}
library_name: transformers
tags: [leia]
---

# {args.run_name or "LEIA model"}

{experiment.model_name_or_path}, fine-tuned with LEIA (arXiv 2402.11485): text with names of \
linked entities in another language.

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


def _tallies(manifest: dict[str, Any] | None) -> Any:
    """The tallies of a dataset, or of each source by name."""
    if manifest is not None and "sources" in manifest:
        return {name: _tallies(one) for name, one in manifest["sources"].items()}
    return manifest and manifest["tally"]


def _changed(args: TrainingArguments) -> dict[str, Any]:
    """The settings that are not transformers' defaults, but for those of this machine and this try."""
    defaults = {field.name: field.default for field in dataclasses.fields(TrainingArguments)}
    skipped = {"output_dir", "resume_from_checkpoint", "logging_dir", "run_name", "accelerator_config", "hub_token"}
    changed = {name: value for name, value in args.to_dict().items() if value not in (defaults.get(name), None, [])}
    return {name: value for name, value in changed.items() if name not in skipped}
