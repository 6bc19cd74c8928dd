"""Token boundaries, on each kind of tokenizer: the tokens of a span decode to the text of the span."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from leia.base.errors import InputError
from leia.data.alignment import NO_TOKEN, Aligner
from leia.data.tokenizers import count_ids

TRAINING_TEXTS = [
    "Fire is hot. 火は熱い。 El fuego quema, ¿no?  New York 東京都 (Tokyo)\n",
    "a b  c\t日本語 日 本 ÅÄÖ",
] * 20
BOS, EOS = "<s>", "</s>"
SPECIAL = ["<unk>", BOS, EOS]
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def byte_fallback_bpe(prepend="first"):
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=prepend, split=False)
    backend.train_from_iterator(
        TRAINING_TEXTS, trainers.BpeTrainer(vocab_size=150, special_tokens=SPECIAL, show_progress=False)
    )
    return with_byte_fallback(backend)


def with_byte_fallback(backend):
    import json

    state = json.loads(backend.to_str())
    vocabulary = state["model"]["vocab"]
    for token in BYTES:
        vocabulary.setdefault(token, len(vocabulary))
    state["model"]["byte_fallback"] = True
    backend = Tokenizer.from_str(json.dumps(state))
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return backend


def llama2_bpe():
    """As Llama 2's file has it: a normaliser puts ▁ in front and for spaces."""
    backend = byte_fallback_bpe()
    backend.pre_tokenizer = None
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return backend


def byte_level_bpe(normalizer=None):
    backend = Tokenizer(models.BPE())
    backend.normalizer = normalizer
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.post_processor = processors.ByteLevel(trim_offsets=True)
    backend.train_from_iterator(
        TRAINING_TEXTS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return backend


def unigram():
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.train_from_iterator(
        TRAINING_TEXTS,
        trainers.UnigramTrainer(vocab_size=120, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False),
    )
    return backend


def with_special_tokens(backend, template):
    special = [(token, backend.token_to_id(token)) for token in (BOS, EOS)]
    template = processors.TemplateProcessing(single=template, special_tokens=special)
    if backend.post_processor is not None:
        template = processors.Sequence([backend.post_processor, template])
    backend.post_processor = template
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=BOS, eos_token=EOS, unk_token="<unk>")


KINDS = {
    "BPE with byte fallback": with_special_tokens(byte_fallback_bpe(), [BOS, "$A"]),
    "BPE of Llama 2": with_special_tokens(llama2_bpe(), [BOS, "$A"]),
    "BPE with EOS at the end": with_special_tokens(byte_fallback_bpe(), ["$A", EOS]),
    "byte-level BPE": with_special_tokens(byte_level_bpe(), ["$A"]),
    "byte-level BPE with BOS": with_special_tokens(byte_level_bpe(), [BOS, "$A"]),
    "byte-level BPE with NFC": with_special_tokens(byte_level_bpe(normalizers.NFC()), ["$A"]),
    "Unigram": with_special_tokens(unigram(), [BOS, "$A", EOS]),
}
ALIGNERS = {kind: Aligner(tokenizer) for kind, tokenizer in KINDS.items()}
PLAIN = ["Fire", "is", " ", "  ", "\n", "火", "は", "日本", "New York", "𠮷", "é", "e\u0301", "▁", EOS, "(", "x"]
ODD = ["👩\u200d🚒", "\u200f", "\u0378", "\x00", "\t", "ﷺ", "İ", "\ufeff", "Ⅷ", "\u2028", "각", "\u1100\u1161\u11a8"]
TEXTS = st.lists(st.sampled_from(PLAIN), min_size=1, max_size=12).map("".join)
ODD_TEXTS = st.lists(st.sampled_from([*PLAIN, *ODD]) | st.characters(codec="utf-8"), min_size=1, max_size=12).map(
    "".join
)


@pytest.mark.parametrize("kind", KINDS)
@given(text=TEXTS)
def test_the_tokens_of_a_span_decode_to_its_text(kind, text):
    tokenizer, aligner = KINDS[kind], ALIGNERS[kind]
    (ids,) = aligner.tokenize([text])
    found = aligner.find_tokens(text, ids, np.arange(len(text) + 1))
    ends_with_eos = kind in ("BPE with EOS at the end", "Unigram")
    assert found[len(text)] == len(ids) - ends_with_eos
    # What does not decode to what it was made from: unknown and normalised characters, what follows a special token.
    inexact = any(part in text for part in ("▁", "e\u0301", EOS))
    for start in np.flatnonzero(found != NO_TOKEN):
        for end in np.flatnonzero(found != NO_TOKEN):
            if start < end:
                span = ids[found[start] : found[end]]
                decoded = tokenizer.backend_tokenizer.decode(span, skip_special_tokens=False)
                assert inexact or tokenizer.unk_token_id in span or decoded.strip(" ") == text[start:end].strip(" ")


def plain_find(kind, text):
    """The rule read literally, a token at a time: for each position the token that starts there, or NO_TOKEN."""
    offsets = ALIGNERS[kind].offsets(text).tolist()
    has_bos = KINDS[kind]("a").input_ids[0] == 1
    front, back = {"BPE with EOS at the end": (0, 1), "Unigram": (1, 1)}.get(kind, (has_bos, 0))
    starting, behind_a_space, reached = {}, {}, 0
    for index in range(front, len(offsets) - back):
        start, end = offsets[index]
        if start >= reached:  # else it begins inside a character of its predecessor
            starting.setdefault(start, index)
            if text[start : start + 1] == " " != text[start + 1 : start + 2]:
                behind_a_space.setdefault(start + 1, index)
        reached = max(reached, end)
    found = behind_a_space | starting | {len(text): len(offsets) - back}
    return [found.get(position, NO_TOKEN) for position in range(len(text) + 1)]


@pytest.mark.parametrize("kind", KINDS)
@given(text=ODD_TEXTS)
def test_lengths_and_offsets_find_the_tokens_of_the_rule(kind, text):
    aligner = ALIGNERS[kind]
    (ids,) = aligner.tokenize([text])
    positions = np.arange(len(text) + 1)
    by_length = aligner.find_tokens(text, ids, positions).tolist()
    assert by_length == aligner.find_tokens_by_offsets(text, positions).tolist() == plain_find(kind, text)


@pytest.mark.parametrize("kind", ["BPE with byte fallback", "BPE of Llama 2", "byte-level BPE", "Unigram"])
def test_plain_text_needs_no_offsets(kind, monkeypatch):
    aligner = ALIGNERS[kind]
    monkeypatch.setattr(aligner, "find_tokens_by_offsets", None)
    text = "Fire is hot. El fuego quema"
    (ids,) = aligner.tokenize([text])
    start, end = aligner.find_tokens(text, ids, np.array([13, 15]))
    assert KINDS[kind].decode(ids[start:end]).strip() == "El"


def test_a_boundary_inside_a_token_is_none():
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "Fire": 1, "wood": 2}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    aligner = Aligner(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>"))
    found = aligner.find_tokens("Fire wood", [1, 2], np.arange(10))
    assert found.tolist() == [0, -1, -1, -1, -1, 1, -1, -1, -1, 2]


def test_ids_may_have_gaps():
    backend = Tokenizer(models.WordLevel({"<unk>": 0, "Fire": 7, "wood": 3}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")
    aligner = Aligner(tokenizer)
    assert aligner.tokenize(["Fire wood"]) == [[7, 3]] and count_ids(tokenizer) == 8
    assert aligner.find_tokens("Fire wood", [7, 3], np.array([0, 5, 6])).tolist() == [0, 1, -1]


def test_a_cut_keeps_the_special_tokens():
    aligner = ALIGNERS["Unigram"]
    (ids,) = aligner.tokenize(["Fire is hot. Fire is hot."])
    tokenizer = KINDS["Unigram"]
    expected = tokenizer("Fire is hot. Fire is hot.", truncation=True, max_length=5)["input_ids"]
    assert aligner.cut(ids, 5) == 4
    assert ids == expected


def test_a_tokenizer_without_offsets_is_refused():
    class Slow:
        is_fast = False
        name_or_path = "some/model"

    with pytest.raises(InputError, match=r"some/model: its tokenizer \(Slow\) reports no offsets"):
        Aligner(Slow())
