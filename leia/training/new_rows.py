"""What a model has for new tokens when it meets them first, from what it has for old ones, and how well that serves.

- `pieces`: the mean of the tokens that each takes the place of;
- `names`: where it is the text of mentions, the mean of the tokens of the English name of what is mentioned; else
  `pieces`;
- `mean`: the mean of all tokens, as for the two tags.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from leia.base.cli import progress
from leia.data.alignment import Aligner, token_bytes
from leia.data.names import PivotTitles
from leia.data.vocabulary import NewTokens
from leia.training.losses import TokenLosses

STARTS = ("pieces", "names", "mean")

_WINDOW = 2048
"""Tokens that a model reads at once, where it has as many positions."""


def names_of_mentions(articles: Iterable[Mapping[str, Any]], titles: PivotTitles) -> dict[str, str]:
    """For each text of a mention (link) in preprocessed `articles` the most frequent name of what it leads to."""
    names: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for article in articles:
        for anchor in article["anchors"]:
            name, _ = titles.name_of(anchor["wikidata_id"])
            if name is not None:
                names[article["text"][anchor["start"] : anchor["end"]]][name] += 1
    return {text: counts.most_common(1)[0][0] for text, counts in names.items()}


def names_of_tokens(
    new: NewTokens, longer: PreTrainedTokenizerBase, first: int, of_mentions: Mapping[str, str]
) -> dict[int, str]:
    """The names of those new tokens that are the text of mentions, by their ids in the `longer` tokenizer, from
    `first` on."""
    texts = [text.decode(errors="replace").strip() for text in token_bytes(longer)[first : first + len(new.tokens)]]
    return {first + k: of_mentions[text] for k, text in enumerate(texts) if text in of_mentions}


def sources(
    start: str, new: NewTokens, first: int, names: Mapping[int, str], tokenizer: PreTrainedTokenizerBase
) -> dict[int, Sequence[int] | None]:
    """The old ids whose mean each new id starts from, None for all; `tokenizer` is the old one."""
    pieces: dict[int, Sequence[int] | None] = {first + k: token.pieces for k, token in enumerate(new.tokens)}
    if start == "mean":
        return dict.fromkeys(pieces)
    if start == "names":
        ids = Aligner(tokenizer).tokenize_names(list(names.values()))
        pieces |= {index: own for index, own in zip(names, ids, strict=True) if own}
    return pieces


class TextLoss(NamedTuple):
    """`per_token` and `per_character` in nats; `tokens` and `characters` of the texts."""

    per_token: float
    per_character: float
    tokens: int
    characters: int


def text_loss(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], description: str
) -> TextLoss:
    """The loss of `model` on `texts`: each token is foreseen from those before it in its window, and the sum is shared
    out among all tokens, or among all characters, which are the same for every tokenizer."""
    window = min(_WINDOW, getattr(model.config.get_text_config(), "max_position_embeddings", None) or _WINDOW)
    losses_of = TokenLosses(model)
    total, foreseen, tokens = 0.0, 0, 0
    with torch.no_grad(), progress(description, total=len(texts), unit=" articles") as bar:
        for text in texts:
            ids = tokenizer(text)["input_ids"]
            tokens += len(tokenizer(text, add_special_tokens=False)["input_ids"])
            for start in range(0, max(1, len(ids) - 1), window - 1):  # the last token of a window begins the next one
                some = torch.tensor([ids[start : start + window]], device=model.device)
                if some.shape[1] > 1:
                    total += float(losses_of(model, some, some)[0])
                    foreseen += some.shape[1] - 1
            bar.update()
    characters = sum(map(len, texts))
    return TextLoss(total / max(1, foreseen), total / max(1, characters), tokens, characters)
