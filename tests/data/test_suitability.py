"""What a tokenizer lacks is said by the first step and by the build, in one line each."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from leia.base.errors import InputError
from leia.data.alignment import Aligner
from leia.data.suitability import check_suitability
from leia.data.tokenizer_files import check_vocabulary
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
    with pytest.raises(InputError, match=r"neither an EOS nor a padding token, .*; name one in tokenizer_config"):
        notes_of(tmp_path)


def test_with_padding_alone_it_cannot_be_evaluated(tmp_path):
    (note,) = notes_of(save(tmp_path, ROUND, bos_token="<s>", pad_token="<pad>"))
    assert note.startswith("note: ") and "has no EOS token, which the evaluation needs" in note


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
    assert failed.returncode == 1 and "neither an EOS nor a padding token" in failed.stderr
    assert not (tmp_path / "other").exists()


def test_a_token_without_a_row_is_told(tmp_path):
    save(tmp_path, ROUND, bos_token="<s>", eos_token="<end>", pad_token="<pad>")
    (tmp_path / "config.json").write_text('{"model_type": "llama", "text_config": {"vocab_size": 5}}')
    (note,) = notes_of(tmp_path)
    assert "has <end> beyond the 5 rows of the model's embeddings; training makes rows" in note


def test_tags_that_are_ordinary_tokens_are_told_by_the_first_step(tmp_path, monkeypatch):
    monkeypatch.setattr("leia.data.name_tags.ENTITY_NAME_TAGS", ("a", "</translate>"))
    (note,) = notes_of(save(tmp_path, ROUND, bos_token="<s>", eos_token="</s>"))
    assert note.endswith("has a as an ordinary token; training needs another entity_name_start_tag")


def test_a_tokenizer_that_knows_no_latin_letter_serves(tmp_path):
    backend = Tokenizer(models.BPE({"<s>": 0, "火": 1, "水": 2}, []))
    backend.post_processor = ROUND
    PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="<s>").save_pretrained(tmp_path)
    assert notes_of(tmp_path) == []
    assert Aligner(load_tokenizer(str(tmp_path))).find_tokens("火水", [0, 1, 2], np.array([0, 1, 2])).tolist() == [
        1,
        2,
        3,
    ]


SENTENCEPIECE = b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02"
FILES = {
    # what lies beside config.json, and what is said of it
    "a SentencePiece model": (
        {"tokenizer.model": SENTENCEPIECE},
        "has only a SentencePiece model; pip install sentencep",
    ),
    "T5's": ({"spiece.model": SENTENCEPIECE}, "has only a SentencePiece model; pip install sentencepiece"),
    "XGLM's": ({"sentencepiece.bpe.model": SENTENCEPIECE}, "has only a SentencePiece model; pip install sentencepiece"),
    "tiktoken's": (
        {"tokenizer.model": b"IQ== 0\nIg== 1\n"},
        "has only a tokenizer.model of tiktoken; pip install tiktoken",
    ),
    "Mistral's": (
        {"tekken.json": b"{}"},
        "has only a tekken.json, which mistral-common alone reads; expected a folder",
    ),
    "no merges": (
        {"vocab.json": b'{"a": 0}'},
        "has vocab.json and no merges.txt; copy merges.txt, or a tokenizer.json, b",
    ),
    "no vocabulary": (
        {"merges.txt": b"#\na b\n"},
        "has merges.txt and no vocab.json; copy vocab.json, or a tokenizer.",
    ),
    "nothing": ({}, "has no file of a tokenizer; expected a folder with tokenizer.json"),
    "a class alone": (
        {"tokenizer_config.json": b'{"tokenizer_class": "LlamaTokenizer"}'},
        "has no file of a tokenizer; ex",
    ),
    "empty": ({"tokenizer.json": b""}, "/tokenizer.json: is damaged or cut off (.*); copy it again"),
    "cut off": (
        {"tokenizer.json": b'{"version": "1.0",'},
        "/tokenizer.json: is damaged or cut off (.*); copy it again",
    ),
    "a list": ({"tokenizer.json": b"[]"}, "/tokenizer.json: expected a JSON object; copy it again"),
    "settings cut off": (
        {"tokenizer.json": b"{}", "tokenizer_config.json": b"{"},
        "/tokenizer_config.json: is damaged or",
    ),
    "Git LFS": (
        {"tokenizer.json": b"version https://git-lfs.github.com/spec/v1\n"},
        "/tokenizer.json: is a pointer of Git ",
    ),
    "newer": (
        {"tokenizer.json": b'{"version": "9.0"}'},
        "/tokenizer.json: tokenizers .* cannot read it (.*9.0.*); it is of ",
    ),
    "newer model": (
        {"tokenizer.json": b'{"version": "1.0", "added_tokens": [], "model": {"type": "Super"}}'},
        "/tokenizer.json: tokenizers .* cannot read it (.*); it is of a newer version (pip install -U tokenizers tra",
    ),
    "code": (
        {
            "tokenizer_config.json": b'{"auto_map": {"AutoTokenizer": ["own.Own", null]}}',
            "own.py": b"class Own: pass\n",
        },
        "it has code of its own.*; read that code, then give --trust_remote_code",
    ),
    "a slow class": (
        {"vocab.json": b'{"a": 0, "<unk>": 1}', "merges.txt": b"#\na b\n", "config.json": b'{"model_type": "ctrl"}'},
        r"its tokenizer (CTRLTokenizer) reports no offsets; expected a fast tokenizer",
    ),
}


@pytest.mark.parametrize("kind", FILES)
def test_files_that_make_no_tokenizer_are_named_in_one_line_with_what_to_do(tmp_path, kind, monkeypatch):
    files, said = FILES[kind]
    monkeypatch.setattr("leia.data.tokenizer_files.find_spec", lambda name: None)
    for name, content in ({"config.json": b'{"model_type": "llama"}'} | files).items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said.replace("(", r"\(").replace(")", r"\)")) as caught:
        notes_of(tmp_path)
    assert "\n" not in str(caught.value) and str(caught.value).startswith(str(tmp_path))


def test_what_transformers_makes_of_a_sentencepiece_model_is_compared_with_it(tmp_path, monkeypatch):
    class Model:
        def __init__(self, model_file):
            self.pieces = ["<unk>", "▁a", "b"]

        def __len__(self):
            return len(self.pieces)

        def id_to_piece(self, index):
            return self.pieces[index]

        def encode(self, text):
            return encoded

        is_unknown = staticmethod(lambda index: index == 0)
        is_control = is_byte = staticmethod(lambda index: False)

    monkeypatch.setitem(sys.modules, "sentencepiece", SimpleNamespace(SentencePieceProcessor=Model))
    tokenizer = load_tokenizer(str(save(tmp_path / "made", ROUND, bos_token="<s>", eos_token="</s>")))
    (tmp_path / "tokenizer.model").write_bytes(SENTENCEPIECE)
    encoded = tokenizer("a b", add_special_tokens=False)["input_ids"]
    check_vocabulary(str(tmp_path), tokenizer)
    encoded = [0, *encoded]
    with pytest.raises(
        InputError, match=r"otherwise than the model's tokenizer.model says; make a tokenizer.json of it"
    ):
        check_vocabulary(str(tmp_path), tokenizer)
