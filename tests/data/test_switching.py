"""Names in several languages: as the text has their spaces, one language a unit, in the proportions asked for."""

import json
import random
from collections import Counter
from itertools import islice

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from streams import run_ranks
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from leia.base.datasets import PREPROCESSED_SCHEMA, EncodedArticle, EncodedArticles
from leia.base.errors import InputError
from leia.base.step import Counts
from leia.corpus.sentences import sentence_starts
from leia.data import LeiaConstantLengthDataset, LeiaDataCollator
from leia.data.alignment import NO_TOKEN, Aligner
from leia.data.collator import IGNORED_LABEL
from leia.data.encoding import encode_dataset
from leia.data.insertion import NEVER
from leia.data.name_spaces import Spaces
from leia.data.name_tags import choose_tags
from leia.data.switching import Switching, switch_names, weights_of
from leia.data.units import candidates_of_units, unit_bounds

LANGUAGES = ("de", "fr", "ja", "sw")
NAMES = {
    "Qreef": {"de": "Korallenriff", "fr": "Récif corallien", "ja": "サンゴ礁"},
    "Qisland": {"de": "Insel", "fr": "Île", "ja": "島", "sw": "Kisiwa"},
    "Qvolcano": {"de": "Vulkan", "sw": "Volkeno"},
    "Qlighthouse": {"xx": "Farilo"},
}
SENTENCES = [
    ("The [reef] lies off the [island].", {"de", "fr", "ja"}),
    ("The [volcano] rises from the [reef].", {"de"}),
    ("The [volcano] of the [island]s and the [town].", {"de", "sw"}),
    ("A [lighthouse] on an [island].", set()),
]
"""The sentences of docs/experiments.md and the languages that name all entities of each; the town has no id."""

WORDS = ["The reef", "island", "lies off", "火", "日本", "New York", "(x)", "12", "Îles", "熱い", "s", "é"]
SEPARATORS = ["", " ", "  ", "\n", "("]
TRAINING_TEXTS = [" ".join([*WORDS, *(name for names in NAMES.values() for name in names.values())])] * 20


def sentencepiece():
    """As Llama's: byte fallback, a space put in front of a text."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=["<unk>", "</s>"], show_progress=False)
    backend.train_from_iterator(TRAINING_TEXTS, trainer)
    state = json.loads(backend.to_str())
    vocabulary = state["model"]["vocab"]
    for token in (f"<0x{byte:02X}>" for byte in range(256)):
        vocabulary.setdefault(token, len(vocabulary))
    state["model"]["byte_fallback"] = True
    backend = Tokenizer.from_str(json.dumps(state))
    backend.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return backend


def byte_level():
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<unk>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(TRAINING_TEXTS, trainer)
    return backend


def wordpiece():
    backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=False)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(vocab_size=300, special_tokens=["<unk>", "</s>"], show_progress=False)
    backend.train_from_iterator(TRAINING_TEXTS, trainer)
    # Each letter in each place, so that no word is unknown.
    letters = sorted(set("".join([*TRAINING_TEXTS, *SEPARATORS])))
    known = backend.get_vocab()
    for piece in (piece for letter in letters for piece in (letter, f"##{letter}")):
        known.setdefault(piece, len(known))
    backend.model = models.WordPiece(known, unk_token="<unk>")
    return backend


@pytest.fixture(scope="module", params=[sentencepiece, byte_level, wordpiece], ids=lambda make: make.__name__)
def tokenizer(request):
    return PreTrainedTokenizerFast(tokenizer_object=request.param(), unk_token="<unk>", eos_token="</s>")


@pytest.fixture(scope="module")
def llama_like():
    return PreTrainedTokenizerFast(tokenizer_object=sentencepiece(), unk_token="<unk>", eos_token="</s>")


def names_in(languages):
    return {one: {qid: names[one] for qid, names in NAMES.items() if one in names} for one in languages}


def article_of(marked: str) -> dict:
    """A row of preprocessed articles: `[island]` is a link to Qisland, `[town]` one without an id."""
    text, anchors = "", []
    for number, part in enumerate(marked.replace("]", "[").split("[")):
        if number % 2:
            qid = f"Q{part}" if f"Q{part}" in NAMES else None
            anchors.append({"start": len(text), "end": len(text) + len(part), "title": part, "wikidata_id": qid})
        text += part
    return {"title": "", "language": "en", "text": text, "anchors": anchors}


def encode(rows, tokenizer, languages, **options) -> Dataset:
    dataset = Dataset(pa.Table.from_pylist(rows, schema=PREPROCESSED_SCHEMA))
    counts = options.pop("counts", Counts())
    return Dataset(
        pa.Table.from_batches(encode_dataset(dataset, tokenizer, names_in(languages), None, 1, counts, **options))
    )


def stream_of(dataset, tokenizer, switching=None, **options):
    options = {"entity_name_insertion_prob": 1.0, "entity_name_insertion_strategy": "replace"} | options
    spaces = Spaces.of(tokenizer) if options.get("no_separator_tokens", True) else None
    options = {"no_separator_tokens": True, "spaces": spaces} | options
    return LeiaConstantLengthDataset(dataset, options.pop("max_length", 16), -1, -1, switching=switching, **options)


def plain(tokenizer, text_or_ids) -> str:
    ids = text_or_ids if isinstance(text_or_ids, list) else tokenizer(text_or_ids)["input_ids"]
    text = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
    # WordPiece decides itself where it writes spaces, and otherwise at the joint of two pieces.
    return text.replace(" ", "") if "WordPiece" in tokenizer.backend_tokenizer.to_str() else text


PARTS = st.lists(
    st.tuples(st.sampled_from(SEPARATORS), st.sampled_from(WORDS), st.sampled_from([None, *list(NAMES)[:3]])),
    min_size=1,
    max_size=12,
)


@given(PARTS, st.sampled_from(["replace", "left", "right"]), st.sampled_from(["de", "fr", "ja"]))
def test_a_switched_text_decodes_to_the_text_with_its_characters_replaced(tokenizer, parts, strategy, language):
    """Without tags: the space before the name is that before the entity; beside it stands one space."""
    text, anchors = "", []
    for separator, word, qid in parts:
        text += separator
        anchors.append({"start": len(text), "end": len(text) + len(word), "title": "", "wikidata_id": qid})
        text += word
    aligner = Aligner(tokenizer)
    (ids,) = aligner.tokenize([text])
    expected, end = "", 0
    for anchor in anchors:
        span = [anchor["start"], anchor["end"]]
        name = NAMES.get(anchor["wikidata_id"], {}).get(language)
        if name is not None and NO_TOKEN not in aligner.find_tokens(text, ids, np.array(span)):
            entity = text[span[0] : span[1]]
            placed = {"replace": name, "left": f"{name} {entity}", "right": f"{entity} {name}"}
            expected += text[end : span[0]] + placed[strategy]
            end = span[1]
    expected += text[end:]
    row = {"title": "", "language": "en", "text": text, "anchors": anchors}
    dataset = encode([row], tokenizer, [language], in_text=True)
    stream = stream_of(dataset, tokenizer, entity_name_insertion_strategy=strategy, max_length=1)
    length = len(stream._augmented(0, random.Random(1)))
    switched = [int(block["input_ids"]) for block in islice(stream, length)]
    assert plain(tokenizer, switched) == plain(tokenizer, expected)


@pytest.mark.parametrize(("sentence", "languages"), SENTENCES)
def test_the_candidates_of_a_sentence_are_the_languages_that_name_all_its_entities(llama_like, sentence, languages):
    articles = EncodedArticles(encode([article_of(sentence)], llama_like, LANGUAGES, in_text=True))
    article = articles[0]
    named = np.array([len(name) > 0 for name in article.names]).reshape(-1, 4)
    bounds = unit_bounds("sentence", article.start_positions, np.array([0]))
    (found,) = candidates_of_units(named, bounds, "all")
    assert {language for language, is_candidate in zip(LANGUAGES, found, strict=True) if is_candidate} == languages
    drawn = set()
    rng = random.Random(3)
    for _ in range(200):
        names, draws = switch_names(article, 4, None, Switching("sentence", "all"), rng)
        texts = [llama_like.decode(list(name)).strip() for name, draw in zip(names, draws, strict=True) if draw < NEVER]
        assert len(texts) in (0, len(article.start_positions)), "all entities of a unit, or none"
        drawn.add(
            frozenset(one for one in LANGUAGES if all(text in {n.get(one) for n in NAMES.values()} for text in texts))
            if texts
            else None
        )
    assert drawn == ({None} if not languages else {frozenset({one}) for one in languages})


@given(st.integers(0, 10**6), st.sampled_from(["article", "sentence", "entity"]), st.sampled_from(["any", "all"]))
def test_a_unit_has_one_language_and_draws_are_made_as_said(seed, unit, how):
    """Against a plain reading of what is drawn, from the last unit to the first."""
    drawn = random.Random(seed)
    count, languages, probability = drawn.randrange(6), 3, drawn.choice([1.0, 0.6])
    starts = sorted(drawn.sample(range(100), count))
    sentences = sorted({0, *drawn.sample(range(100), 3)})
    names = [[number] * drawn.randrange(2) for number in range(count * languages)]
    views = [memoryview(np.array(name, dtype=np.int64)) for name in names]
    article = EncodedArticle(np.arange(100), starts, [start + 1 for start in starts], views)
    found_names, found_draws = switch_names(
        article, languages, np.array(sentences), Switching(unit, how, probability), random.Random(seed)
    )
    unit_of = {
        "article": lambda k: 0,
        "sentence": lambda k: max(number for number, start in enumerate(sentences) if start <= starts[k]),
        "entity": lambda k: k,
    }[unit]
    rng = random.Random(seed)
    expected = {}
    for number in sorted({unit_of(k) for k in range(count)}, reverse=True):
        entities = [k for k in range(count) if unit_of(k) == number]
        quantifier = any if how == "any" else all
        candidates = [x for x in range(languages) if quantifier(names[k * languages + x] for k in entities)]
        is_switched = probability == 1 or rng.random() <= probability
        language = rng.choices(candidates)[0] if len(candidates) > 1 else (candidates or [None])[0]
        for k in reversed(entities):
            number_of_entity = rng.random()
            name = names[k * languages + language] if language is not None and is_switched else []
            expected[k] = (name, number_of_entity if name else NEVER)
    assert [(list(n), d) for n, d in zip(found_names, found_draws, strict=True)] == [expected[k] for k in range(count)]


@pytest.mark.parametrize("choice", ["uniform", "sqrt"])
def test_languages_are_drawn_in_the_proportions_asked_for(choice):
    manifest = {"switchable_units": {"article": {"any": {"de": 900, "fr": 400, "ja": 100}}}}
    weights = weights_of(choice, "article", "any", manifest)
    names = [memoryview(np.array([number])) for number in range(3)]
    article = EncodedArticle(np.arange(5), [2], [3], names)
    rng, found = random.Random(5), Counter()
    for _ in range(10_000):
        (name,), _ = switch_names(article, 3, None, Switching(weights=weights), rng)
        found[name[0]] += 1
    shares = [1 / 3] * 3 if choice == "uniform" else [3 / 6, 2 / 6, 1 / 6]
    assert chisquare([found[k] for k in range(3)], [10_000 * share for share in shares]).pvalue > 0.01


def test_one_language_that_always_switches_draws_nothing_more(llama_like):
    """Names in one language give the same blocks under any unit and any candidates."""
    rows = [article_of(" ".join(sentence for sentence, _ in SENTENCES))] * 5
    dataset = encode(rows, llama_like, ["de"], in_text=True, sentences=True)
    options = {"entity_name_insertion_prob": 0.5}
    expected = [block["input_ids"].tolist() for block in islice(stream_of(dataset, llama_like, **options), 20)]
    for switching in (Switching("sentence", "all"), Switching("entity")):
        stream = stream_of(dataset, llama_like, switching, **options)
        assert [block["input_ids"].tolist() for block in islice(stream, 20)] == expected
        assert "switching" not in stream.state_dict()["settings"]
    half = stream_of(dataset, llama_like, Switching(probability=0.5), **options)
    assert [block["input_ids"].tolist() for block in islice(half, 20)] != expected


def make_switching_stream():
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=sentencepiece(), unk_token="<unk>", eos_token="</s>")
    rows = [article_of(" ".join(sentence for sentence, _ in SENTENCES[number % 4 :])) for number in range(12)]
    dataset = encode(rows, tokenizer, LANGUAGES, in_text=True, sentences=True)
    switching = Switching("sentence", "any", 0.8, (3.0, 2.0, 1.0, 1.0))
    return stream_of(dataset, tokenizer, switching, shuffle=True, max_length=32)


def test_ranks_and_a_saved_state_give_the_blocks_of_one_undisturbed_stream(tmp_path):
    alone = make_switching_stream()
    undisturbed = [block["input_ids"].tolist() for block in islice(alone, 60)]
    blocks, states = run_ranks(2, make_switching_stream, tmp_path, None)
    assert blocks == undisturbed[:24]
    resumed = make_switching_stream()
    resumed.load_state_dict(json.loads(json.dumps(states[0])))
    assert [block["input_ids"].tolist() for block in islice(resumed, 36)] == undisturbed[24:]


def test_every_token_has_a_loss_but_the_first(llama_like):
    """Names without tags are learnt as any text: no label is masked for them."""
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=sentencepiece(), unk_token="<unk>", eos_token="</s>")
    choose_tags(tokenizer)
    collate = LeiaDataCollator(tokenizer)
    batch = collate(list(islice(make_switching_stream(), 8)))
    assert batch["entity_name_mask"].sum() > 10
    assert (batch["labels"][:, 1:] != IGNORED_LABEL).sum() == batch["labels"][:, 1:].numel()


def test_the_build_counts_names_sentences_and_units_by_language(llama_like):
    rows = [article_of("\n".join(sentence for sentence, _ in SENTENCES))]
    counts, facts = Counts(), {}
    dataset = encode(rows, llama_like, LANGUAGES, in_text=True, sentences=True, counts=counts, facts=facts)
    told = counts.as_dict()
    assert told["anchors"] == {
        "read": 9,
        "kept": 7,
        "dropped": {"no Wikidata id": 1, "no title in the pivot language": 1},
    }
    assert told["sentences"]["kept"] == 4 and len(dataset[0]["sentence_start_positions"]) == 4
    names = {one: told[f"anchors with an id, names in {one}"]["kept"] for one in LANGUAGES}
    assert names == {"de": 7, "fr": 5, "ja": 5, "sw": 5}
    units = facts["switchable_units"]
    assert units["sentence"]["all"] == {"de": 3, "fr": 1, "ja": 1, "sw": 1}
    assert units["sentence"]["any"] == {"de": 4, "fr": 4, "ja": 4, "sw": 4}
    assert units["entity"]["any"] == units["entity"]["all"] == names
    assert units["article"] == {"any": dict.fromkeys(LANGUAGES, 1), "all": dict.fromkeys(LANGUAGES, 0)}


def test_a_dataset_that_does_not_say_where_sentences_start_is_refused_for_units_of_sentences(llama_like):
    dataset = encode([article_of(SENTENCES[0][0])], llama_like, LANGUAGES)
    with pytest.raises(InputError, match="build it with --sentences"):
        stream_of(dataset, llama_like, Switching("sentence"))
    with pytest.raises(InputError, match="build it with --name_languages and --sentences"):
        weights_of("sqrt", "sentence", "any", None)


@pytest.mark.parametrize(
    ("text", "language", "starts"),
    [
        ("Fire is hot. Water is not.", "en", [0, 13]),
        ("Fuego\nEl fuego quema. ¿Qué? Sí.", "es", [0, 6, 22, 28]),
        ("火は熱い。水は冷たい。", "ja", [0, 5]),
        ("  Dr. Smith sleeps.  He snores.", "en", [2, 21]),
        ("", "en", []),
        ("火は熱い。", "qaa", [0]),
    ],
)
def test_sentences_start_at_lines_and_where_the_library_says(text, language, starts):
    assert sentence_starts(text, language).tolist() == starts
