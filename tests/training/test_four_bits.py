"""Adapters on weights of 4 bits: they train, and are merged into the weights that the base has on disk."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_workspace import STEPS, Workspace
from transformers import AutoModelForCausalLM, LlamaConfig

from leia.base.errors import InputError, UsageError
from leia.training.estimate import FOUR_BITS, kept_for_backward, memory, size_of
from leia.training.machine import Machine
from leia.training.metrics import flops_per_token
from leia.training.model import add_lora, load_model

ROOT = Path(__file__).parents[2]
LLAMA_1B = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32}
LLAMA_1B |= {"num_key_value_heads": 8, "head_dim": 64}
BITS = {"lora_rank": 4, "load_in_4bit": "true"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("four bits"))


def test_what_cannot_be_is_refused_in_one_line(workspace, monkeypatch):
    with pytest.raises(UsageError, match=r"load_in_4bit is for adapters, .* give lora_rank"):
        workspace.train_here("run", load_in_4bit="true")
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(InputError, match=r"load_in_4bit: weights of 4 bits are not trained on under FSDP; .* one GPU"):
        workspace.train_here("run", **BITS)
    monkeypatch.delenv("ACCELERATE_USE_FSDP")
    if not find_spec("bitsandbytes"):
        with pytest.raises(InputError, match="load_in_4bit: needs bitsandbytes; pip install bitsandbytes, or"):
            workspace.train_here("run", **BITS)


def test_a_missing_package_of_the_optimizer_is_one_line(workspace):
    if find_spec("bitsandbytes"):
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(InputError, match="optim is adamw_bnb_8bit: You need to install `bitsandbytes`"):
        workspace.train_here("run", "--optim", "adamw_bnb_8bit")


def test_adapters_on_weights_of_4_bits_are_trained_continued_and_merged(workspace):
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    workspace.train_here("whole", lora_rank=4)
    workspace.train_here("bits", **BITS)
    losses = [[entry["loss"] for entry in workspace.log(name)] for name in ("whole", "bits")]
    assert losses[0] != losses[1] and losses[0] == pytest.approx(losses[1], abs=0.02)
    assert losses[1][-1] < losses[1][0]

    folder = workspace.folder / "bits"
    base, final = (load_file(path / "model.safetensors") for path in (workspace.folder / "model", folder))
    adapters = load_file(folder / f"checkpoint-{STEPS}" / "adapter_model.safetensors")
    name = "model.layers.0.mlp.down_proj"
    down, up = (adapters[f"base_model.model.{name}.lora_{part}.weight"] for part in "AB")
    assert up.any()
    torch.testing.assert_close(final[f"{name}.weight"], base[f"{name}.weight"] + 2 * up @ down, rtol=0, atol=1e-7)
    assert final.keys() == base.keys() and "quantization_config" not in json.loads((folder / "config.json").read_text())

    for path in (*folder.glob("*.json"), *folder.glob("*.safetensors")):
        path.unlink()
    last = folder / f"checkpoint-{STEPS}"
    last.rename(workspace.folder / "undisturbed")
    workspace.train_here("bits", "--resume_from_checkpoint", "last", **BITS)
    again = load_file(last / "adapter_model.safetensors")
    assert all(torch.equal(again[name], adapter) for name, adapter in adapters.items())


def test_small_1b_tells_the_memory_that_a_dry_run_reckons():
    """GiB of all weights with AdamW, with bitsandbytes' in 8 bits (compiled or not), and of adapters on 4 bits."""
    tells = (ROOT / "configs/train/small_1b.yaml").read_text(encoding="utf-8")
    config = LlamaConfig(**LLAMA_1B, vocab_size=128_258, tie_word_embeddings=True)

    def needs(optimizer, compiled=True, lora_rank=0):
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16, attn_implementation="sdpa")
        model = add_lora(model, lora_rank, (128_256, 128_257), seed=0) if lora_rank else model
        found = memory(size_of(model), kept_for_backward(model, 2, 2048), Machine(), tokens=2 * 2048, bf16=True,
                       recomputed="full", compiled=compiled, optimizer=optimizer, four_bits=lora_rank > 0)  # fmt: skip
        return f"{found.total / 2**30:.1f} GiB"

    assert f"Together\n# {needs('adamw_torch_fused')}, of 22.8 that may be used" in tells
    assert f"but for the embeddings', {needs('adamw_bnb_8bit')};" in tells
    assert f"adamw_bnb_8bit ({needs('adamw_bnb_8bit', compiled=False)})" in tells
    assert f"adapters on weights of 4 bits, {needs('adamw_torch_fused', lora_rank=16)};" in tells


def test_operations_are_counted_of_the_numbers_and_memory_of_their_bytes(workspace):
    Linear4bit = pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed").nn.Linear4bit
    models = [load_model(str(workspace.folder / "model"), "sdpa", torch.float32, four_bits=four) for four in (0, 1)]
    assert models[1].model.layers[0].mlp.down_proj.weight.dtype == torch.uint8
    linear = Linear4bit(512, 512, bias=False, compress_statistics=True).to("cpu").weight
    scales, scales_of_scales = linear.quant_state.absmax, linear.quant_state.state2.absmax
    assert linear.nbytes + scales.nbytes + scales_of_scales.nbytes == FOUR_BITS * 512 * 512
    counted = {flops_per_token(add_lora(model, 4, (1, 2), seed=0), 64) for model in models}
    assert len(counted) == 1
