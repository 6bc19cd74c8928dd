"""Attention of long documents: the published scores, and a slow version that says for each token whom it sees."""

import math

import pytest
import torch
from retrieval_pins import expected, pinned_retriever, tensors

from leia.retrieval.encoder import as_retriever, logits
from leia.retrieval.long_attention import LongBertConfig, LongSelfAttention, long_masks, to_long


@pytest.fixture(scope="module")
def pinned(shared):
    """`tiny-bert` made long, as the pins have it."""
    wanted = expected(shared, "long")
    short = pinned_retriever(shared)
    long = as_retriever(to_long(short.ranker, wanted["max_position_embeddings"], wanted["attention_window"]))
    long.qlm_head = short.qlm_head
    return long, wanted


def test_published_scores_with_and_without_global_attention(pinned):
    long, wanted = pinned
    for name, case in wanted["scores"].items():
        batch = {key: torch.tensor([case[key]]) for key in ("input_ids", "attention_mask", "token_type_ids")}
        assert torch.allclose(logits(long.ranker, batch)[0], torch.tensor(case["logits"]), atol=1e-5), name
        local = batch | {"attention_mask": batch["attention_mask"].clamp(max=1)}
        without = torch.tensor(case["logits_without_global_attention"])
        assert torch.allclose(logits(long.ranker, local)[0], without, atol=1e-5), name


def test_published_losses_and_gradient(pinned, shared):
    long, wanted = pinned
    batches = expected(shared, "batches")
    for kind in ("rr", "qlm"):
        key = next(key for key in wanted if key.startswith(f"{kind}_loss_of_batches.json/"))
        batch = tensors(batches[key.partition("batches.json/")[2]])
        loss = long(batch)
        assert loss.item() == pytest.approx(wanted[key], abs=1e-5)
        if kind == "rr":
            assert torch.allclose(logits(long.ranker, batch), torch.tensor(wanted["rr_logits"]), atol=1e-5)
    loss.backward()
    projection = long.ranker.bert.encoder.layer[0].attention.self.query_global
    assert projection.weight.grad.norm().item() == pytest.approx(
        wanted["gradient_norm_of_layer_0_query_global"], abs=1e-5
    )


def slowly(layer, hidden, mask, window):
    """Token by token."""
    heads, size = layer.num_attention_heads, layer.attention_head_size
    projected = {
        name: getattr(layer, name)(hidden).view(*hidden.shape[:2], heads, size)
        for name in ("query", "key", "value", "query_global", "key_global", "value_global")
    }
    found = torch.zeros_like(hidden)
    for row in range(hidden.shape[0]):
        for token in range(hidden.shape[1]):
            own = int(mask[row, token])
            real = [other for other in range(hidden.shape[1]) if mask[row, other]]
            near = [other for other in real if abs(other - token) <= window // 2 or mask[row, other] == 2]
            kind, seen = ("_global", real) if own == 2 else ("", near)
            for head in range(heads):
                query = projected[f"query{kind}"][row, token, head]
                keys = projected[f"key{kind}"][row, seen, head]
                weights = (keys @ query / math.sqrt(size)).softmax(0)
                values = projected[f"value{kind}"][row, seen, head]
                found[row, token, head * size : (head + 1) * size] = weights @ values
    return found


def test_each_token_sees_its_window_and_the_global_ones():
    torch.manual_seed(0)
    layer = LongSelfAttention(LongBertConfig(hidden_size=16, num_attention_heads=2, attention_window=6)).eval()
    hidden = torch.randn(3, 20, 16)
    mask = torch.tensor([[2] * 3 + [1] * 12 + [0] * 5, [1] * 20, [1, 2] * 10])
    fast = layer(hidden, long_masks(mask, 6))[0]
    real = mask.bool()
    assert torch.allclose(fast[real], slowly(layer, hidden, mask, 6)[real], atol=1e-6)
    assert torch.isfinite(fast).all()  # at padding, too: its gradient is not a number otherwise


def test_a_model_made_long_repeats_positions_and_copies_projections(pinned, shared):
    long, _ = pinned
    short = pinned_retriever(shared).ranker
    positions = short.bert.embeddings.position_embeddings.weight
    assert torch.equal(long.ranker.bert.embeddings.position_embeddings.weight, positions.repeat(2, 1))
    longer = to_long(short, 100, 16).bert.embeddings.position_embeddings.weight
    assert torch.equal(longer, positions.repeat(2, 1)[:100])
    of_layer = long.ranker.bert.encoder.layer[2].attention.self
    for name in ("query", "key", "value"):
        own, copied = getattr(of_layer, name).weight, getattr(of_layer, f"{name}_global").weight
        assert torch.equal(own, copied) and own is not copied


def test_a_window_over_all_and_no_global_token_is_bert(shared):
    short = pinned_retriever(shared)
    long = as_retriever(to_long(short.ranker, 64, 128))
    batch = tensors(expected(shared, "batches")["rr/ende/seed1/len64/plain"])
    assert torch.allclose(logits(long.ranker, batch), logits(short.ranker, batch), atol=1e-5)
