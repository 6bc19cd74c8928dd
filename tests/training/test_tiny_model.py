"""The model made on the spot: loadable by plain transformers, the same bytes each time, every text comes back."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer

from leia.base.errors import UsageError
from leia.training.tiny_model import make_tiny_model, train_tokenizer

SCRIPTS = Path(__file__).parents[2] / "scripts"
TEXTS = [
    "El agua es una sustancia cuya molécula está compuesta por dos átomos de hidrógeno y uno de oxígeno.",
    "東京は日本の首都である。東京の人口は日本で一番多い。",
] * 20


def test_the_script_makes_a_model_that_plain_transformers_loads(tmp_path):
    article = {"title": "", "language": "es", "anchors": [{"start": 0, "end": 2, "title": "", "wikidata_id": None}]}
    Dataset.from_list([article | {"text": text} for text in TEXTS]).save_to_disk(tmp_path / "pre processed")
    command = [sys.executable, SCRIPTS / "make_tiny_model.py", "--vocab_size", "600"]
    command += ["--preprocessed_dataset_dir", tmp_path / "pre processed", "--output_dir", tmp_path / "tiny"]
    subprocess.run(command, check=True, capture_output=True)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "tiny")
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
    assert len(tokenizer) <= 600
    assert model(**tokenizer(TEXTS[0], return_tensors="pt")).logits.shape[-1] == len(tokenizer)


def test_its_shape_can_be_chosen(tmp_path):
    shape = {"hidden_size": 24, "num_layers": 3, "num_heads": 2, "tie_embeddings": True}
    parameters = make_tiny_model(TEXTS, tmp_path / "tiny", 600, 1, **shape)
    config = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny").config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (24, 3, 2)
    assert config.tie_word_embeddings
    layer = 4 * 24 * 24 + 3 * 24 * 66 + 2 * 24  # attention, the gated layer, two norms
    assert parameters == config.vocab_size * 24 + 3 * layer + 24
    with pytest.raises(UsageError, match="--hidden_size is 24; expected a multiple of 10, twice the number of heads"):
        make_tiny_model(TEXTS, tmp_path / "not", 600, 1, hidden_size=24, num_heads=5)


@pytest.mark.parametrize("text", [*TEXTS[:2], "龘 and <0x0A>\n two lines", "two  spaces"])
def test_every_text_comes_back_from_its_tokens_rare_characters_as_bytes(text):
    tokenizer = train_tokenizer(TEXTS, 600)
    ids = tokenizer(text).input_ids
    assert ids[0] == tokenizer.bos_token_id and tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == text
    assert "<0xE9>" in tokenizer.convert_ids_to_tokens(tokenizer("龘").input_ids)


def test_the_same_texts_give_the_same_bytes(tmp_path):
    digests = set()
    for name in ("one", "two"):
        make_tiny_model(TEXTS, tmp_path / name, vocabulary_size=600, seed=1)
        files = [tmp_path / name / file for file in ("tokenizer.json", "model.safetensors")]
        digests.add(tuple(hashlib.sha256(file.read_bytes()).hexdigest() for file in files))
    assert len(digests) == 1
