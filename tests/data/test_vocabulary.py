"""New tokens for a language: texts without one of them keep their ids, on every kind of tokenizer that takes them."""

import gzip
import json
from collections import Counter
from pydoc_data.topics import topics

import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from leia.base.errors import InputError
from leia.data.longer_tokenizer import check_extendable, save_longer_tokenizer
from leia.data.name_tags import ENTITY_NAME_TAGS
from leia.data.tokenizers import count_ids, load_tokenizer
from leia.data.vocabulary import NewToken, NewTokens, learn_tokens
from leia.data.words import LATIN, script_to_leave_out, words_of
from leia.training.tiny_model import train_tokenizer

ENGLISH = ["The fire is hot and the water of the lake is cold.", "Tokyo is the capital of Japan (1868)."] * 20
JAPANESE = ["東京は日本の首都である。日本では火を使う。", "これは火山である。火山は日本にもある。鰯もいる。"] * 20
NEW = 12


def byte_level(normalizer=None):
    backend = Tokenizer(models.BPE())
    backend.normalizer, backend.pre_tokenizer = normalizer, pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder, backend.post_processor = decoders.ByteLevel(), processors.ByteLevel(trim_offsets=True)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    special = ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(
        vocab_size=350, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(ENGLISH, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")


def byte_fallback(as_on_the_hub=False):
    """As Llama's: `tokenizer.json` of today, or a normaliser and no pre-tokenizer."""
    tokenizer = train_tokenizer([*ENGLISH, "火 は 日 本 の 東 京 で あ る"], 340)
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    if as_on_the_hub:
        stated = json.loads(backend.to_str()) | {"pre_tokenizer": None}
        backend = Tokenizer.from_str(json.dumps(stated))
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def unigram(with_bytes=False):
    backend = Tokenizer(models.Unigram())
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>"]
    texts = [*ENGLISH, "火 は 日 本 の 東 京 で あ る"]
    trainer = trainers.UnigramTrainer(vocab_size=90, special_tokens=special, unk_token="<unk>", show_progress=False)
    backend.train_from_iterator(texts, trainer)
    if with_bytes:
        stated = json.loads(backend.to_str())
        stated["model"]["vocab"] += [[f"<0x{byte:02X}>", -20.0] for byte in range(256)]
        stated["model"]["byte_fallback"] = True
        backend = Tokenizer.from_str(json.dumps(stated))
        backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def with_tags(tokenizer):
    tokenizer.add_special_tokens({"additional_special_tokens": list(ENTITY_NAME_TAGS)})
    return tokenizer


KINDS = {
    "byte-fallback BPE": byte_fallback,
    "byte-fallback BPE as on the hub": lambda: with_tags(byte_fallback(as_on_the_hub=True)),
    "byte-level BPE": lambda: with_tags(byte_level()),
    "byte-level BPE with NFC": lambda: byte_level(normalizers.NFC()),
    "Unigram": lambda: with_tags(unigram()),
    "Unigram with bytes": lambda: unigram(with_bytes=True),
}


@pytest.fixture(scope="module", params=KINDS)
def extended(request, tmp_path_factory):
    """The old tokenizer, the new tokens, the longer tokenizer as loaded from its files."""
    tokenizer = KINDS[request.param]()
    folder = tmp_path_factory.mktemp("tokenizers")
    new = learn_tokens(JAPANESE, tokenizer, NEW, LATIN, "the articles")
    return tokenizer, new, save_longer_tokenizer(tokenizer, new, folder)


def ids(tokenizer, text):
    return tokenizer(text)["input_ids"]


def test_old_ids_stay_and_the_new_ones_follow_the_greatest(extended):
    old, new, longer = extended
    assert len(new.tokens) == NEW and count_ids(longer) == len(longer.get_vocab()) == count_ids(old) + NEW
    assert {token: index for token, index in longer.get_vocab().items() if index < count_ids(old)} == old.get_vocab()
    for k, token in enumerate(new.tokens):
        assert longer.convert_ids_to_tokens(count_ids(old) + k) == token.text
    longer.add_special_tokens({"additional_special_tokens": ["<translate>"]})
    assert longer.convert_tokens_to_ids("<translate>") in (old.get_vocab().get("<translate>"), count_ids(old) + NEW)


LETTERS = st.sampled_from(
    [*"火東京山鰯日本のはでもあるこれ。、 ", " the", "Fire", "\n", "  ", "é", "e\u0301", "𠮷", "<s>"]
)


@given(text=st.lists(LETTERS, max_size=14).map("".join) | st.text(max_size=20))
def test_a_text_without_a_new_token_keeps_its_ids_and_each_reads_as_before(extended, text):
    old, new, longer = extended
    if not any(token.text in written(old, text) for token in new.tokens):
        assert ids(longer, text) == ids(old, text)
    if old.unk_token_id is None or old.unk_token_id not in ids(old, text):
        assert longer.decode(ids(longer, text)) == old.decode(ids(old, text))


def written(tokenizer, text):
    """`text` in the letters of the vocabulary; what stands behind a special token begins anew."""
    backend, parts = tokenizer.backend_tokenizer, text.split("<s>")
    normal = [backend.normalizer.normalize_str(part) if backend.normalizer else part for part in parts]
    if not backend.pre_tokenizer:
        return "<s>".join(normal)
    return "<s>".join("".join(cut for cut, _ in backend.pre_tokenizer.pre_tokenize_str(part)) for part in normal)


@given(text=st.lists(LETTERS, max_size=14).map("".join))
def test_bpe_cuts_a_text_as_before_and_then_puts_tokens_together(extended, text):
    old, new, longer = extended
    if '"type":"Unigram"' in old.backend_tokenizer.to_str():
        pytest.skip("where two ways to cut a text are as good, Unigram may take another one")
    pieces = {count_ids(old) + k: token.pieces for k, token in enumerate(new.tokens)}
    assert [piece for index in ids(longer, text) for piece in pieces.get(index, (index,))] == ids(old, text)


def test_texts_of_the_language_have_fewer_tokens(extended):
    old, _, longer = extended
    before, after = (sum(len(ids(one, text)) for text in JAPANESE) for one in (old, longer))
    unknown = old.unk_token_id in ids(old, JAPANESE[0])  # one token for a whole row of characters
    assert after < (0.9 if unknown else 0.7) * before


@pytest.mark.parametrize("name", ["tokenizer", "tokenizer-as-on-the-hub"])
def test_japanese_articles_are_a_fifth_shorter_and_10000_english_texts_as_they_were(shared, tmp_path, name):
    articles = Dataset.from_json(gzipped_lines(shared / "expected/jawiki-preprocessed.jsonl.gz", tmp_path))["text"]
    learnt, held = [text for k, text in enumerate(articles) if k % 10], articles[::10]
    old = load_tokenizer(str(shared / "data" / name))
    longer = save_longer_tokenizer(old, learn_tokens(learnt, old, 500, script_to_leave_out(learnt), name), tmp_path)
    before, after = (sum(map(len, one(held, add_special_tokens=False)["input_ids"])) for one in (old, longer))
    assert after <= 0.8 * before
    words = [text.split(" ") for text in topics.values()]  # the manual of Python
    texts = dict.fromkeys(" ".join(some[k : k + 5]) for some in words for k in range(0, len(some), 5))
    english = list(texts)[:10_000]
    assert len(english) == 10_000 and longer(english)["input_ids"] == old(english)["input_ids"]


def gzipped_lines(path, folder):
    rows = map(json.loads, gzip.decompress(path.read_bytes()).decode().splitlines())
    (folder / "articles.jsonl").write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in rows))
    return str(folder / "articles.jsonl")


def in_words(text, left_out=""):
    found = {}
    for letter, word in zip(text, words_of(text, left_out).tolist(), strict=True):
        found[word] = found.get(word, "") + letter
    found.pop(-1, None)
    return list(found.values())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("東京タワーは、1958年に", ["東京", "タワー", "は", "年", "に"]),
        ("el niño, 3 años", ["el", " niño", " años"]),
        ("e\u0301l a\u0301", ["e\u0301l", " a\u0301"]),
        ("हिन्दी भाषा", ["हिन्दी", " भाषा"]),
        ("\u0301 x  y", [" x", " ", " y"]),
        ("佐々木", ["佐々木"]),
        ("", []),
    ],
)
def test_a_word_is_of_one_script_with_the_space_before_it(text, words):
    assert in_words(text) == words


def test_the_latin_script_gives_no_token_of_a_language_with_letters_of_its_own():
    assert in_words("NHK は the 東京", LATIN) == [" は", " 東京"]
    assert script_to_leave_out(["東京タワー NHK", "абв"]) == LATIN and script_to_leave_out(["el niño 東"]) == ""


def test_a_pair_that_gives_an_old_token_is_left_out_and_a_second_way_to_a_new_one_is_kept():
    """`ab` has its token but no merge of `a` and `b`; `abc` comes of `a` and `bc`, too."""
    model = models.BPE({"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "x": 5}, [("b", "c")])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model))
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    new = learn_tokens(["abc"] * 5 + ["abx"] * 4 + ["xab"] * 3, tokenizer, 1, "", "")
    assert new == NewTokens([NewToken("abc", (0, 4), 5)], [("a", "bc")])


def test_old_merges_go_first(tmp_path):
    model = models.BPE({"a": 0, "b": 1, "c": 2, "bc": 3}, [("b", "c")])
    old = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(model))
    longer = save_longer_tokenizer(old, learn_tokens(["ab"] * 2, old, 1, "", ""), tmp_path)
    assert (ids(longer, "ab"), ids(longer, "abc")) == ([4], [0, 3])


def test_what_is_learnt_first_saves_most_and_a_character_counts_its_bytes():
    old = byte_fallback()
    new = learn_tokens(JAPANESE, old, NEW, LATIN, "")
    saved = [token.saved for token in new.tokens]
    assert saved == sorted(saved, reverse=True)
    text, tokens = "".join(JAPANESE), {token.text: token for token in new.tokens}
    assert tokens["首"].saved == 2 * Counter(text)["首"] and len(tokens["首"].pieces) == 3


def test_articles_that_give_too_few_are_refused_in_one_line():
    with pytest.raises(
        InputError, match=r"^ja: its articles give \d+ new tokens that occur twice, --num_new_tokens is 9"
    ):
        learn_tokens(JAPANESE, byte_fallback(), 9_000, LATIN, "ja")


def test_a_tokenizer_that_cannot_be_given_tokens_is_refused_in_one_line():
    pieces = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(InputError, match=r"^\S*: its tokenizer is of the kind WordPiece; new tokens .* one of these$"):
        check_extendable(PreTrainedTokenizerFast(tokenizer_object=pieces))
    marked = Tokenizer(models.BPE({"a</w>": 0, "a": 1}, [], end_of_word_suffix="</w>"))
    with pytest.raises(InputError, match=r"its tokenizer marks tokens by '</w>' \(end_of_word_suffix\)"):
        check_extendable(PreTrainedTokenizerFast(tokenizer_object=marked))
