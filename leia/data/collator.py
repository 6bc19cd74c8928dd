"""Blocks to a batch with labels: no loss at padding, none at the tags, and by option none on the inserted names."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from leia.data.tokenizers import entity_name_tag_ids

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED_LABEL = -100


class LeiaDataCollator:
    """A batch `input_ids`, `attention_mask`, `labels`, each [batch, length], from `{"input_ids": ids}` of each block;
    with `entity_name_mask` where the blocks carry it.

    `labels` are the ids with -100 where the id is that of padding (of EOS for a tokenizer without padding) or of a
    tag; with `disable_entity_name_token_loss` also at the names: by the mask that the blocks carry, else between the
    tags (`entity_name_mask`). Shorter sequences are padded on the right to `max_length`, or to the longest. Raises
    `ValueError` when the tokenizer lacks the tags or has neither padding nor EOS, and for a sequence over `max_length`.
    """

    def __init__(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        max_length: int | None = None,
        disable_entity_name_token_loss: bool = False,
    ) -> None:
        self.max_length = max_length
        self.disable_entity_name_token_loss = disable_entity_name_token_loss
        self.start_token_id, self.end_token_id = entity_name_tag_ids(tokenizer)
        padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        if padding is None:
            raise ValueError("the tokenizer has neither a padding token nor an end-of-sequence token")
        self.padding_token_id: int = padding

    def __call__(self, features: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        sequences = [torch.as_tensor(feature["input_ids"], dtype=torch.long) for feature in features]
        length = self.max_length or max(len(sequence) for sequence in sequences)
        if any(len(sequence) > length for sequence in sequences):
            raise ValueError(f"a sequence is longer than max_length, {length} tokens")
        input_ids = torch.full((len(sequences), length), self.padding_token_id)
        attention_mask = torch.zeros_like(input_ids)
        for row, sequence in enumerate(sequences):
            input_ids[row, : len(sequence)] = sequence
            attention_mask[row, : len(sequence)] = 1
        names = None
        if all("entity_name_mask" in feature for feature in features):
            names = torch.zeros_like(input_ids, dtype=torch.bool)
            for row, (feature, sequence) in enumerate(zip(features, sequences, strict=True)):
                names[row, : len(sequence)] = torch.as_tensor(feature["entity_name_mask"])
        ignored = (
            (input_ids == self.padding_token_id) | (input_ids == self.start_token_id) | (input_ids == self.end_token_id)
        )
        if self.disable_entity_name_token_loss:
            ignored |= entity_name_mask(input_ids, self.start_token_id, self.end_token_id) if names is None else names
        labels = input_ids.masked_fill(ignored, IGNORED_LABEL)
        batch = {"input_ids": input_ids, "attention_mask": attention_mask, "labels": labels}
        return batch if names is None else batch | {"entity_name_mask": names}


def entity_name_mask(input_ids: torch.Tensor, start_token_id: int, end_token_id: int) -> torch.Tensor:
    """True from each opening tag to before its close, or to the end of the row; of the shape [..., length] of the ids.

    A closing tag without an opening one in its row closes nothing.
    """
    positions = torch.arange(input_ids.shape[-1], device=input_ids.device)
    opening, closing = input_ids == start_token_id, input_ids == end_token_id
    last_tag = positions.where(opening | closing, 0).cummax(dim=-1).values
    return opening.gather(-1, last_tag)
