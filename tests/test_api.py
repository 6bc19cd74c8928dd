"""`import leia` as a notebook uses it: quick to import, the rows and blocks of the scripts, texts of the user's own."""

import os
import pty
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import click
import pytest
from datasets import load_from_disk
from hypothesis import given
from hypothesis import strategies as st

import leia
from leia.base.errors import InputError
from leia.base.step import read_manifest
from leia.data.insertion import STRATEGIES
from leia.training.tiny_model import train_tokenizer

TEXT = "El fuego quema <b>leña</b> en Nueva York."
LINKS = [(3, 8, "Fire"), (18, 22, "Firewood"), (30, 40, "New York City")]
TAGS = "<translate>", "</translate>"


@pytest.fixture(scope="module")
def tokenizer(sample_corpus):
    return leia.load_tokenizer(str(sample_corpus.tiny_model))


def plain(blocks) -> str:
    """What is shown of one block, without its title."""
    return str(blocks).split("\n", 1)[1].rstrip("\n")


def test_every_public_name_is_there_and_importing_leia_needs_none_of_the_large_packages():
    code = (
        "import sys, leia, leia.data; print(sorted({'torch', 'transformers', 'datasets', 'numpy'} & set(sys.modules)));"
        "print([name for name in leia.__all__ if not callable(getattr(leia, name)) or name not in dir(leia)]);"
        "from leia.data import LeiaConstantLengthDataset, LeiaDataCollator, insert_entity_names;"
        "print(insert_entity_names is leia.insert_entity_names, hasattr(leia, 'nonsense'))"
    )
    root = Path(leia.__file__).parents[1]
    shown = subprocess.run([sys.executable, "-c", code], cwd=root, check=True, capture_output=True, text=True).stdout
    assert shown.splitlines() == ["[]", "[]", "True False"]


@pytest.mark.parametrize("language", ["es", "ja"])
def test_articles_encoded_in_memory_are_the_dataset_of_the_build(sample_corpus, tokenizer, language):
    wiki, counts = sample_corpus.wikis[language], leia.Counts()
    articles = leia.open_articles(wiki.preprocessed)
    encoded = leia.encode_articles(articles, tokenizer, sample_corpus.pivot_ids, counts=counts)
    assert encoded.to_list() == leia.open_training_dataset(wiki.dataset).to_list()
    tally = read_manifest(wiki.dataset)["tally"]
    assert counts.as_dict()["anchors"] == tally["anchors"] and tally["anchors"]["dropped"]


def test_another_tokenizer_encodes_the_same_articles(sample_corpus):
    articles = leia.open_articles(sample_corpus.wikis["es"].preprocessed)
    other = train_tokenizer(articles["text"], 600)
    encoded = leia.encode_articles(articles, other, sample_corpus.pivot_ids, max_length=50)
    assert len(encoded) == len(articles) and max(map(len, encoded["input_ids"])) == 50
    assert other.decode(encoded[0]["input_ids"], skip_special_tokens=True).strip() in articles[0]["text"]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_text_of_ones_own_is_augmented_as_the_strategy_says(tokenizer, strategy):
    shown = plain(leia.augment(TEXT, LINKS, tokenizer, strategy))
    expected = TEXT
    for start, end, name in reversed(LINKS):
        covered, tagged = TEXT[start:end], f"<translate> {name}</translate>"
        parts = {"left": tagged + " " + covered, "right": covered + tagged, "replace": tagged, "none": covered}
        expected = expected[:start] + parts[strategy] + expected[end:]
    assert "".join(shown.split()) == "".join(f"<s>{expected}".split())


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_names_without_tags_are_shown_apart_from_the_text(tokenizer, strategy):
    tagged, bare = (leia.augment(TEXT, LINKS, tokenizer, strategy, no_separator_tokens=bare) for bare in (False, True))
    tags = tagged.tokenizer.convert_tokens_to_ids(list(TAGS))
    assert bare.ids == [[index for index in tagged.ids[0] if index not in tags]]
    names = [run for kind, run in tagged.blocks[0].runs(tags) if kind == "name"]
    assert [run for kind, run in bare.blocks[0].runs(tags) if kind == "name"] == names
    assert f"{len(names)} names" in str(bare) and TAGS[0] not in str(bare)
    assert bare._repr_html_().count("background") == len(names)


def test_the_articles_of_the_build_are_augmented_alike_as_texts_of_ones_own(sample_corpus, tokenizer):
    wiki = sample_corpus.wikis["ja"]
    encoded = leia.open_training_dataset(wiki.dataset)
    ids = {title: qid for title, qid in _pairs(sample_corpus.pivot_ids)}
    names = {qid: re.sub(r"\(.*?\)", "", title).strip() for title, qid in ids.items()}
    excluded = {qid for title, qid in ids.items() if title.startswith(("Category:", "List of", "Wikipedia:"))}
    for article, row in zip(leia.open_articles(wiki.preprocessed), encoded, strict=True):
        links = [
            (anchor["start"], anchor["end"], names[anchor["wikidata_id"]])
            for anchor in article["anchors"]
            if anchor["wikidata_id"] in names.keys() - excluded
        ]
        blocks = leia.augment(article["text"], links, tokenizer, "none")
        assert blocks.ids == [row["input_ids"]]
        assert len(links) - len(blocks.dropped) == len(row["entity_start_positions"])


def _pairs(path):
    return [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_seed_draws_which_names_are_inserted(tokenizer):
    drawn = [leia.augment(TEXT, LINKS, tokenizer, prob=0.5, seed=seed) for seed in range(20)]
    again = [leia.augment(TEXT, LINKS, tokenizer, prob=0.5, seed=seed) for seed in range(20)]
    assert [blocks.ids for blocks in drawn] == [blocks.ids for blocks in again]
    assert {str(blocks).count(TAGS[0]) for blocks in drawn} >= {1, 2}
    assert TAGS[0] not in str(leia.augment(TEXT, LINKS, tokenizer, prob=0.0))


def test_a_link_off_the_token_boundaries_is_named_with_the_reason(sample_corpus):
    tokenizer = leia.load_tokenizer(str(sample_corpus.tiny_model))
    text = "de la de la"
    whole = tokenizer(text, add_special_tokens=False).tokens()
    assert "▁la" in whole, "the tokenizer has the word as one token"
    blocks = leia.augment(text, [(4, 5, "after its start"), (0, 1, "before its end"), (6, 8, "kept")], tokenizer)
    reasons = {link.name: str(reason) for link, reason in blocks.dropped.items()}
    assert reasons == {
        "before its end": "end not on a token boundary",
        "after its start": "start not on a token boundary",
    }
    line = "dropped: before its end at the characters 0 to 1: end not on a token boundary"
    assert line in str(blocks) and line in blocks._repr_html_()
    assert str(blocks).count(TAGS[0]) == 1


@pytest.mark.parametrize(
    ("links", "settings", "message"),
    [
        ([(3, 99, "Fire")], {}, "end=99.*expected .* within 0 to 41 characters"),
        ([(-2, 3, "Fire")], {}, "start=-2"),
        ([(5, 5, "Fire")], {}, "a start and a later end"),
        ([(3, 8, "")], {}, "expected a name"),
        ([(3, 8, "Fire"), (5, 14, "Burning")], {}, "'Fire'.*'Burning'.* overlap; expected"),
        (LINKS, {"strategy": "middle"}, "unknown entity name insertion strategy 'middle'; it is one of left, right"),
        (LINKS, {"prob": 1.5}, "probability is 1.5"),
    ],
)
def test_a_mistake_is_said_in_one_line(tokenizer, links, settings, message):
    with pytest.raises(ValueError, match=message) as caught:
        leia.augment(TEXT, links, tokenizer, **settings)
    assert "\n" not in str(caught.value)


def test_the_tokenizer_given_stays_as_it_is(sample_corpus):
    tokenizer = leia.load_tokenizer(str(sample_corpus.tiny_model))
    before = len(tokenizer)
    literal = leia.augment("a <translate> b", [], tokenizer)
    dataset = leia.open_training_dataset(sample_corpus.wikis["es"].dataset)
    leia.preview(dataset, tokenizer, num_blocks=1)
    assert len(tokenizer) == before and before not in literal.ids[0]


def test_the_preview_shows_the_first_blocks_of_the_training_stream(sample_corpus, tokenizer, run_script):
    folder = sample_corpus.wikis["es"].dataset
    settings = {"strategy": "left", "prob": 0.4, "max_length": 64, "seed": 7}
    blocks = leia.preview(leia.open_training_dataset(folder), tokenizer, num_blocks=4, **settings)
    options = ["--model_name", sample_corpus.tiny_model, "--dataset_dir", folder, "--max_length", 64, "--seed", 7]
    options += ["--entity_name_insertion_strategy", "left", "--entity_name_insertion_prob", 0.4, "--num_samples", 4]
    assert run_script("preview_dataset.py", *options).stdout.rstrip() == str(blocks).rstrip()


def test_a_dataset_of_another_tokenizer_is_refused(sample_corpus):
    dataset = load_from_disk(str(sample_corpus.wikis["es"].dataset))
    with pytest.raises(InputError, match="holds the ids"):
        leia.preview(dataset, train_tokenizer(["another text"] * 9, 400))


def test_a_terminal_gets_colours_and_a_pipe_none(tokenizer, monkeypatch, capsys):
    blocks = leia.augment(TEXT, LINKS, tokenizer)
    blocks.show()
    assert capsys.readouterr().out.rstrip() == str(blocks).rstrip() and "\x1b" not in str(blocks)
    terminal, window = pty.openpty()
    with os.fdopen(window, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        blocks.show()
        shown = os.read(terminal, 10_000).decode()
    assert "\x1b[90m<translate>" in shown
    assert click.unstyle(shown).split() == str(blocks).split()


@given(st.text(alphabet=st.sampled_from("<&>\"'a é火\n\x1b\u202e"), max_size=30))
def test_a_notebook_shows_the_same_text_and_no_markup_of_it(tokenizer, text):
    links = [(0, len(text), text)] if text else []
    blocks = leia.augment(text, links, tokenizer)
    html = blocks._repr_html_()
    assert not re.search("[\x1b\u202e]", html)
    assert set(re.findall(r"<(/?\w+)", html)) <= {
        "p",
        "/p",
        "b",
        "/b",
        "div",
        "/div",
        "span",
        "/span",
        "small",
        "/small",
    }
    body = re.search(r"(?s)<div[^>]*>(.*)</div>", html)[1]
    assert unescape(re.sub(r"<[^>]*>", "", body)) in str(blocks)
