"""What new tokens change, before any training: how long texts are in tokens, which links begin and end on tokens, and
how well the model foresees texts by each way to start. All of articles that were held out from the learning."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from leia.base.text import markdown_table
from leia.data.alignment import NO_TOKEN, Aligner
from leia.data.vocabulary import NewTokens
from leia.training.new_rows import TextLoss

if TYPE_CHECKING:
    from datasets import Dataset


def links_on_boundaries(tokenizer: PreTrainedTokenizerBase, articles: "Dataset") -> int:
    """How many links begin and end where tokens do: beside the others no training can put a name."""
    aligner, found = Aligner(tokenizer), 0
    for article in articles:
        (ids,) = aligner.tokenize([article["text"]])
        ends = np.array([[anchor["start"], anchor["end"]] for anchor in article["anchors"]], dtype=np.int64)
        places = aligner.find_tokens(article["text"], ids, ends.ravel()).reshape(-1, 2)
        found += int((places != NO_TOKEN).all(axis=1).sum())
    return found


def make_report(
    new: NewTokens,
    first: int,
    tokenizer: PreTrainedTokenizerBase,
    names: Mapping[int, str],
    losses: Mapping[str, TextLoss],
    links: Mapping[str, int],
) -> dict[str, Any]:
    """`losses`: before, and by each way to start; `first`: the id of the first new token; `tokenizer`: the old one."""
    before, after = losses["before"], losses["pieces"]
    return {
        "held_out_characters": before.characters,
        "tokens": {"before": before.tokens, "after": after.tokens},
        "tokens_per_character": {
            "before": before.tokens / max(1, before.characters),
            "after": after.tokens / max(1, after.characters),
        },
        "links_on_token_boundaries": dict(links),
        "losses": {
            name: {"per_token": loss.per_token, "per_character": loss.per_character} for name, loss in losses.items()
        },
        "named": len(names),
        "new_tokens": [
            {
                "id": first + k,
                "token": token.text,
                "pieces": tokenizer.convert_ids_to_tokens(list(token.pieces)),
                "saved": token.saved,
                "name": names.get(first + k),
            }
            for k, token in enumerate(new.tokens)
        ],
    }


def show_report(report: Mapping[str, Any]) -> list[str]:
    """The report as lines for a terminal."""
    tokens, links, per_character = report["tokens"], report["links_on_token_boundaries"], report["tokens_per_character"]
    fewer = 1 - tokens["after"] / max(1, tokens["before"])
    rows = [
        (
            name if name == "before" else f"new tokens, start by {name}",
            f"{per_character['before' if name == 'before' else 'after']:.3f}",
            f"{loss['per_token']:.3f}",
            f"{loss['per_character']:.3f}",
        )
        for name, loss in report["losses"].items()
    ]
    head = ("model before training", "tokens a character", "loss a token", "loss a character")
    return [
        f"articles held out ({report['held_out_characters']:,} characters): {tokens['before']:,} tokens before, "
        f"{tokens['after']:,} after, {fewer:.1%} fewer",
        f"their links on token boundaries: {links['before']:,} before, {links['after']:,} after",
        *([f"new tokens that are mentions with a name: {report['named']:,}"] if "names" in report["losses"] else []),
        *markdown_table(head, rows, numbers=True).splitlines(),
    ]
