"""Any causal model: what is done to one with its tags, in its training and in its scores is done right for every kind.

`pytest --thorough -s tests/training/test_architectures.py` goes through all kinds and prints the table of
docs/reliability.md.
"""

import json
import math
import shutil

import pytest
import torch
from architectures import FURTHER, MODELS, make
from lm_eval.api.instance import Instance
from torch.nn.functional import cross_entropy
from training_workspace import Workspace
from transformers import AutoModelForCausalLM

from leia.data.tokenizers import load_tokenizer
from leia.evaluation.leia_lm import LeiaLM
from leia.training.layers import prepare_layers
from leia.training.losses import TokenLosses
from leia.training.model import add_tags

QUICK = ("gpt2", "gemma2", "phi")
"""Of the short form: dropout, tied weights and no rotation; capped logits and no SDPA; an output layer with a bias."""
KINDS = [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.thorough) for kind in MODELS | FURTHER]
CAPPED = ("gemma2", "gemma3n_text", "recurrent_gemma")
"""Of these a logit of the tags is not the mean of the others: they cap them."""
PAIRS = [("El agua es una", " sustancia"), ("東京は日本の首都", "である。"), ("", "agua")]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("architectures"))


@pytest.fixture(scope="module")
def rows():
    """Filled by the tests below, printed at the end."""
    rows = {}
    yield rows
    print("\n| model | all weights | LoRA | scores |\n|---|---|---|---|")
    for kind, row in rows.items():
        print(f"| {kind} | {' | '.join(row.get(column, '') for column in ('all', 'lora', 'scores'))} |")


@pytest.fixture(params=KINDS)
def base(request, workspace):
    return save(workspace, request.param)


def save(workspace, kind):
    """A folder with a model and the workspace's tokenizer, whose name is the kind's."""
    folder = workspace.folder / kind
    if not folder.exists():
        tokenizer = load_tokenizer(str(workspace.folder / "model"))
        torch.manual_seed(0)
        model = make(kind, len(tokenizer), **without_dropout())
        for name, tensor in model.named_parameters():
            if name.endswith(("head.bias", "lm_head.bias")):
                torch.nn.init.normal_(tensor, -12)
        model.save_pretrained(folder)
        for file in (workspace.folder / "model").glob("tokenizer*"):
            shutil.copy(file, folder)
    return folder


def without_dropout():
    names = ("attention_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "dropout", "hidden_dropout")
    return dict.fromkeys(names, 0.0)


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("padding", [0, 5])
def test_the_tags_change_no_logit_and_have_the_mean_of_all_others(base, padding):
    """Of a padded vocabulary, too, whose rows they take."""
    tokenizer = load_tokenizer(str(base))
    known = len(tokenizer)
    model = make(base.name, known + padding)
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if name.endswith("bias") and tensor.is_floating_point():
            torch.nn.init.normal_(tensor, -12)
    ids = torch.arange(40)[None] * 7 % known
    before = model(ids, use_cache=False).logits[..., :known]
    tags = list(add_tags(model, tokenizer))
    after = model(ids, use_cache=False).logits
    assert after.shape[-1] == max(len(tokenizer), known + padding)
    torch.testing.assert_close(after[..., :known], before, rtol=0, atol=0)
    if base.name not in CAPPED:
        torch.testing.assert_close(
            after[..., tags], before.mean(-1, keepdim=True).expand(1, 40, 2), atol=1e-4, rtol=1e-5
        )
    assert model(torch.tensor([tags]), use_cache=False).logits.isfinite().all()


@pytest.mark.parametrize("recomputed", ["none", "selective", "full"])
def test_loss_and_gradient_are_the_mean_over_the_labels(base, recomputed):
    model = load(base)
    ids = torch.arange(60).view(2, 30) * 7 % model.config.vocab_size
    logits = model(ids, use_cache=False).logits[:, :-1].flatten(0, 1)
    cross_entropy(logits, ids[:, 1:].flatten()).backward()
    expected = {name: weight.grad for name, weight in model.named_parameters()}
    model = load(base)
    prepare_layers(model, recomputed, compiled=False)
    token_losses = TokenLosses(model)
    for _ in range(2):  # before the first pass nothing is known of its layers
        model.zero_grad()
        total, losses = token_losses(model, ids, ids)
        (total / (losses != 0).sum()).backward()
        assert (losses != 0).sum() == 58
        for name, weight in model.named_parameters():
            if (gradient := expected[name]) is None:
                assert weight.grad is None
            else:
                greatest = max(1.0, gradient.abs().max().item())  # RWKV's of its embeddings: 98
                torch.testing.assert_close(weight.grad, gradient, atol=1e-5 * greatest, rtol=1e-4)


def train(workspace, base, output, *options):
    settings = {"model_name_or_path": str(base)}
    short = ("--max_steps", "4", "--save_steps", "4", "--learning_rate", "0.003")
    workspace.train_here(output, *short, *options, **settings)
    state = json.loads((workspace.folder / output / "trainer_state.json").read_text())
    losses = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert len(losses) == 4 and all(map(math.isfinite, losses))
    before = load(base)
    ids = torch.arange(40)[None] * 7 % before.config.vocab_size
    trained = load(workspace.folder / output)(ids, use_cache=False).logits[..., : before.config.vocab_size]
    assert (trained - before(ids, use_cache=False).logits).abs().max() > 1e-3
    return f"{losses[0]:.2f}, {losses[-1]:.2f}"


def largest_difference(folder):
    """How far our log-likelihoods of PAIRS are from those of plain transformers, one continuation at a time."""
    tokenizer, model = load_tokenizer(str(folder)), load(folder)
    expected = []
    for context, continuation in PAIRS:
        texts = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in (context, continuation)]
        first = texts[0] or [tokenizer.eos_token_id]
        logits = model(torch.tensor([first + texts[1]]), use_cache=False).logits[0].log_softmax(-1)
        expected.append(sum(logits[len(first) + k - 1, token].item() for k, token in enumerate(texts[1])))
    lm = LeiaLM(str(folder), dtype="float32", device="cpu")
    lm.quiet = True
    requests = [Instance("loglikelihood", {}, pair, 0, ("t", k, 1)) for k, pair in enumerate(PAIRS)]
    found = [score for score, _ in lm.loglikelihood(requests)]
    assert found == pytest.approx(expected, abs=1e-3)
    return max(abs(one - other) for one, other in zip(found, expected, strict=True))


def test_it_is_trained_and_the_finished_model_is_scored_as_by_plain_transformers(workspace, base, rows):
    if base.name == "marian":
        pytest.skip("transformers itself does not score by its decoder alone, unless told to use no cache")
    row = rows.setdefault(base.name, {})
    row["all"] = train(workspace, base, f"{base.name} all")
    differences = [largest_difference(workspace.folder / f"{base.name} all")]
    row["lora"] = train(workspace, base, f"{base.name} lora", "--lora_rank", "4")
    differences.append(largest_difference(workspace.folder / f"{base.name} lora"))
    row["scores"] = f"{max(differences):.0e}"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "machine", "refused"),
    [
        ("gpt2", "ddp", ""),
        ("gpt2", "zero1", ""),
        ("gpt2", "fsdp2", "lora_rank is 4: adapters of GPT2LMHeadModel, whose output layer shares "),
        ("llama", "fsdp2", ""),
        ("llama", "zero3", "lora_rank is 4: adapters are not trained under DeepSpeed ZeRO-3; "),
        ("gemma3n_text", "ddp", ""),  # some of its linear layers are never called
    ],
)
def test_adapters_are_trained_on_two_processes_as_on_one_or_refused(workspace, tmp_path, kind, machine, refused):
    base, output = save(workspace, kind), f"{kind} on {machine}"
    options = ["--lora_rank", "4", "--max_steps", "4", "--save_steps", "4", "--learning_rate", "0.003"]
    variables, _ = workspace.as_on_gpus(tmp_path) if machine == "fsdp2" else ({}, None)
    variables |= {"ACCELERATE_CONFIG": workspace.machine(machine), "MODEL_NAME_OR_PATH": str(base)}
    on_two = ["--use_cpu", "false"] if machine == "fsdp2" else []
    text = workspace.train(output, *options, *on_two, code=1 if refused else 0, **variables)
    if refused:
        assert text.splitlines()[-1].startswith(f"error: {refused}") and "Traceback" not in text
        return
    if not (workspace.folder / f"{kind} alone").exists():
        workspace.train_here(f"{kind} alone", *options, model_name_or_path=str(base))
    losses = [[entry["loss"] for entry in workspace.log(name)] for name in (output, f"{kind} alone")]
    assert losses[0] == pytest.approx(losses[1], abs=1e-4)
    weights, expected = workspace.weights(output), workspace.weights(f"{kind} alone")
    for name, weight in weights.items():
        torch.testing.assert_close(weight, expected[name], rtol=0, atol=1e-3)
