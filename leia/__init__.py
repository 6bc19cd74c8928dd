"""LEIA: cross-lingual adaptation of language models by English names beside Wikipedia links (arXiv 2402.11485).

For notebooks (docs/tour.ipynb shows each of them):

    open_articles, open_training_dataset    the dataset folders that the steps made
    load_tokenizer                          of a model on the hub or in a folder
    encode_articles, Counts                 articles to a training dataset, in memory; what was kept and dropped
    augment, Link                           a text and links of your own, with names inserted
    preview                                 the first blocks that training would read
    LeiaConstantLengthDataset, LeiaDataCollator, insert_entity_names, add_entity_name_tags
                                            the parts of the method, for a training loop of your own

The rooms, in the order in which an article walks through them: `corpus` (dumps to articles), `data` (articles to
training blocks), `training` (blocks to a model), `evaluation` and `tasks` (a model to scores), `tables` and `reports`.
All stand on `base`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leia.base.datasets import open_articles, open_training_dataset
    from leia.base.step import Counts
    from leia.data.collator import LeiaDataCollator
    from leia.data.encoding import Link, encode_articles
    from leia.data.insertion import insert_entity_names
    from leia.data.name_tags import add_entity_name_tags
    from leia.data.packing import LeiaConstantLengthDataset
    from leia.data.tokenizers import load_tokenizer
    from leia.reports.preview import augment, preview

__all__ = [
    "Counts",
    "LeiaConstantLengthDataset",
    "LeiaDataCollator",
    "Link",
    "add_entity_name_tags",
    "augment",
    "encode_articles",
    "insert_entity_names",
    "load_tokenizer",
    "open_articles",
    "open_training_dataset",
    "preview",
]

_HOMES = {
    "leia.base.datasets": ("open_articles", "open_training_dataset"),
    "leia.base.step": ("Counts",),
    "leia.data.collator": ("LeiaDataCollator",),
    "leia.data.encoding": ("Link", "encode_articles"),
    "leia.data.insertion": ("insert_entity_names",),
    "leia.data.packing": ("LeiaConstantLengthDataset",),
    "leia.data.name_tags": ("add_entity_name_tags",),
    "leia.data.tokenizers": ("load_tokenizer",),
    "leia.reports.preview": ("augment", "preview"),
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for, so that a step which needs no torch does not load it."""
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"leia has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
