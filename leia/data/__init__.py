"""From articles to training blocks: encoding, insertion of names, packing into blocks, labels, previews.

The three names below are handed on when they are asked for, so that a step which needs no torch does not load it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leia.data.collator import LeiaDataCollator
    from leia.data.insertion import insert_entity_names
    from leia.data.packing import LeiaConstantLengthDataset

__all__ = ["LeiaConstantLengthDataset", "LeiaDataCollator", "insert_entity_names"]

_HOMES = {
    "LeiaConstantLengthDataset": "leia.data.packing",
    "LeiaDataCollator": "leia.data.collator",
    "insert_entity_names": "leia.data.insertion",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
