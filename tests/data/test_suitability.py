"""What a tokenizer lacks is said by the first step and by the build, in one line each."""

import json

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from leia.base.errors import InputError
from leia.data.suitability import check_suitability
from leia.data.tokenizers import load_tokenizer

ROUND = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])


def save(folder, post_processor=None, **names):
    backend = Tokenizer(models.WordLevel({"<s>": 0, "</s>": 1, "<pad>": 2, "a": 3, "<unk>": 4}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    if post_processor is not None:
        backend.post_processor = post_processor
    PreTrainedTokenizerFast(tokenizer_object=backend, **names).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    return folder


def notes_of(folder):
    return check_suitability(load_tokenizer(str(folder)), str(folder))


def test_a_tokenizer_that_lacks_nothing_has_no_note(tmp_path):
    assert notes_of(save(tmp_path, ROUND, bos_token="<s>", eos_token="</s>")) == []


def test_without_eos_and_padding_it_will_not_do(tmp_path):
    save(tmp_path, ROUND, bos_token="<s>")
    with pytest.raises(
        InputError, match=r"has neither a padding token nor an EOS token, .*; name one in tokenizer_conf"
    ):
        notes_of(tmp_path)


def test_with_padding_alone_it_cannot_be_evaluated(tmp_path):
    (note,) = notes_of(save(tmp_path, ROUND, bos_token="<s>", pad_token="<pad>"))
    assert note.startswith("note: ") and "has no EOS token; --scoring paper cannot evaluate its models" in note


def test_articles_that_run_into_each_other_are_told_with_what_separates_them(tmp_path):
    (note,) = notes_of(save(tmp_path, bos_token="<s>", eos_token="</s>"))
    assert "puts no token around a text" in note and note.endswith("separate_articles puts EOS between them")


def test_the_first_step_and_the_build_say_it(tmp_path, run_script, sample_corpus):
    model = ["--model_name", save(tmp_path / "model", bos_token="<s>", eos_token="</s>")]
    assert "separate_articles" in run_script("check_tokenizer.py", *model).stderr
    wiki = sample_corpus.wikis["ja"]
    build = [*model, "--preprocessed_dataset_dir", wiki.preprocessed, "--wikidata_id_file", sample_corpus.pivot_ids]
    built = run_script("build_wikipedia_dataset.py", *build, "--output_dir", tmp_path / "dataset", "--num_workers", 1)
    assert "separate_articles" in built.stderr
    save(tmp_path / "model", bos_token="<s>")
    failed = run_script("build_wikipedia_dataset.py", *build, "--output_dir", tmp_path / "other", check=False)
    assert failed.returncode == 1 and "neither a padding token nor an EOS token" in failed.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02",
            r"model: has only a SentencePiece model; pip install sentencep",
        ),
        (
            b"IQ== 0\nIg== 1\n",
            r"model: has no tokenizer that loads \(.*tiktoken.*\); expected a model of the hub or a folder",
        ),
        (
            None,
            r"model: has no tokenizer that loads \(.*\); expected a model of the hub or a folder with tokenizer.json",
        ),
    ],
)
def test_a_model_without_tokenizer_json_is_named_with_what_it_has(tmp_path, content, reason, monkeypatch):
    monkeypatch.setattr("leia.data.suitability.find_spec", lambda name: None)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text('{"model_type": "llama"}')
    if content is not None:
        (tmp_path / "model/tokenizer.model").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        load_tokenizer(str(tmp_path / "model"))


@pytest.mark.parametrize("content", ["", "{", '{"version": "9.0"}'])
def test_a_tokenizer_json_that_is_broken_is_named(tmp_path, content):
    save(tmp_path, ROUND, bos_token="<s>", eos_token="</s>")
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(InputError, match=r"has no tokenizer that loads \(.*\); expected a model of the hub"):
        load_tokenizer(str(tmp_path))
