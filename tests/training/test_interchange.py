"""The finished model is the same for older readers: their names in its files, its weights in the wanted precision.

OTHER_TRANSFORMERS names a folder with another version (pip install --target FOLDER transformers==4.57.3
'huggingface_hub<1' 'tokenizers<0.23' --no-deps); then the models are loaded by that one, too.
"""

import json
import os
import subprocess
import sys

import pytest
import torch
from architectures import LLAMA3, MODELS, SIZES, TWO, make
from evaluation_sample import make_tokenizer
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from leia.base.errors import InputError
from leia.training.finish import merged
from leia.training.interchange import older_config, older_tokenizer_config, write_older_names
from leia.training.model import add_lora, add_tags, load_model
from leia.training.weights import stored_dtype, take_over_weights, wanted_dtype

TEXTS = ["火<translate>Fire</translate>は", "hello  world </s> é", " a"]
READ = """
import sys, json, torch, transformers
from transformers import AutoModelForCausalLM, AutoTokenizer
transformers.logging.set_verbosity_error()
for folder in sys.argv[2:]:
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    ids = torch.load(f"{folder}/ids.pt")
    tokens = [AutoTokenizer.from_pretrained(folder)(text)["input_ids"] for text in json.loads(sys.argv[1])]
    torch.save((model(ids).logits, tokens), f"{folder}/found.pt")
"""


def save(folder, kind):
    """A model with its tags as transformers 5 saves it, then with the older names; its logits."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer()
    model = make(kind, len(tokenizer))
    add_tags(model, tokenizer)
    model.config.use_cache = False  # as in training
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    base = json.loads((folder / "config.json").read_text()) | {"use_cache": True}
    write_older_names(folder, base | ({"num_experts": 4} if kind == "qwen3_moe" else {}), None)
    ids = torch.arange(40)[None] * 7 % len(tokenizer)
    torch.save(ids, folder / "ids.pt")
    return model(ids).logits, [tokenizer(text)["input_ids"] for text in TEXTS]


@pytest.mark.parametrize("kind", ["llama 3", "gemma3_text", "gpt_neox", "phi"])
def test_the_older_names_change_nothing_for_the_installed_version(tmp_path, kind):
    logits, tokens = save(tmp_path, kind)
    model, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path).eval(), AutoTokenizer.from_pretrained(tmp_path)
    torch.testing.assert_close(model(torch.load(tmp_path / "ids.pt")).logits, logits, rtol=0, atol=0)
    assert [tokenizer(text)["input_ids"] for text in TEXTS] == tokens
    assert tokenizer.all_special_tokens[-2:] == ["<translate>", "</translate>"]
    config = json.loads((tmp_path / "config.json").read_text())
    names = {name: config.get(name) for name in ("rope_theta", "partial_rotary_factor", "use_cache")}
    own = {"llama 3": 5e5, "gemma3_text": 7e5, "phi": 30000.0, "gpt_neox": None}
    assert names == {
        "rope_theta": own[kind],
        "partial_rotary_factor": 0.25 if kind == "phi" else None,
        "use_cache": True,
    }
    scaling = {"llama 3": LLAMA3, "gemma3_text": TWO["full_attention"]}.get(kind)
    assert config["rope_scaling"] == (
        scaling and {name: value for name, value in scaling.items() if name != "rope_theta"}
    )
    if kind == "gemma3_text":
        assert config["rope_local_base_freq"] == 30000.0
    if kind == "gpt_neox":
        assert (config["rotary_emb_base"], config["rotary_pct"]) == (30000.0, 0.5)
    saved = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert saved["tokenizer_class"] == "PreTrainedTokenizerFast" and "extra_special_tokens" not in saved


def test_what_the_base_has_beside_it_stays_and_the_precision_is_that_of_the_weights():
    base = {"rope_theta": 5e5, "own": 1, "torch_dtype": "float16", "transformers_version": "4.34", "_name_or_path": "x"}
    base |= {"quantization_config": {}, "hidden_size": 3, "text_config": {"use_cache": True, "mine": 2}}
    config = {"model_type": "llama", "hidden_size": 4, "dtype": "bfloat16", "transformers_version": "5.0"}
    whole = older_config(
        config | {"use_cache": False, "text_config": {"model_type": "llama", "use_cache": False}}, base
    )
    text = {"model_type": "llama", "use_cache": True, "mine": 2}
    kept = {"rope_theta": 5e5, "own": 1, "torch_dtype": "bfloat16", "use_cache": True, "text_config": text}
    assert whole == config | kept


@pytest.mark.parametrize(
    ("kind", "scaling", "older"),
    [
        ("phi3", {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}, "type"),
        ("olmo2", {"rope_type": "linear", "factor": 2.0}, "type"),
        ("llama", {"rope_type": "linear", "factor": 2.0}, "rope_type"),
    ],
)
def test_scaling_has_the_fields_that_the_kind_of_model_took_alone(kind, scaling, older):
    """Phi 3 and OLMo 2 of transformers 4.57 stop at others, `rope_type` among them."""
    given = scaling | {"rope_theta": 7.0, "type": scaling["rope_type"]}
    given |= {"original_max_position_embeddings": 64} if kind == "phi3" else {}
    config = older_config({"model_type": kind, "rope_parameters": given}, {})
    assert config["rope_theta"] == 7.0
    assert config["rope_scaling"] == {
        older: scaling["rope_type"],
        **{k: scaling[k] for k in scaling if k != "rope_type"},
    }


def test_kinds_that_are_newer_than_the_older_names_have_none():
    """Transformers 5 takes `rope_scaling` for all RoPEs of Gemma 4, and stops."""
    config = AutoConfig.for_model("gemma4_text").to_dict()
    assert older_config(config, {}) == config | {"use_cache": True}


def test_a_tokenizer_says_what_older_versions_would_choose_otherwise():
    """4.57 puts no space before a text, and gives token types, unless told; a list of special tokens stops it."""
    config = {"tokenizer_class": "LlamaTokenizer", "backend": "tokenizers", "add_prefix_space": None}
    config |= {"extra_special_tokens": ["<translate>"], "model_specific_special_tokens": {"image_token": "<i>"}}
    assert older_tokenizer_config(config, {"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True}}) == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_input_names": ["input_ids", "attention_mask"],
        "add_prefix_space": True,
        "additional_special_tokens": ["<translate>"],
        "extra_special_tokens": {"image_token": "<i>"},
    }
    assert "add_prefix_space" not in older_tokenizer_config(config, {"pre_tokenizer": None})


@pytest.mark.thorough
@pytest.mark.parametrize("kind", [kind for kind in MODELS if kind != "mamba2"])  # whose infinity is written otherwise
def test_every_kind_of_model_is_the_same_for_another_version(tmp_path, kind):
    if "OTHER_TRANSFORMERS" not in os.environ:
        pytest.skip("OTHER_TRANSFORMERS names no folder with another version of transformers")
    logits, tokens = save(tmp_path, kind)
    paths = os.pathsep.join([os.environ["OTHER_TRANSFORMERS"], *sys.path])
    command = [sys.executable, "-c", READ, json.dumps(TEXTS), str(tmp_path)]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": paths}, check=True)
    found, found_tokens = torch.load(tmp_path / "found.pt")
    assert found_tokens == tokens
    torch.testing.assert_close(found, logits, rtol=0, atol=2e-3 if kind == "gemma2" else 1e-5)  # which had eager then


@pytest.mark.parametrize("shard_size", ["10GB", "20KB"])
@pytest.mark.parametrize("tied", [True, False])
def test_the_weights_have_the_wanted_precision_in_as_many_files(tmp_path, shard_size, tied):
    config = AutoConfig.for_model("llama", **SIZES, vocab_size=100, tie_word_embeddings=tied)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(tmp_path / "checkpoint", max_shard_size=shard_size)
    for dtype in (torch.float16, torch.bfloat16, torch.float32, None):
        folder = tmp_path / str(dtype)
        folder.mkdir()
        take_over_weights(tmp_path / "checkpoint", folder, dtype)
        files = sorted(folder.glob("*.safetensors"))
        assert [file.name for file in files] == sorted(file.name for file in (tmp_path / "checkpoint").glob("*.saf*rs"))
        tensors = {name: tensor for file in files for name, tensor in load_file(file).items()}
        kept = dtype in (torch.float32, None)
        assert all(file.samefile(tmp_path / "checkpoint" / file.name) == kept for file in files)
        own = {name: tensor for name, tensor in model.state_dict().items() if name in tensors}
        torch.testing.assert_close(tensors, {name: tensor.to(dtype or torch.float32) for name, tensor in own.items()})
        (folder / "config.json").write_text((tmp_path / "checkpoint/config.json").read_text())
        loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        torch.testing.assert_close(loaded.state_dict(), model.state_dict(), atol=1e-3, rtol=1e-2)
        for index in folder.glob("*.index.json"):
            size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
            assert json.loads(index.read_text())["metadata"]["total_size"] == size


def test_weights_beyond_the_range_of_a_precision_are_named(tmp_path):
    model = AutoModelForCausalLM.from_config(
        AutoConfig.for_model("llama", **SIZES, vocab_size=100), dtype=torch.float32
    )
    model.model.norm.weight.data[0] = 1e5
    model.save_pretrained(tmp_path)
    (tmp_path / "final").mkdir()
    with pytest.raises(InputError, match=r"save_dtype: model\.norm\.weight holds values beyond float16; .* bfloat16"):
        take_over_weights(tmp_path, tmp_path / "final", torch.float16)
    assert not list((tmp_path / "final").iterdir())


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [
        (torch.bfloat16, torch.bfloat16),
        (torch.float16, torch.bfloat16),
        (torch.float16, torch.float32),
        (torch.float32, torch.bfloat16),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["llama", "llama tied", "gpt2"])
def test_adapters_are_merged_in_32_bits_and_rounded_once(tmp_path, kind, stored, dtype):
    """As if all were merged in 32 bits at once, though the base is in memory as wide as it lies on disk."""
    tokenizer, base, checkpoint = make_tokenizer(), tmp_path / "base", tmp_path / "checkpoint"
    tokenizer.save_pretrained(base)
    make(kind, len(tokenizer)).to(stored).save_pretrained(base)
    model = load_model(str(base), "auto", torch.bfloat16)
    adapted = add_lora(model, 2, add_tags(model, tokenizer), seed=1)
    for name, weight in adapted.named_parameters():
        if "lora_" in name or "trainable_tokens_delta" in name:
            torch.nn.init.normal_(weight, std=0.1)
    adapted.save_pretrained(checkpoint)

    fresh, whole = (load_model(str(base), "auto", kept) for kept in (max(stored, dtype, key=width), torch.float32))
    for model in (fresh, whole):
        add_tags(model, make_tokenizer())
    whole = PeftModel.from_pretrained(whole, str(checkpoint)).merge_and_unload()
    # The checkpoint's embeddings have 16 bits; those of the tags in the input embeddings alone are trained.
    inputs, outputs = whole.get_input_embeddings().weight, whole.get_output_embeddings().weight
    tags = inputs.data[-2:].clone()
    outputs.data.copy_(fresh.get_output_embeddings().weight)
    inputs.data.copy_(fresh.get_input_embeddings().weight)
    inputs.data[-2:] = tags
    model = merged(checkpoint, str(base), False, dtype, stored)
    expected = {name: tensor.to(dtype) for name, tensor in whole.state_dict().items()}
    torch.testing.assert_close(model.state_dict(), expected, rtol=0, atol=0)
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tied == model.config.tie_word_embeddings == (kind != "llama")


def width(dtype):
    return dtype.itemsize


@pytest.mark.parametrize(
    ("wanted", "base", "dtype"),
    [
        ("auto", {"torch_dtype": "float16"}, torch.float16),
        ("auto", {"dtype": "bfloat16"}, torch.bfloat16),
        ("auto", {"text_config": {"dtype": "bfloat16"}}, torch.bfloat16),
        ("auto", {}, torch.float16),  # that of the weights
        ("auto", {"dtype": "auto"}, torch.float16),
        ("float32", {"dtype": "bfloat16"}, torch.float32),
    ],
)
@pytest.mark.parametrize("shard_size", ["10GB", "20KB"])
def test_the_precision_is_that_of_the_base_unless_another_is_wanted(tmp_path, wanted, base, dtype, shard_size):
    config = AutoConfig.for_model("llama", **SIZES, vocab_size=100)
    AutoModelForCausalLM.from_config(config, dtype=torch.float16).save_pretrained(tmp_path, max_shard_size=shard_size)
    assert wanted_dtype(wanted, base, stored_dtype(str(tmp_path))) == dtype
    (tmp_path / "empty").mkdir()
    assert stored_dtype(str(tmp_path / "empty")) is None
