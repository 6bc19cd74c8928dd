"""The model's two new tokens, and the refusal of what does not fit it."""

import json
import os
import subprocess
import sys
from functools import partial

import pyarrow as pa
import pytest
import torch
from datasets import Dataset
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3Config,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
    MambaForCausalLM,
    SiglipVisionConfig,
)

from leia.base.datasets import EncodedArticles, open_training_dataset
from leia.base.errors import InputError
from leia.base.step import read_manifest
from leia.data.encoding import with_greatest_id
from leia.data.tokenizers import check_dataset, check_model_name, load_tokenizer, tokenizer_identity
from leia.training.losses import TokenLosses
from leia.training.metrics import flops_per_token
from leia.training.model import add_lora, add_tags, attentions, check_length, load_model
from leia.training.tiny_model import make_tiny_model, train_tokenizer

TEXTS = ["El agua es una sustancia.", "東京は日本の首都である。"] * 20


@pytest.fixture(scope="module")
def make_tokenizer():
    backend = train_tokenizer(TEXTS, 600)
    return lambda: train_tokenizer(TEXTS, len(backend))


def make_model(rows: int, tied: bool) -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=rows, tie_word_embeddings=tied, **sizes))


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("padding", [0, 40])
def test_the_rows_of_the_tags_are_the_mean_of_the_former_rows(make_tokenizer, tied, padding):
    tokenizer = make_tokenizer()
    known = len(tokenizer)
    model = make_model(known + padding, tied)
    layers = (model.get_input_embeddings, model.get_output_embeddings)
    former = [layer().weight[:known].detach().clone() for layer in layers]
    tag_ids = add_tags(model, tokenizer)
    assert tag_ids == (known, known + 1) and len(tokenizer) == known + 2
    assert model.config.vocab_size == max(known + 2, known + padding), "rows that are there are used"
    for layer, rows in zip(layers, former, strict=True):
        weight = layer().weight.detach()
        assert torch.equal(weight[:known], rows)
        for tag_id in tag_ids:
            torch.testing.assert_close(weight[tag_id], rows.mean(dim=0))
    assert (model.get_input_embeddings().weight is model.get_output_embeddings().weight) == tied


def test_a_checkpoint_that_has_the_tags_is_not_extended_twice(make_tokenizer):
    tokenizer = make_tokenizer()
    model = make_model(len(tokenizer), tied=False)
    tag_ids = add_tags(model, tokenizer)
    with torch.no_grad():
        model.get_input_embeddings().weight[list(tag_ids)] = 7.0
    assert add_tags(model, tokenizer) == tag_ids
    assert (model.get_input_embeddings().weight[list(tag_ids)] == 7.0).all()
    assert model.config.vocab_size == len(tokenizer)


def rows_of(ids: list[int]) -> Dataset:
    return Dataset.from_list(
        [
            {
                "title": "",
                "input_ids": ids,
                "entity_start_positions": [0],
                "entity_end_positions": [1],
                "alternative_entity_input_ids": [ids],
            }
        ]
    )


def test_a_dataset_of_another_tokenizer_is_refused(make_tokenizer):
    tokenizer, other = make_tokenizer(), train_tokenizer(TEXTS[:1], 400)
    manifest = {"options": {"tokenizer": {"name": "mine", **tokenizer_identity(tokenizer)}}}
    check_dataset(rows_of([1, 2]), tokenizer, manifest, "dataset")
    add_tags(make_model(len(tokenizer), tied=True), tokenizer)
    check_dataset(rows_of([1, 2]), tokenizer, manifest, "dataset")
    with pytest.raises(InputError, match=r"dataset: .* mine"):
        check_dataset(rows_of([1, 2]), other, manifest, "dataset")
    with pytest.raises(InputError, match=f"1 to {len(other)}"):
        check_dataset(rows_of([1, len(other)]), other, None, "dataset")
    with pytest.raises(InputError, match="-3 to 1"):
        check_dataset(rows_of([1, -3]), other, None, "dataset")


def test_no_id_is_read_where_the_manifest_says_the_greatest(make_tokenizer):
    tokenizer, unreadable = make_tokenizer(), None
    check_dataset(unreadable, tokenizer, {"greatest_id": 1}, "dataset")
    with pytest.raises(InputError, match=f"dataset: holds the ids 0 to {len(tokenizer)},"):
        check_dataset(unreadable, tokenizer, {"greatest_id": len(tokenizer)}, "dataset")
    with pytest.raises(InputError, match="dataset: holds no token"):
        check_dataset(unreadable, tokenizer, {"greatest_id": -1}, "dataset")
    check_dataset(unreadable, tokenizer, None, "dataset of which another process reads the ids", read_ids=False)


def test_the_manifest_of_a_dataset_says_the_greatest_id_of_texts_and_names(sample_corpus):
    for wiki in sample_corpus.wikis.values():
        greatest = EncodedArticles(open_training_dataset(wiki.dataset)).id_range()[1]
        assert read_manifest(wiki.dataset)["greatest_id"] == greatest
    facts = {}
    for texts, names, greatest in (([], [], -1), ([], [7], 7), ([7, 1], [2], 7)):
        rows = {"input_ids": [texts], "alternative_entity_input_ids": [[names]]}
        kinds = [pa.list_(pa.int16()), pa.list_(pa.list_(pa.int16()))]
        batch = pa.record_batch([pa.array(*column) for column in zip(rows.values(), kinds, strict=True)], list(rows))
        assert list(with_greatest_id([batch], facts)) == [batch] and facts == {"greatest_id": greatest}


def test_a_length_over_the_models_positions_is_refused(tmp_path):
    make_tiny_model(TEXTS, tmp_path / "tiny", vocabulary_size=600, seed=1)
    check_length(str(tmp_path / "tiny"), 2048)
    with pytest.raises(InputError, match=r"4096.*2048 positions"):
        check_length(str(tmp_path / "tiny"), 4096)
    with pytest.raises(InputError, match="nowhere"):
        check_length(str(tmp_path / "nowhere"), 16)


@pytest.mark.parametrize("content", [b"", b"garbled" * 99, None], ids=["empty", "garbled", "cut"])
def test_weights_that_are_damaged_are_named_by_their_file(tmp_path, content):
    make_model(50, tied=True).save_pretrained(tmp_path, max_shard_size="5KB")
    shard = sorted(tmp_path.glob("model-*.safetensors"))[1]
    shard.write_bytes(shard.read_bytes()[:-1] if content is None else content)
    with pytest.raises(InputError, match=f"{shard.name}: is damaged "):
        load_model(str(tmp_path), "sdpa", torch.float32)


def test_the_seed_draws_the_adapters():
    first, again, other = (
        torch.cat([weight.flatten() for name, weight in model.named_parameters() if "lora_A" in name])
        for model in (add_lora(make_model(50, tied=True), 2, (48, 49), seed) for seed in (1, 1, 2))
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


@pytest.mark.parametrize("name", ["./modles", "~/modles/ja", "/modles", "modles/ja/", "work/modles/ja"])
def test_a_mistyped_folder_is_not_looked_for_on_the_hub(name):
    for load in (load_tokenizer, partial(check_length, max_length=64), check_model_name):
        with pytest.raises(InputError, match=f"^{name}: there is no such folder; expected a model folder"):
            load(name)


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("HF_ENDPOINT=http://127.0.0.1:9", "the hub cannot be reached"),
        ("HF_HUB_OFFLINE=1", "no such model in the cache"),
    ],
)
def test_a_model_that_neither_disk_nor_hub_gives_is_one_line_without_a_wait(tmp_path, variable, reason):
    code = "from leia.data.tokenizers import check_model_name as check; check('modles/ja')"
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    name, _, value = variable.partition("=")
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {name: value, "HF_HOME": str(tmp_path)},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    last = finished.stderr.splitlines()[-1]
    assert last.startswith("leia.base.errors.InputError: modles/ja: there is no such folder, and ") and reason in last
    assert "Retrying" not in finished.stderr


def test_auto_is_the_first_attention_that_the_models_class_has_whatever_its_config_asks_for(tmp_path, monkeypatch):
    if not torch.cuda.is_available():
        assert attentions() == ["sdpa", "eager"]
    monkeypatch.setattr("leia.training.model.attentions", lambda: ["flash_attention_2", "sdpa", "eager"])
    bloom = BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=16, n_layer=1, n_head=2))  # has no SDPA
    for model, expected in ((bloom, "eager"), (make_model(50, tied=True), "sdpa")):
        model.save_pretrained(tmp_path)
        config = tmp_path / "config.json"
        asked = json.loads(config.read_text()) | {"_attn_implementation": "flash_attention_2"}  # which is not installed
        config.write_text(json.dumps(asked))
        assert load_model(str(tmp_path), "auto", torch.float32).config._attn_implementation == expected


def test_an_attention_asked_for_that_the_model_lacks_is_one_line_with_what_it_has(tmp_path):
    BloomForCausalLM(BloomConfig(vocab_size=50, hidden_size=16, n_layer=1, n_head=2)).save_pretrained(tmp_path)
    with pytest.raises(
        InputError, match=r"^attn_implementation is sdpa: BloomForCausalLM cannot .*; take eager, or auto$"
    ):
        load_model(str(tmp_path), "sdpa", torch.float32)


@pytest.mark.parametrize(("change", "reason"), [
    ({"num_hidden_layers": 3}, "it lacks model.layers.2.* and 8 others;"),
    ({"intermediate_size": 32}, r"it has in another size model.layers.0.mlp.down_proj.weight and 5 others;"),
    ({"model_type": "t5"}, "no model can be loaded from it .*T5Config"),
    (None, "no model can be loaded from it .*model.safetensors"),
])  # fmt: skip
@pytest.mark.parametrize("attention", ["auto", "sdpa"])
def test_weights_that_are_not_there_are_no_random_numbers(tmp_path, change, reason, attention):
    make_model(50, tied=False).save_pretrained(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | (change or {})))
    if change is None:
        (tmp_path / "model.safetensors").unlink()
    with pytest.raises(InputError, match=f"^{tmp_path}: .*{reason}"):
        load_model(str(tmp_path), attention, torch.float32)


def test_a_model_whose_config_asks_for_tuples_is_trained_too(tmp_path):
    given = make_model(50, tied=False)
    given.config.return_dict = False
    given.save_pretrained(tmp_path)
    model = load_model(str(tmp_path), "sdpa", torch.float32)
    ids = torch.randint(0, 50, (2, 20))
    losses = TokenLosses(model)(model, ids, ids)[1]
    given.config.return_dict = True
    torch.testing.assert_close(losses, TokenLosses(given)(given, ids, ids)[1])


def test_adapters_for_a_model_that_cannot_have_them_are_refused_in_one_line(monkeypatch):
    monkeypatch.setattr("leia.training.model._without_adapters", lambda _: [])
    mamba = MambaForCausalLM(MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, state_size=4))
    with pytest.raises(InputError, match=r"^lora_rank is 2: MambaForCausalLM cannot .*; train all .* \(lora_rank 0\)$"):
        add_lora(mamba, 2, (48, 49), seed=1)


def test_the_token_losses_are_those_of_the_model(make_tokenizer):
    model = make_model(50, tied=False)
    ids = torch.randint(0, 50, (3, 20))
    labels = ids.masked_fill(torch.rand(3, 20) < 0.3, -100)
    expected = model(ids, labels=labels).loss
    total, losses = TokenLosses(model)(model, ids, labels)
    assert losses.shape == labels.shape
    torch.testing.assert_close(total / (labels[:, 1:] != -100).sum(), expected)


def test_a_model_without_attention_heads_and_one_with_its_text_part_apart_are_trained_too(make_tokenizer):
    mamba = MambaForCausalLM(MambaConfig(vocab_size=50, hidden_size=16, num_hidden_layers=2, state_size=4))
    assert flops_per_token(mamba, 64) == 6 * sum(weight.numel() for weight in mamba.parameters())
    text = Gemma3TextConfig(vocab_size=50, hidden_size=16, intermediate_size=24, num_hidden_layers=2, head_dim=8,
                            num_attention_heads=2, num_key_value_heads=1)  # fmt: skip
    sight = SiglipVisionConfig(hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2)
    model = Gemma3ForConditionalGeneration(Gemma3Config(text_config=text, vision_config=sight))
    tokenizer = make_tokenizer()
    assert add_tags(model, tokenizer) == (len(tokenizer) - 2, len(tokenizer) - 1)
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    assert flops_per_token(model, 64) > 6 * 2 * 2 * 8 * 64


@pytest.mark.parametrize("tied", [True, False])
def test_the_flops_are_those_that_torch_counts_but_for_half_of_the_attention(tied):
    from torch.utils.flop_counter import FlopCounterMode

    model = make_model(50, tied)
    model.set_attn_implementation("eager")
    length = 64
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, length, dtype=torch.long)).logits.sum().backward()
    norms = sum(weight.numel() for name, weight in model.named_parameters() if "norm" in name)
    half_of_attention = 6 * 2 * 16 * length
    with FlopCounterMode(display=False) as angles:  # of positions: a product in some versions of transformers
        model.model.rotary_emb(torch.zeros(1, length, 16), torch.arange(length)[None])
    counted = counter.get_total_flops() - angles.get_total_flops()
    assert flops_per_token(model, length) * length == counted + (6 * norms - half_of_attention) * length
