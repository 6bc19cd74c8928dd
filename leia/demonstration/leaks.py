"""Does a finished training text state what nobody is to read in it?

Looked for in the text that the ids of a training dataset stand for, as a sentence in any wording: in a text for the
base model the facts that are held out, trained or unknown in the invented language, and unknown ones in English; in a
text for LEIA training those held out or unknown in the invented language, and unknown ones in English. A base model
must not know the invented names either.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from leia.demonstration.wikis import state
from leia.demonstration.world import ENGLISH, INVENTED, WORDINGS, World

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

FORBIDDEN = {
    "base": {INVENTED: ("held_out", "trained", "unknown", "bridge"), ENGLISH: ("unknown",)},
    "target": {INVENTED: ("held_out", "unknown"), ENGLISH: ("unknown",)},
}
"""By what a text is for: the language and the statuses of the facts that it must not state."""


@dataclass(frozen=True)
class Leak:
    """A sentence that must not be there: in which article, and the status of what it states."""

    article: str
    sentence: str
    status: str


def find_leaks(world: World, dataset: "Dataset", tokenizer: "PreTrainedTokenizerBase", purpose: str) -> Iterator[Leak]:
    """The leaks in a training dataset for `purpose`, base or target, in its order."""
    forbidden = {
        _plain(state(world, fact, language, wording)): fact.status
        for language, statuses in FORBIDDEN[purpose].items()
        for fact in world.of_status(*statuses)
        for wording in range(WORDINGS)
    }
    names = {_plain(entity.names[INVENTED]) for entity in world.entities} if purpose == "base" else set()
    for batch in dataset.iter(batch_size=1000):
        texts = tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True)
        for title, text in zip(batch["title"], texts, strict=True):
            for sentence in map(_plain, text.split(".")):
                if sentence in forbidden:
                    yield Leak(title, sentence, forbidden[sentence])
                elif not names.isdisjoint(_pairs(sentence)):
                    yield Leak(title, sentence, "name")


def _plain(sentence: str) -> str:
    return re.sub(r"\s+", " ", sentence.removesuffix(".")).strip()


def _pairs(sentence: str) -> set[str]:
    """Each two words of a sentence that follow each other."""
    words = sentence.split()
    return {f"{one} {other}" for one, other in pairwise(words)}
