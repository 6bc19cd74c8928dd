"""The losses of tokens and their gradients are those of the whole logits, for output layers of all kinds, and take less
memory."""

import copy
import subprocess
import sys

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import (
    CohereConfig,
    CohereForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    PhiConfig,
    PhiForCausalLM,
)
from transformers.modeling_outputs import CausalLMOutput

from leia.data.collator import IGNORED_LABEL
from leia.training import losses
from leia.training.losses import TokenLosses, cross_entropy, next_tokens
from leia.training.model import add_lora

VOCABULARY = 50
SIZES = {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
WIDE = SIZES | {"intermediate_size": 24}
NARROW_HEADS = WIDE | {"num_key_value_heads": 1, "head_dim": 8}
MODELS = {
    "untied": lambda: LlamaForCausalLM(LlamaConfig(**WIDE)),
    "tied": lambda: LlamaForCausalLM(LlamaConfig(**WIDE, tie_word_embeddings=True)),
    "GPT-2": lambda: GPT2LMHeadModel(GPT2Config(vocab_size=VOCABULARY, n_embd=16, n_layer=2, n_head=2)),
    "with a bias": lambda: PhiForCausalLM(PhiConfig(**WIDE)),
    "logits capped": lambda: Gemma2ForCausalLM(Gemma2Config(**NARROW_HEADS)),
    "logits scaled": lambda: CohereForCausalLM(CohereConfig(**WIDE, logit_scale=0.1)),
    "state space": lambda: MambaForCausalLM(
        MambaConfig(vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, state_size=4)
    ),
    "adapters": lambda: add_lora(MODELS["untied"](), 2, (48, 49), seed=1),
    "adapters, tied": lambda: add_lora(MODELS["tied"](), 2, (48, 49), seed=1),
}
CHANGE_THEIR_LOGITS = ("logits capped", "logits scaled")


class OfItsOwn(LlamaForCausalLM):
    """Models that come with their code do as they like."""

    def forward(self, input_ids, use_cache=None):
        hidden = self.model(input_ids=input_ids, use_cache=False).last_hidden_state
        return CausalLMOutput(logits=self.logits(hidden))


class DoesNotCallItsLayer(OfItsOwn):
    def logits(self, hidden):
        return hidden @ self.lm_head.weight.T


class TellsNoLayer(OfItsOwn):
    def logits(self, hidden):
        return self.lm_head(hidden)

    def get_output_embeddings(self):
        return None


class CutsItsLogits(OfItsOwn):
    def logits(self, hidden):
        return self.lm_head(hidden)[:, :, :VOCABULARY]


MODELS |= {kind.__name__: lambda kind=kind: kind(LlamaConfig(**WIDE)) for kind in OfItsOwn.__subclasses__()}
CHANGE_THEIR_LOGITS += tuple(kind.__name__ for kind in OfItsOwn.__subclasses__())


def make(kind):
    torch.manual_seed(1)
    model = MODELS[kind]().eval()  # the gradients of two passes are compared: no dropout
    for name, parameter in model.named_parameters():
        if "lora_B" in name or name.endswith("lm_head.bias"):  # they begin at zero
            torch.nn.init.normal_(parameter, std=0.3)
    return model


def gradients(model, total):
    total.backward()
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(gradient is not None for gradient in found.values())
    return found


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("kind", MODELS)
def test_losses_and_gradients_are_those_of_the_whole_logits(monkeypatch, kind, masked):
    monkeypatch.setattr(losses, "LOGITS_AT_ONCE", 7 * VOCABULARY)  # 7 tokens at once of 60
    ids = torch.randint(0, VOCABULARY, (3, 20))
    labels = ids.masked_fill(torch.rand(ids.shape) < 0.3, IGNORED_LABEL) if masked else ids
    plain, ours = make(kind), make(kind)
    expected = cross_entropy(plain(input_ids=ids, use_cache=False).logits, next_tokens(labels, IGNORED_LABEL))
    expected_gradients = gradients(plain, expected.sum() / 59)
    token_losses = TokenLosses(ours)
    total, found = token_losses(ours, ids, labels)
    assert not found.requires_grad
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(total, expected.sum(), rtol=1e-6, atol=1e-6)
    found_gradients = gradients(ours, total / 59)
    assert found_gradients.keys() == expected_gradients.keys()
    for name, gradient in found_gradients.items():
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=1e-5, atol=1e-6)
    assert token_losses.needs_logits == (kind in CHANGE_THEIR_LOGITS)
    torch.testing.assert_close(ours(input_ids=ids).logits, plain(input_ids=ids).logits)  # all others get logits


def test_the_first_batch_draws_no_random_number():
    """Dropout draws the same from the first step on, in a run that was continued, too."""
    model = MODELS["GPT-2"]().train()
    other = copy.deepcopy(model)
    ids = torch.randint(0, VOCABULARY, (2, 20))
    found = []
    for one, tried in ((model, False), (other, True)):
        token_losses = TokenLosses(one)
        if tried:
            token_losses.needs_logits = False
        torch.manual_seed(3)
        found += [token_losses(one, ids, ids)[1], token_losses(one, ids, ids)[1]]
    assert torch.equal(found[0], found[2]) and torch.equal(found[1], found[3])
    assert not torch.equal(found[0], found[1]), "dropout has a say"


def test_16_bit_weights_have_losses_of_32_bits_and_their_gradients():
    plain, ours = make("untied").bfloat16(), make("untied").bfloat16()
    ids = torch.randint(0, VOCABULARY, (2, 20))
    expected = cross_entropy(plain(input_ids=ids).logits, next_tokens(ids, IGNORED_LABEL))
    total, found = TokenLosses(ours)(ours, ids, ids)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)
    expected_gradients = gradients(plain, expected.sum())
    for name, gradient in gradients(ours, total).items():
        assert gradient.dtype == torch.bfloat16
        torch.testing.assert_close(gradient, expected_gradients[name], rtol=0.05, atol=0.05)


def test_a_bias_is_added_before_a_logit_is_rounded_to_16_bits():
    """As the layer itself does it: the losses are the same to the last bit but for what the softmax rounds."""
    model, ids = make("with a bias").bfloat16(), torch.randint(0, VOCABULARY, (2, 20))
    with torch.no_grad():
        expected = cross_entropy(model(input_ids=ids).logits, next_tokens(ids, IGNORED_LABEL))
    found = TokenLosses(model)(model, ids, ids)[1]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


def test_memory_that_runs_out_in_the_first_batch_is_not_taken_for_a_trait_of_the_model(monkeypatch):
    model, ids = make("untied"), torch.randint(0, VOCABULARY, (2, 20))
    token_losses = TokenLosses(model)
    monkeypatch.setattr(losses._LinearLosses, "apply", fail_of_memory)
    with pytest.raises(torch.OutOfMemoryError):
        token_losses(model, ids, ids)
    assert token_losses.needs_logits is None


def fail_of_memory(*_):
    raise torch.OutOfMemoryError("out of memory")


def test_an_evaluation_computes_no_gradient():
    model, ids = make("untied"), torch.randint(0, VOCABULARY, (2, 20))
    token_losses, flops = TokenLosses(model), []
    token_losses.needs_logits = False
    for enabled in (False, True):
        with torch.set_grad_enabled(enabled), FlopCounterMode(display=False) as counter:
            token_losses(model, ids, ids)
        flops.append(counter.get_total_flops())
    product = 2 * ids.numel() * 16 * 64  # the vocabulary is filled up
    assert flops[1] - flops[0] == 2 * product, "one for the gradient of what goes in, one for that of the weights"


MEASURED = """
import resource, sys, torch
from transformers import LlamaConfig, LlamaForCausalLM
from leia.training.losses import TokenLosses
model = LlamaForCausalLM(LlamaConfig(vocab_size=128_000, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
                                     num_attention_heads=1))
token_losses, ids = TokenLosses(model), torch.randint(0, 128_000, (1, 2048))
token_losses.needs_logits = sys.argv[1] == "whole"
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
token_losses(model, ids, ids)[0].backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_the_loss_does_without_the_memory_of_the_logits():
    """At a vocabulary of 128,000 and 2,048 tokens the logits alone take 1,000 MB."""
    kib = {
        kind: int(subprocess.run([sys.executable, "-c", MEASURED, kind], stdout=subprocess.PIPE, check=True).stdout)
        for kind in ("whole", "a few")
    }
    assert kib["whole"] - kib["a few"] > 2048 * 128_000 * 4 / 1024, kib
