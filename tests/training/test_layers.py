"""Layers that compute again, compiled ones and both: the same losses and gradients, and no more work than was asked."""

from functools import partial
from importlib.util import find_spec

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from training_workspace import Workspace
from transformers import (
    AutoConfig,
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MixtralConfig,
    MixtralForCausalLM,
    PreTrainedModel,
)

from leia.base.errors import InputError
from leia.training.layers import layers_of, prepare_layers, use_fp8
from leia.training.losses import TokenLosses
from leia.training.model import add_lora

LAYERS = 6
KINDS = ("untied", "tied", "adapters")


def make(kind="untied", dropout=0.1):
    torch.manual_seed(1)
    tied = {"tie_word_embeddings": True} if kind == "tied" else {}
    model = LlamaForCausalLM(
        LlamaConfig(vocab_size=50, hidden_size=32, intermediate_size=48, num_hidden_layers=LAYERS,
                    num_attention_heads=2, num_key_value_heads=1, attention_dropout=dropout, **tied)
    )  # fmt: skip
    return (add_lora(model, 2, (48, 49), seed=1) if kind == "adapters" else model).train()


def losses_and_gradients(model, steps=1):
    """Of `steps` batches with labels at other places each, as tags and names have them."""
    token_losses, found = TokenLosses(model), []
    torch.manual_seed(2)
    for _ in range(steps):
        ids = torch.randint(0, 50, (2, 24))
        total, losses = token_losses(model, ids, ids.masked_fill(torch.rand(ids.shape) < 0.3, -100))
        (total / 20).backward()
        found.append(losses)
    gradients = [weight.grad for weight in model.parameters() if weight.requires_grad]
    assert all(gradient is not None for gradient in gradients)
    return found + gradients


@pytest.mark.parametrize("recomputed", ["selective", "full"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_computed_again_is_the_same(kind, recomputed):
    model = make(kind)
    prepare_layers(model, recomputed, compiled=False)
    for found, expected in zip(losses_and_gradients(model), losses_and_gradients(make(kind)), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("recomputed", ["selective", "full"])
def test_a_forward_that_stands_at_a_layer_itself_runs(recomputed):
    """As accelerate's hooks and models that come with their code put one there."""
    found = []
    for prepared in (False, True):
        model = make(dropout=0.0)
        first = layers_of(model)[0]
        first.forward = partial(lambda forward, *given, **named: 3 * forward(*given, **named), first.forward)
        if prepared:
            prepare_layers(model, recomputed, compiled=False)
        found.append(losses_and_gradients(model))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-7)


class ChangesItsProducts(torch.nn.Module):
    """What comes after it needs the product that is changed, itself or by a view of it: GPT-OSS and Gemma 3n do so."""

    def __init__(self, inner, view):
        super().__init__()
        self.inner, self.view = inner, view

    def forward(self, hidden):
        product = self.inner(hidden)
        changed = product.view(-1, product.shape[-1])[1:] if self.view else product
        changed += 1
        return product * product


@pytest.mark.parametrize("view", [False, True])
def test_a_layer_that_changes_its_products_in_place_has_its_gradients(view):
    gradients = []
    for recomputed in ("none", "selective"):
        model = make(dropout=0.0)
        for layer in layers_of(model)[:2]:
            layer.mlp.up_proj = ChangesItsProducts(layer.mlp.up_proj, view)
        prepare_layers(model, recomputed, compiled=False)
        gradients.append(losses_and_gradients(model, steps=2))
    for found, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    kinds = [layer.forward.args[1] for layer in layers_of(model)]
    assert kinds == ["full", "full", *["selective"] * (LAYERS - 2)]


class Products(TorchDispatchMode):
    """Counts the products of matrices and the attentions; torch's count of operations leaves out those of experts."""

    def __init__(self):
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.number += "mm" in function.__name__ or "attention" in function.__name__
        return function(*args, **(kwargs or {}))


SMALL = {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2}
OTHERS = {
    "experts": lambda: MixtralForCausalLM(
        MixtralConfig(**SMALL, intermediate_size=48, num_attention_heads=2, num_key_value_heads=1, num_local_experts=4)
    ),
    "attention with a bias": lambda: BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=32, n_layer=2, n_head=2)),
}


@pytest.mark.parametrize("kind", ["untied", *OTHERS])
def test_products_and_attention_are_computed_again_only_by_full(kind):
    counted = {}
    for recomputed in ("none", "selective", "full"):
        torch.manual_seed(1)
        model = OTHERS[kind]().train() if kind in OTHERS else make(kind)
        prepare_layers(model, recomputed, compiled=False)
        token_losses, ids = TokenLosses(model), torch.arange(48).view(2, 24)
        token_losses.needs_logits = False
        token_losses(model, ids, ids)[0].backward()  # of which `selective` keeps nothing yet
        with Products() as products:
            token_losses(model, ids, ids)[0].backward()
        counted[recomputed] = products.number
    assert counted["none"] == counted["selective"] < counted["full"]


@pytest.mark.parametrize(
    ("kind", "recomputed"),
    [
        ("untied", "selective"),
        *(
            pytest.param(kind, recomputed, marks=pytest.mark.thorough)
            for kind in KINDS
            for recomputed in ("none", "selective", "full")
            if (kind, recomputed) != ("untied", "selective")
        ),
    ],
)
def test_layers_are_compiled_once_and_find_the_same(kind, recomputed):
    """For all layers and all batches, wherever tags and names lie in them."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    model = make(kind, dropout=0.0)  # compiled code draws other numbers for it
    prepare_layers(model, recomputed, compiled=True)
    expected = losses_and_gradients(make(kind, dropout=0.0), steps=3)
    for one, other in zip(losses_and_gradients(model, steps=3), expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


def test_layers_that_transformers_does_not_know_are_refused():
    class Unknown(PreTrainedModel):
        pass

    model = Unknown(LlamaConfig())
    assert layers_of(model) == []
    prepare_layers(model, "none", compiled=False)
    for recomputed, compiled in (("full", False), ("none", True)):
        with pytest.raises(InputError, match=r"Unknown: its layers are not known .*activation_checkpointing none"):
            prepare_layers(model, recomputed, compiled)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_8_bits_are_refused_where_they_cannot_be():
    with pytest.raises(InputError, match=r"fp8: needs a GPU of Ada's .* this is a CPU"):
        use_fp8(make())


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("layers"))


@pytest.mark.skipif(find_spec("torchao") is not None, reason="torchao is installed")
def test_a_missing_package_of_the_optimizer_is_one_line(workspace):
    with pytest.raises(InputError, match=r"optim is adamw_torch_8bit: .*torchao"):
        workspace.train_here("8 bits", "--optim", "adamw_torch_8bit")


@pytest.mark.thorough
@pytest.mark.parametrize("recomputed", ["none", "selective"])
def test_a_compiled_run_that_is_continued_draws_what_the_undisturbed_one_draws(workspace, recomputed):
    """Compiled code has random numbers of its own for dropout."""
    folder, logs, name = workspace.folder, {}, f"compiled, {recomputed}"
    config = AutoConfig.from_pretrained(folder / "model", attention_dropout=0.2)
    model = LlamaForCausalLM.from_pretrained(folder / "model", config=config)
    for made in (model, AutoTokenizer.from_pretrained(folder / "model")):
        made.save_pretrained(folder / "with dropout")
    options = ["--activation_checkpointing", recomputed, "--torch_compile", "true", "--save_total_limit", "9"]
    for output in (name, f"{name}, continued"):
        torch._dynamo.reset()
        more = ["--resume_from_checkpoint", str(folder / name / "checkpoint-3")] if output != name else []
        workspace.train_here(output, *options, *more, model_name_or_path=str(folder / "with dropout"))
        logs[output] = [entry["loss"] for entry in workspace.log(output)]
    assert logs[name] == logs[f"{name}, continued"]


@pytest.mark.thorough
def test_a_layer_that_does_not_compile_is_one_line(workspace):
    """For lack of a compiler, say."""
    nowhere = {"CXX": "/nowhere/c++", "TORCHINDUCTOR_CACHE_DIR": str(workspace.folder / "cache")}
    text = workspace.train("not compiled", "--torch_compile", "true", code=1, **nowhere)
    assert text.splitlines()[-1].startswith("error: torch_compile: ") and "Traceback" not in text
