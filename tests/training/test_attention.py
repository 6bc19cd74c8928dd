"""Articles in one block do not see each other: the losses of their tokens are those of each article alone, under every
attention, or the model is refused.

Flash attention does not run on a CPU. Its place is taken by sums of our own behind transformers' own way to it: which
sequences it is told of is tested, its kernel is not.
"""

import pytest
import torch
from architectures import FURTHER, MODELS, make
from torch.nn.functional import scaled_dot_product_attention
from transformers import masking_utils
from transformers import modeling_flash_attention_utils as flash
from transformers.modeling_outputs import CausalLMOutputWithPast

from leia.base.errors import InputError
from leia.training.attention import _is_rounding, attention_within, check_separate_attention
from leia.training.losses import TokenLosses, run_model

VOCABULARY = 100
LENGTHS = ((23, 1, 30), (40, 14))
"""Of the articles in each row, in tokens; longer than the sliding windows."""

SEPARATE = ("llama", "gpt2", "mistral", "gemma3_text", "phi", "gpt_neox", "mixtral", "stablelm")
REFUSED = ("mamba", "bloom", "mpt", "falcon alibi", "opt", "jamba", "recurrent_gemma", "rwkv")
ALL = [kind for kind in MODELS | FURTHER if kind not in SEPARATE + REFUSED]


@pytest.fixture
def rows():
    torch.manual_seed(0)
    ids = torch.randint(2, VOCABULARY, (2, 54))
    position_ids = torch.stack([torch.cat([torch.arange(length) for length in row]) for row in LENGTHS])
    return ids, position_ids


def build(kind, attention):
    torch.manual_seed(1)
    model = make(kind, VOCABULARY)
    model.config._attn_implementation = attention
    return model


def losses_alone(model, ids):
    """[batch, length]; the last token of an article predicts nothing."""
    token_losses = TokenLosses(model)
    rows = []
    for row, lengths in zip(ids, LENGTHS, strict=True):
        rows.append(torch.cat([token_losses(model, part[None], part[None])[1][0] for part in row.split(lengths)]))
    return torch.stack(rows)


def assert_as_alone(kind, attention, ids, position_ids):
    found = TokenLosses(model := build(kind, attention))(model, ids, ids, position_ids)[1]
    expected = losses_alone(build(kind, attention), ids)
    within = torch.nn.functional.pad(position_ids[:, 1:] != 0, (0, 1))
    torch.testing.assert_close(found[within], expected[within], atol=1e-5, rtol=1e-5)
    plain = TokenLosses(model := build(kind, attention))(model, ids, ids)[1]
    after_the_first = within & (position_ids != torch.arange(54))
    assert (plain - found)[after_the_first].abs().mean() > 0.01, "one sequence a row gives something else"


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", SEPARATE)
def test_losses_are_those_of_each_article_alone(rows, kind, attention):
    assert_as_alone(kind, attention, *rows)
    check_separate_attention(build(kind, attention))


@pytest.mark.parametrize("kind", REFUSED)
def test_a_model_that_cannot_keep_articles_apart_is_refused_in_one_line(kind):
    model = make(kind, VOCABULARY)
    with pytest.raises(InputError, match=r"^separate_attention is on: \w+ does not keep articles apart.*leave it out$"):
        check_separate_attention(model)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ALL)
def test_any_other_model_gives_the_losses_of_each_article_alone_or_is_refused(rows, kind):
    attention = make(kind, VOCABULARY).config._attn_implementation
    try:
        check_separate_attention(build(kind, attention))
    except InputError:
        with pytest.raises(AssertionError):
            assert_as_alone(kind, attention, *rows)
    else:
        assert_as_alone(kind, attention, *rows)


def test_the_check_leaves_the_model_as_it_was_and_knows_rounding():
    model = build("llama", "sdpa").to(torch.bfloat16)
    for training in (True, False):
        model.train(training)
        check_separate_attention(model)
        assert model.training is training
    assert all(weight.grad is None for weight in model.parameters())


@pytest.mark.parametrize(
    ("leak", "noise", "expected"),
    [
        (0.019, 0, True),
        (0.021, 0, False),
        (0.1, 0.03, True),  # a deep model in 16 bits
        (0.2, 0.03, False),
        (0.6, 1, False),  # where all is noise, nothing is shown
        (float("nan"), 0, False),
    ],
)
def test_what_is_taken_for_rounding(leak, noise, expected):
    assert _is_rounding(leak, noise) is expected


def test_dropout_is_off_in_the_check_and_a_wrapped_model_is_checked(by_hand):
    model = build("llama", "flash_attention_2")
    for layer in model.model.layers:
        layer.mlp.act_fn = torch.nn.Sequential(layer.mlp.act_fn, torch.nn.Dropout(0.5))
    check_separate_attention(Wrapped(model).train())
    assert by_hand


class Wrapped(torch.nn.Module):
    """As DDP does it."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, **given):
        return self.module(**given)


class EachTokenAlone(type(make("llama", VOCABULARY))):
    """Attends to nothing."""

    def forward(self, input_ids, use_cache=None, position_ids=None):
        return CausalLMOutputWithPast(logits=self.lm_head(self.model.embed_tokens(input_ids)))


def test_a_model_that_attends_to_nothing_keeps_articles_apart():
    check_separate_attention(EachTokenAlone(make("llama", VOCABULARY).config))


def test_memory_that_runs_out_in_the_check_is_told_as_such(monkeypatch):
    def out_of_memory(self, **_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(EachTokenAlone, "forward", out_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        check_separate_attention(EachTokenAlone(make("llama", VOCABULARY).config))


def test_a_model_that_takes_no_positions_is_refused():
    class TakesNone(type(make("llama", VOCABULARY))):
        def forward(self, input_ids, use_cache=None):
            return super().forward(input_ids=input_ids, use_cache=use_cache)

    with pytest.raises(InputError, match=r"TakesNone does not keep articles apart \(.*position_ids.*\); leave it out"):
        check_separate_attention(TakesNone(make("llama", VOCABULARY).config))


def test_without_positions_nothing_is_looked_for_and_with_them_transformers_is_left_as_it_was(rows):
    model, position_ids, find = build("llama", "sdpa"), rows[1], masking_utils.find_packed_sequence_indices
    with attention_within(model, None) as more:
        assert more == {} and masking_utils.find_packed_sequence_indices(position_ids) is None
    with attention_within(model, position_ids) as more:
        assert set(more) == {"position_ids"}
        number = masking_utils.find_packed_sequence_indices(position_ids)
    assert [row.unique_consecutive(return_counts=True)[1].tolist() for row in number] == list(map(list, LENGTHS))
    assert masking_utils.find_packed_sequence_indices is find
    with pytest.raises(RuntimeError), attention_within(model, position_ids):
        raise RuntimeError
    assert masking_utils.find_packed_sequence_indices is find


def test_gradients_are_those_of_the_articles_alone(rows):
    ids, position_ids = rows
    model = build("llama", "sdpa")
    within = torch.nn.functional.pad(position_ids[:, 1:] != 0, (0, 1))
    labels = torch.where(torch.nn.functional.pad(within[:, :-1], (1, 0)), ids, -100)
    TokenLosses(model)(model, ids, labels, position_ids)[0].backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()
    token_losses = TokenLosses(alone := build("llama", "sdpa"))
    for row, lengths in zip(ids, LENGTHS, strict=True):
        for part in row.split(lengths):
            token_losses(alone, part[None], part[None])[0].backward()
    for name, weight in alone.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, atol=1e-4, rtol=1e-4)


@pytest.fixture
def by_hand(monkeypatch):
    """The two functions of flash attention on a CPU; `calls` are the bounds that the second was given."""
    calls = []

    def attend(query, key, value, softmax_scale=None, **_):  # [sequences, length, heads, width]
        states = [one.transpose(1, 2) for one in (query, key, value)]
        found = scaled_dot_product_attention(*states, is_causal=True, scale=softmax_scale, enable_gqa=True)
        return found.transpose(1, 2)

    def whole(q, k, v, dropout_p=0.0, softmax_scale=None, causal=False, window_size=(-1, -1), deterministic=False):
        return attend(q, k, v, softmax_scale)

    def by_bounds(q, k, v, cu_seqlens_q=None, cu_seqlens_k=None, max_seqlen_q=None, max_seqlen_k=None, dropout_p=0.0,
                  softmax_scale=None, causal=False, window_size=(-1, -1), deterministic=False):  # fmt: skip
        assert cu_seqlens_q.dtype is torch.int32, "the kernel takes no other"
        calls.append(cu_seqlens_q.tolist())
        lengths = cu_seqlens_q.diff().tolist()
        assert causal and torch.equal(cu_seqlens_q, cu_seqlens_k) and max_seqlen_q >= max(lengths)
        parts = zip(*(one.split(lengths) for one in (q, k, v)), strict=True)
        return torch.cat([attend(*(one[None] for one in part), softmax_scale)[0] for part in parts])

    functions = {"_flash_fn": whole, "_flash_varlen_fn": by_bounds, "_loaded_implementation": "flash_attention_2"}
    functions |= {"_process_flash_kwargs_fn": flash._lazy_define_process_function(by_bounds)}
    for name, function in functions.items():
        monkeypatch.setattr(flash, name, function, raising=False)
    for name in ("_flash_with_kvcache_fn", "_pad_fn", "_unpad_fn", "_process_with_kvcache_kwargs_fn"):
        monkeypatch.setattr(flash, name, None, raising=False)
    return calls


@pytest.mark.parametrize("kind", ["llama", "phi", "qwen2", "gpt_neox", "olmo2"])
def test_flash_attention_is_told_where_the_articles_of_all_rows_start(rows, by_hand, kind):
    assert_as_alone(kind, "flash_attention_2", *rows)
    assert [0, 23, 24, 54, 94, 108] in by_hand
    check_separate_attention(build(kind, "flash_attention_2"))


def test_flash_attention_is_refused_where_the_model_does_not_pass_the_bounds_on(by_hand, monkeypatch):
    model = build("llama", "flash_attention_2")
    for layer in model.model.layers:
        forward = layer.self_attn.forward

        def without(*given, forward=forward, **named):
            return forward(*given, **{name: value for name, value in named.items() if "seq_len" not in name})

        monkeypatch.setattr(layer.self_attn, "forward", without)
    with pytest.raises(InputError, match=r"with flash_attention_2 attention.*take attn_implementation sdpa"):
        check_separate_attention(model)


def test_rows_of_one_article_each_give_what_they_give_without_positions(rows):
    model, ids = build("llama", "sdpa"), rows[0]
    found = run_model(model, ids, torch.arange(54).expand(2, -1))
    torch.testing.assert_close(found, run_model(model, ids), atol=1e-5, rtol=1e-5)
