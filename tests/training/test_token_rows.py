"""What a model has for each token, beyond what test_architectures.py meets: tables of a model's own, of a part of the
tokens, shorter than the tokenizer; and what cannot be lengthened is refused."""

import pytest
import torch
from accelerate.utils import compare_versions
from architectures import FURTHER, HEADS, SIZES, make
from torch.nn import Parameter
from transformers import AutoConfig, LlamaForCausalLM

from leia.base.errors import InputError
from leia.training import token_rows
from leia.training.tiny_model import train_tokenizer
from leia.training.token_rows import add_tags, fill, lengthen

TEXTS = ["El agua es una sustancia.", "東京は日本の首都である。"] * 20


@pytest.fixture
def tokenizer():
    return train_tokenizer(TEXTS, 300)


class OwnTables(LlamaForCausalLM):
    """A number for each token along another axis, a table of whole numbers, and one that a run makes anew."""

    saved = True

    def __init__(self, config):
        super().__init__(config)
        tokens = config.vocab_size
        self.factors = Parameter(torch.ones(2, tokens))
        self.register_buffer("groups", torch.arange(tokens)[:, None] % 3)
        self.register_buffer("seen", torch.zeros(tokens), persistent=self.saved)


class MadeAnew(OwnTables):
    saved = False


def make_own(kind, tokens):
    torch.manual_seed(0)
    return kind(AutoConfig.for_model("llama", **SIZES, vocab_size=tokens, tie_word_embeddings=False))


@pytest.mark.parametrize("padding", [0, 5])
def test_tables_of_a_models_own_get_the_mean_or_what_most_tokens_have(tokenizer, padding):
    known = len(tokenizer)
    model = make_own(OwnTables, known + padding)
    with torch.no_grad():
        model.factors[1] = torch.arange(known + padding)
    model.groups[: known // 2 + 1] = 7
    tags = list(add_tags(model, tokenizer))
    assert model.factors.shape == (2, max(known + 2, known + padding)) and model.factors.requires_grad
    assert model.factors[:, tags].tolist() == [[1, 1], [(known - 1) / 2] * 2]
    assert torch.equal(model.factors[1, :known], torch.arange(known))
    assert model.groups[tags].tolist() == [[7], [7]] and model.seen[tags].tolist() == [0, 0]


def test_what_cannot_be_lengthened_is_refused_in_one_line(tokenizer):
    reason = (
        rf"^MadeAnew: cannot be given new tokens \(seen has the size \[{len(tokenizer)}\], .*\); take another model$"
    )
    with pytest.raises(InputError, match=reason):
        add_tags(make_own(MadeAnew, len(tokenizer)), tokenizer)


def test_a_config_that_names_no_vocabulary_is_refused_in_one_line(tokenizer):
    model = make_own(OwnTables, len(tokenizer))
    del vars(model.config)["vocab_size"]  # as configs of some models with code of their own
    with pytest.raises(InputError, match=r"^llama: its config names no vocab_size, "):
        add_tags(model, tokenizer)


def make_gemma3n(known, further):
    """Rows by layer for a part of the vocabulary, `further` more than the `known` tokens."""
    settings = SIZES | HEADS | FURTHER["gemma3n_text"] | {"vocab_size_per_layer_input": known + further}
    return make("gemma3n_text", known + 10, **settings)


STOPS = pytest.mark.skipif(
    compare_versions("transformers", "<", "5.21"), reason="transformers before 5.21 stops at tokens beyond the table"
)


@pytest.mark.parametrize(("further", "lengthened"), [(0, True), pytest.param(-3, False, marks=STOPS)])
def test_a_further_table_is_lengthened_where_it_had_a_row_for_each_token(tokenizer, further, lengthened):
    """Gemma 3n: rows by layer for a part of the vocabulary, of which the tags are no part then."""
    known = len(tokenizer)
    model = make_gemma3n(known, further)
    ids = torch.arange(known)[None]
    before = model(ids, use_cache=False).logits
    tags = add_tags(model, tokenizer)
    after = model(ids, use_cache=False).logits
    assert torch.equal(after[..., :known], before[..., :known])
    assert model.config.vocab_size_per_layer_input == (known + 10 if lengthened else known - 3)
    assert model(torch.tensor([tags]), use_cache=False).logits.isfinite().all()


def test_tags_beyond_a_further_table_are_refused_where_transformers_stops_at_them(tokenizer, monkeypatch):
    monkeypatch.setattr(token_rows, "compare_versions", lambda *_: True)  # as if it were before 5.21
    known = len(tokenizer)
    add_tags(make_gemma3n(known, 0), train_tokenizer(TEXTS, 300))
    with pytest.raises(InputError, match=rf"^Gemma3nForCausalLM: .* is {known - 3}; .*5\.21 or later"):
        add_tags(make_gemma3n(known, -3), tokenizer)


def test_tokens_that_the_model_had_no_rows_for_have_the_mean_too(tokenizer):
    known = len(tokenizer)
    model = make_own(OwnTables, known - 7)
    former = model.model.embed_tokens.weight.detach().clone()
    add_tags(model, tokenizer)
    rows = model.model.embed_tokens.weight.detach()
    assert len(rows) == known + 2 and torch.equal(rows[:-9], former)
    torch.testing.assert_close(rows[-9:], former.mean(dim=0).expand(9, -1))


@pytest.mark.parametrize("kind", ["llama", "llama tied", "gptj", "phi", "gpt2", "bloom", "opt projected", "mamba"])
def test_new_tokens_begin_as_the_mean_of_those_they_are_made_of(kind):
    """Read: the same vector. Foreseen: the mean of the logits, biases included, since output layers are linear."""
    model = make(kind, 50).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) / 50)  # biases are made as zeros
    assert lengthen(model, 50, 53) == 50
    fill(model, 50, {50: [3], 51: [7, 9, 9], 52: None})
    rows, ids = model.get_input_embeddings().weight, torch.tensor([[1, 5, 50, 8], [1, 5, 3, 8]])
    expected = [rows[3], rows[[7, 9, 9]].mean(0), rows[:50].mean(0)]
    assert torch.allclose(rows[50:], torch.stack(expected), atol=1e-6)
    with torch.no_grad():
        logits = model(input_ids=ids).logits
    assert torch.allclose(logits[0], logits[1], atol=1e-4)
    means = [logits[..., 3], logits[..., [7, 9, 9]].mean(-1), logits[..., :50].mean(-1)]
    assert torch.allclose(logits[..., 50:], torch.stack(means, dim=-1), atol=1e-4)
