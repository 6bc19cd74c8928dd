"""From articles to training blocks: encoding, insertion of names, packing into blocks, labels.

Its three public names are imported when they are first asked for, by the function that does this for `leia`.
"""

from typing import TYPE_CHECKING

from leia import __getattr__ as __getattr__

if TYPE_CHECKING:
    from leia.data.collator import LeiaDataCollator
    from leia.data.insertion import insert_entity_names
    from leia.data.packing import LeiaConstantLengthDataset

__all__ = ["LeiaConstantLengthDataset", "LeiaDataCollator", "insert_entity_names"]
