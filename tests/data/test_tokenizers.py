"""Token ids are those that `tokenizer.json` itself gives, in every step and for every kind of today's tokenizers."""

import json

import numpy as np
import pytest
from datasets import load_from_disk
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from leia.base import once
from leia.base.errors import InputError
from leia.data.alignment import NO_TOKEN, Aligner
from leia.data.name_tags import ENTITY_NAME_TAGS, add_entity_name_tags
from leia.data.specification import deviating_parts, neutral_tokenizer
from leia.data.tokenizers import check_dataset, load_tokenizer, tokenizer_identity
from leia.training.finish import tokenizer_note

CORPUS = [
    *["the dog and the  cat of Kyoto", "火は熱い。 京都 は日本の都市"],
    *["un río,  una montaña\n\ny el mar", "1234 don't 'tis"],
] * 4
LETTERS = Regex(r"'s|'t| ?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+|\s*[\r\n]+|\s+(?!\S)|\s+")
METASPACE = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])


def byte_fallback(normalizer, specials):
    """A vocabulary of SentencePiece's kind: pieces with `▁`, the bytes for what it lacks."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=specials, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    learnt = json.loads(backend.to_str())["model"]
    tokens = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *list(learnt["vocab"])[len(specials) :]]
    vocabulary = {token: index for index, token in enumerate(dict.fromkeys(tokens))}
    merges = [tuple(merge) for merge in learnt["merges"]]
    backend.model = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    backend.pre_tokenizer = None
    backend.decoder = METASPACE
    bos = "<bos>" if "<bos>" in specials else "<s>"
    backend.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, vocabulary[bos])])
    return backend


def byte_level(pre_tokenizer, specials, normalizer=None, post_processor=None):
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer, backend.decoder = pre_tokenizer, decoders.ByteLevel()
    if normalizer is not None:
        backend.normalizer = normalizer
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    settings = {"special_tokens": specials, "initial_alphabet": alphabet, "show_progress": False}
    backend.train_from_iterator(CORPUS, trainers.BpeTrainer(vocab_size=400, **settings))
    if post_processor is not None:
        backend.post_processor = post_processor(backend)
    return backend


def split_and_bytes():
    parts = [pre_tokenizers.Split(LETTERS, "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    return pre_tokenizers.Sequence(parts)


def llama3_ends(backend):
    bos = "<|begin_of_text|>"
    ends = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))])
    return processors.Sequence([processors.ByteLevel(trim_offsets=False), ends])


def llama2():
    prepended = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return byte_fallback(prepended, ["<unk>", "<s>", "</s>"])


def gemma():
    return byte_fallback(normalizers.Replace(" ", "▁"), ["<pad>", "<eos>", "<bos>", "<unk>"])


def llama3():
    return byte_level(split_and_bytes(), ["<|begin_of_text|>", "<|end_of_text|>"], post_processor=llama3_ends)


def qwen2():
    """With NFKC, which its class does not have: for transformers 5 all of this type are of its own class."""
    ends = processors.ByteLevel(trim_offsets=False)
    return byte_level(split_and_bytes(), ["<|end|>"], normalizers.NFKC(), lambda _: ends)


def qwen3():
    return byte_level(split_and_bytes(), ["<|end|>"], normalizers.NFC())


def gpt2():
    return byte_level(pre_tokenizers.ByteLevel(True), ["<|end|>"], post_processor=lambda _: processors.ByteLevel())


KINDS = {
    # name: tokenizer class on the hub, type of the model, end of text, what makes the tokenizer
    "Llama 2": ("LlamaTokenizer", "llama", "</s>", llama2),
    "Mistral": ("LlamaTokenizer", "mistral", "</s>", llama2),
    "Gemma": ("GemmaTokenizer", "gemma", "<eos>", gemma),
    "Llama 3": ("PreTrainedTokenizerFast", "llama", "<|end_of_text|>", llama3),
    "Qwen 2": ("Qwen2Tokenizer", "qwen2", "<|end|>", qwen2),
    "Qwen 3": ("Qwen2Tokenizer", "qwen3", "<|end|>", qwen3),
    "GPT-2": ("GPT2Tokenizer", "gpt2", "<|end|>", gpt2),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Of each kind a folder as the hub holds it."""
    root, made = tmp_path_factory.mktemp("hub"), {}
    for kind, (class_name, model_type, eos, make) in KINDS.items():
        folder = made[kind] = root / kind
        folder.mkdir()
        make().save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": class_name, "eos_token": eos, "model_max_length": 512, "chat_template": "{{ 1 }}"}
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    return made


@pytest.fixture(scope="module")
def loaded(folders):
    """Of each kind: what the file says, without and with the tags; our tokenizer without and with them, and the aligner
    of the build; the folder that the tokenizer with the tags was saved to, and what plain transformers loads from it,
    by the class that the card names."""
    found = {}
    for kind, folder in folders.items():
        said, tagged = (Tokenizer.from_file(str(folder / "tokenizer.json")) for _ in range(2))
        tagged.add_special_tokens([AddedToken(tag, normalized=False, special=True) for tag in ENTITY_NAME_TAGS])
        untagged, ours = (load_tokenizer(str(folder)) for _ in range(2))
        add_entity_name_tags(ours)
        saved = folder.parent / f"saved {kind}"
        ours.save_pretrained(saved)
        (saved / "config.json").write_bytes((folder / "config.json").read_bytes())
        note = tokenizer_note(saved, trust_remote_code=False)
        plain = (PreTrainedTokenizerFast if "PreTrainedTokenizerFast" in note else AutoTokenizer).from_pretrained(saved)
        found[kind] = (said, tagged, untagged, ours, Aligner(load_tokenizer(str(folder))), saved, plain)
    return found


PIECES = [" ", "  ", "dog", "Kyoto", "火は", "。", "\n", "\n\n", "é", "12", "'s", "\t", "１", "\u3000"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


@pytest.mark.parametrize("kind", KINDS)
@example(before=" dog", after="  dog ")
@example(before="\ndog\n\n", after="火は")
@given(before=TEXTS, after=TEXTS)
def test_ids_are_those_of_the_file_in_every_step(loaded, kind, before, after):
    said, tagged, untagged, ours, aligner, _, plain = loaded[kind]
    with_ends, alone = said.encode(before).ids, said.encode(before, add_special_tokens=False).ids
    assert untagged(before)["input_ids"] == with_ends, "preview, training"
    assert untagged(before, add_special_tokens=False)["input_ids"] == alone, "evaluation"
    assert aligner.tokenize([before]) == [with_ends] and aligner.tokenize_names([before]) == [alone], "build"
    around = f"{before}<translate>{before}</translate>{after}"
    assert ours(around)["input_ids"] == plain(around)["input_ids"] == tagged.encode(around).ids, "tags, saved model"


@pytest.mark.parametrize("kind", KINDS)
@given(before=TEXTS, word=st.sampled_from(["dog", "Kyoto", "火", "12"]), after=TEXTS)
def test_a_name_is_put_at_the_tokens_of_its_link(loaded, kind, before, word, after):
    *_, tokenizer, aligner, _, _ = loaded[kind]
    text, positions = f"a{before}{word}{after}", np.array([1 + len(before), 1 + len(before) + len(word)])
    (ids,) = aligner.tokenize([text])
    quick = aligner.find_tokens(text, ids, positions)
    assert quick.tolist() == aligner.find_tokens_by_offsets(text, positions).tolist()
    if NO_TOKEN not in quick:
        assert tokenizer.decode(ids[quick[0] : quick[1]]).strip() == word


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_says_how_to_load_what_plain_transformers_would_make_anew(loaded, kind):
    """Of Qwen 2's type all are of its class for transformers 5, whatever their files say."""
    _, tagged, *_, folder, _ = loaded[kind]
    text = " the  dog<translate> Kyoto </translate>\n火は １"
    note = tokenizer_note(folder, trust_remote_code=False)
    assert ("PreTrainedTokenizerFast.from_pretrained" in note) == (kind == "Qwen 2")
    assert (AutoTokenizer.from_pretrained(folder)(text)["input_ids"] != tagged.encode(text).ids) == (kind == "Qwen 2")
    assert load_tokenizer(str(folder))(text)["input_ids"] == tagged.encode(text).ids


def copied(folder, target, config):
    """The files of a kind with another tokenizer_config.json."""
    for name in ("tokenizer.json", "config.json"):
        (target / name).write_bytes((folder / name).read_bytes())
    (target / "tokenizer_config.json").write_text(json.dumps(config))
    return str(target)


def test_what_the_file_does_not_say_stays(folders):
    plain = AutoTokenizer.from_pretrained(folders["Llama 2"])
    tokenizer = load_tokenizer(str(folders["Llama 2"]))
    assert "normaliser and pre-tokenizer" in deviating_parts(plain, tokenizer)
    assert (tokenizer.eos_token, tokenizer.model_max_length, tokenizer.chat_template) == ("</s>", 512, "{{ 1 }}")
    assert (tokenizer.name_or_path, tokenizer.padding_side) == (str(folders["Llama 2"]), plain.padding_side)


def test_tokens_of_the_other_files_stay_and_those_of_the_class_alone_do_not(folders, tmp_path):
    folder = copied(folders["Llama 2"], tmp_path, {"tokenizer_class": "LlamaTokenizer", "eos_token": "</s>"})
    size = len(load_tokenizer(folder))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<pad>": size}))
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"pad_token": "<pad>", "eos_token": "</s>"}))
    tokenizer = load_tokenizer(folder)
    assert (tokenizer.pad_token_id, len(tokenizer)) == (size, size + 1)
    gemma = load_tokenizer(str(folders["Gemma"]))
    plain = AutoTokenizer.from_pretrained(folders["Gemma"])
    assert "<mask>" in plain.get_vocab() and "<mask>" not in gemma.get_vocab()


def test_special_tokens_that_only_the_class_names_are_known(folders, tmp_path):
    tokenizer = load_tokenizer(copied(folders["Llama 2"], tmp_path, {"tokenizer_class": "LlamaTokenizer"}))
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (1, 2)


def test_the_file_decides_on_the_tokens_around_a_text(folders, tmp_path):
    config = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>"}
    folder = copied(folders["Llama 2"], tmp_path, config | {"add_bos_token": False, "add_eos_token": True})
    said = Tokenizer.from_file(f"{folder}/tokenizer.json")
    assert load_tokenizer(folder)("a")["input_ids"] == said.encode("a").ids


def test_a_class_that_does_what_the_file_says_is_kept_and_nothing_is_said(folders, tmp_path, caplog):
    """GPT-2's file has empty strings and settings without effect where its class has none."""
    backend = byte_level(
        pre_tokenizers.ByteLevel(False), ["<|endoftext|>"], post_processor=lambda _: processors.ByteLevel()
    )
    said = json.loads(backend.to_str())
    said["model"] |= {"continuing_subword_prefix": "", "end_of_word_suffix": ""}
    said["pre_tokenizer"]["trim_offsets"], said["decoder"]["use_regex"] = False, False
    folder = copied(folders["GPT-2"], tmp_path, {"tokenizer_class": "GPT2Tokenizer", "eos_token": "<|endoftext|>"})
    (tmp_path / "tokenizer.json").write_text(json.dumps(said))
    assert type(load_tokenizer(folder)) is type(AutoTokenizer.from_pretrained(folder)) is not PreTrainedTokenizerFast
    assert "would load" not in caplog.text and not tokenizer_note(tmp_path, trust_remote_code=False)


def test_a_tokenizer_with_code_of_its_own_is_left_alone(folders):
    class OwnTokenizer(PreTrainedTokenizerFast):
        pass

    assert neutral_tokenizer(str(folders["Llama 2"]), OwnTokenizer.from_pretrained(folders["Llama 2"])) is None


def test_the_log_says_once_where_transformers_would_give_other_ids(folders, caplog, monkeypatch):
    def said():
        return [record.message for record in caplog.records if record.name == "leia.base.once"]

    monkeypatch.setattr(once, "_SAID", set())
    for kind in ("Llama 2", "Llama 2", "Llama 3"):
        load_tokenizer(str(folders[kind]))
    (line,) = said()
    assert "Llama 2: transformers would load LlamaTokenizer with that class's own normaliser and pre-tokenizer" in line
    monkeypatch.setattr(once, "_SAID", set())
    monkeypatch.setenv("RANK", "1")
    load_tokenizer(str(folders["Llama 2"]))
    assert said() == [line], "the first process is enough"


def test_two_ways_to_split_are_two_identities_and_an_older_dataset_names_none(folders, sample_corpus, tmp_path):
    one, other = load_tokenizer(str(folders["Llama 2"])), AutoTokenizer.from_pretrained(folders["Llama 2"])
    ours, theirs = tokenizer_identity(one), tokenizer_identity(other)
    assert ours["sha256"] == theirs["sha256"] and ours["specification"] != theirs["specification"]
    add_entity_name_tags(one)
    one.backend_tokenizer.enable_truncation(9)
    assert tokenizer_identity(one) == ours
    one.save_pretrained(tmp_path)
    assert tokenizer_identity(load_tokenizer(str(tmp_path))) == ours
    dataset = load_from_disk(sample_corpus.wikis["es"].dataset)
    manifest = {"greatest_id": 5, "options": {"tokenizer": {"name": "x", **theirs}}}
    with pytest.raises(InputError, match="splits texts in another way than the model's; make the dataset with this"):
        check_dataset(dataset, one, manifest, "dataset")
    del manifest["options"]["tokenizer"]["specification"]
    check_dataset(dataset, one, manifest, "dataset")
