"""Blocks to a batch with labels: no loss at padding, none at the tags, and by option none on the inserted names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from leia.data.name_tags import tag_ids, tag_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED_LABEL = -100


class LeiaDataCollator:
    """A batch `input_ids`, `attention_mask`, `labels`, each [batch, length], from `{"input_ids": ids}` of each block.

    `labels` are the ids with -100 where the id is that of padding (of EOS for a tokenizer without padding) or of a
    tag; with `disable_entity_name_token_loss` also at the names: by the mask that a block carries, else between the
    tags (`entity_name_mask`). Shorter sequences are padded on the right to `max_length`, or to the longest.

    Where blocks carry more, a batch has `entity_name_mask` [batch, length], all of whose rows are filled in; `source`
    [batch]; `position_ids` [batch, length], and -100 as the label of each article's first token, which no token of the
    article comes before. Raises `ValueError` when the tokenizer lacks its tags or has neither padding nor EOS, and for
    a sequence over `max_length`.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        max_length: int | None = None,
        disable_entity_name_token_loss: bool = False,
    ) -> None:
        self.max_length = max_length
        self.disable_entity_name_token_loss = disable_entity_name_token_loss
        self.tag_ids = [tag_ids(tokenizer, pair) for pair in tag_pairs(tokenizer)]
        self._opening, self._closing = (sorted({pair[side] for pair in self.tag_ids}) for side in (0, 1))
        self._tags = sorted({*self._opening, *self._closing})
        padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        if padding is None:
            raise ValueError("the tokenizer has neither a padding token nor an end-of-sequence token")
        self.padding_token_id: int = padding

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        sequences = [torch.as_tensor(feature["input_ids"], dtype=torch.long) for feature in features]
        length = self.max_length or max(len(sequence) for sequence in sequences)
        if any(len(sequence) > length for sequence in sequences):
            raise ValueError(f"a sequence is longer than max_length, {length} tokens")
        input_ids = _padded(sequences, length, self.padding_token_id)
        attention_mask = torch.zeros_like(input_ids)
        for row, sequence in enumerate(sequences):
            attention_mask[row, : len(sequence)] = 1
        batch = {"input_ids": input_ids, "attention_mask": attention_mask}
        ignored = _is_one_of(input_ids, [self.padding_token_id, *self._tags])
        if any("entity_name_mask" in feature for feature in features):
            batch["entity_name_mask"] = self._name_mask(features, input_ids)
        if self.disable_entity_name_token_loss:
            names = batch.get("entity_name_mask")
            ignored |= self.names_by_tags(input_ids) if names is None else names
        if "position_ids" in features[0]:
            batch["position_ids"] = _padded([torch.as_tensor(one["position_ids"]) for one in features], length, 0)
            ignored |= batch["position_ids"] == 0
        if "source" in features[0]:
            batch["source"] = torch.stack([feature["source"] for feature in features])
        return batch | {"labels": input_ids.masked_fill(ignored, IGNORED_LABEL)}

    def are_tags(self, input_ids: torch.Tensor) -> torch.Tensor:
        """True at the tags; of the shape of the ids."""
        return _is_one_of(input_ids, self._tags)

    def names_by_tags(self, input_ids: torch.Tensor) -> torch.Tensor:
        """`entity_name_mask` between the tags of any pair; pairs may share a tag."""
        return _mask_between(_is_one_of(input_ids, self._opening), _is_one_of(input_ids, self._closing))

    def _name_mask(self, features: Sequence[dict[str, Any]], input_ids: torch.Tensor) -> torch.Tensor:
        """The masks that blocks carry; by the tags for blocks that carry none, beside others of the batch that do."""
        names = self.names_by_tags(input_ids)
        for row, feature in enumerate(features):
            if "entity_name_mask" in feature:
                mask = torch.as_tensor(feature["entity_name_mask"], dtype=torch.bool)
                names[row] = False
                names[row, : len(mask)] = mask
        return names


def _is_one_of(input_ids: torch.Tensor, ids: Sequence[int]) -> torch.Tensor:
    if not ids:
        return torch.zeros_like(input_ids, dtype=torch.bool)
    found = input_ids == ids[0]
    for one in ids[1:]:  # few: faster than torch.isin
        found |= input_ids == one
    return found


def _padded(rows: Sequence[torch.Tensor], length: int, value: int) -> torch.Tensor:
    padded = torch.full((len(rows), length), value)
    for number, row in enumerate(rows):
        padded[number, : len(row)] = row
    return padded


def entity_name_mask(input_ids: torch.Tensor, start_token_id: int, end_token_id: int) -> torch.Tensor:
    """True from each opening tag to before its close, or to the end of the row; of the shape [..., length] of the ids.

    A closing tag without an opening one in its row closes nothing.
    """
    return _mask_between(input_ids == start_token_id, input_ids == end_token_id)


def _mask_between(opening: torch.Tensor, closing: torch.Tensor) -> torch.Tensor:
    positions = torch.arange(opening.shape[-1], device=opening.device)
    last_tag = positions.where(opening | closing, 0).cummax(dim=-1).values
    return opening.gather(-1, last_tag)
