"""A BERT for long documents: each token sees its neighbours, and the tokens of the query see, and are seen by, all.

The attention mask holds 2 for a token with global attention, 1 for another, 0 for padding. A token with 1 attends, with
the local projections and in one softmax, to real tokens at most half a window away and to all with 2; one with 2
attends, with projections of its own, to all real tokens. Both are dense calls of PyTorch's attention, which at 1,024
tokens costs little more than a window would.
"""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import BertConfig, BertForSequenceClassification, BertModel
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndCrossAttentions
from transformers.models.bert.modeling_bert import BertSelfAttention

_PROJECTIONS = ("query", "key", "value")


class LongBertConfig(BertConfig):
    """`attention_window`: tokens, half of them on each side."""

    model_type = "bert-long"  # so that nothing loads it as a BERT, with attention of another kind

    attention_window: int = 64


class LongMasks(NamedTuple):
    """Which keys a query may attend to: locally (rows, 1, queries, keys), and globally (rows, 1, 1, keys);
    `is_global` says which queries do the latter (rows, 1, queries, 1)."""

    local: torch.Tensor
    real: torch.Tensor
    is_global: torch.Tensor


def long_masks(mask: torch.Tensor, window: int) -> LongMasks:
    """The masks of attention from `mask` (rows, length) with 0, 1 and 2."""
    places = torch.arange(mask.shape[1], device=mask.device)
    distance = (places[:, None] - places[None, :]).abs()
    real, is_global = mask > 0, mask == 2
    local = (distance <= window // 2)[None] & real[:, None, :] | is_global[:, None, :]
    local = local | (distance == 0)  # padding sees itself: a softmax over nothing is not a number
    return LongMasks(local[:, None], real[:, None, None], is_global[:, None, :, None])


class LongSelfAttention(BertSelfAttention):
    """BERT's attention with `LongMasks` in the place of its mask."""

    def __init__(self, config: LongBertConfig, layer_idx: int | None = None) -> None:
        super().__init__(config, layer_idx=layer_idx)
        for name in _PROJECTIONS:
            setattr(self, f"{name}_global", nn.Linear(config.hidden_size, self.all_head_size))

    def forward(self, hidden_states: torch.Tensor, attention_mask: LongMasks, **_: object) -> tuple[torch.Tensor, None]:
        masks = attention_mask
        local = self._attend(hidden_states, "", masks.local)
        everywhere = self._attend(hidden_states, "_global", masks.real)
        found = torch.where(masks.is_global, everywhere, local)
        return found.transpose(1, 2).flatten(2), None

    def _attend(self, hidden_states: torch.Tensor, kind: str, mask: torch.Tensor) -> torch.Tensor:
        shape = (*hidden_states.shape[:2], self.num_attention_heads, self.attention_head_size)
        query, key, value = (
            getattr(self, name + kind)(hidden_states).view(shape).transpose(1, 2) for name in _PROJECTIONS
        )
        dropout = self.dropout.p if self.training else 0.0
        return scaled_dot_product_attention(query, key, value, mask, dropout_p=dropout)


class LongBert(BertModel):
    config_class = LongBertConfig

    def __init__(self, config: LongBertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        for number, layer in enumerate(self.encoder.layer):
            layer.attention.self = LongSelfAttention(config, number)
        self.post_init()

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        **_: object,
    ) -> BaseModelOutputWithPoolingAndCrossAttentions:
        hidden = self.embeddings(input_ids=input_ids, token_type_ids=token_type_ids)
        hidden = self.encoder(hidden, long_masks(attention_mask, self.config.attention_window)).last_hidden_state
        return BaseModelOutputWithPoolingAndCrossAttentions(hidden, self.pooler(hidden))


class LongBertForSequenceClassification(BertForSequenceClassification):
    config_class = LongBertConfig

    def __init__(self, config: LongBertConfig) -> None:
        super().__init__(config)
        self.bert = LongBert(config)
        self.post_init()


def to_long(short: BertForSequenceClassification, length: int, window: int) -> LongBertForSequenceClassification:
    """`short` with `length` positions, its own ones repeated, and with this window; the projections of global attention
    start as copies of the local ones."""
    settings = {name: value for name, value in short.config.to_dict().items() if name not in ("model_type", "dtype")}
    settings |= {"max_position_embeddings": length, "attention_window": window}
    long = LongBertForSequenceClassification(LongBertConfig(**settings))
    weights = short.state_dict()
    positions = "bert.embeddings.position_embeddings.weight"
    copies = -(-length // len(weights[positions]))
    weights[positions] = weights[positions].repeat(copies, 1)[:length]
    for name, weight in list(weights.items()):
        before, of_attention, projection = name.partition(".attention.self.")
        if of_attention:
            kind, _, what = projection.partition(".")
            weights[f"{before}{of_attention}{kind}_global.{what}"] = weight.clone()
    long.load_state_dict(weights)
    return long
