"""extend_vocabulary.py: a model with new tokens that build, training and evaluation take as any other; where its new
rows start; bad input."""

import json
import re
import shutil

import pytest
import torch
from conftest import ROOT, run_here
from datasets import load_from_disk
from evaluation_sample import XCSR
from tokenizers import Tokenizer, models
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from leia.base.errors import DropReason
from leia.data.longer_tokenizer import save_longer_tokenizer
from leia.data.names import PivotTitles
from leia.data.tokenizers import count_ids, load_tokenizer
from leia.data.vocabulary import learn_tokens
from leia.data.words import LATIN
from leia.training.model import load_model
from leia.training.new_rows import names_of_mentions, sources, text_loss
from leia.training.tiny_model import make_tiny_model
from leia.training.token_rows import fill, lengthen

NEW = 120


@pytest.fixture(scope="module")
def small(sample_corpus, tmp_path_factory):
    """A model with a small vocabulary, from the sample of both languages."""
    folder = tmp_path_factory.mktemp("models") / "small"
    texts = [text for wiki in sample_corpus.wikis.values() for text in load_from_disk(wiki.preprocessed)["text"]]
    make_tiny_model(texts, folder, 700, seed=1)
    return folder


def extend(model, wiki, output, *options, number=NEW):
    inputs = ["--model_name", model, "--preprocessed_dataset_dir", wiki, "--num_new_tokens", number]
    return run_here("extend_vocabulary.py", *inputs, "--output_dir", output, "--held_out_articles", 3, *options)


@pytest.fixture(scope="module")
def extended(small, sample_corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "extended"
    ids = ["--wikidata_id_file", sample_corpus.pivot_ids]
    result = extend(small, sample_corpus.wikis["ja"].preprocessed, folder, *ids, "--start", "names")
    assert result.exit_code == 0, result.stderr
    return folder, result.stdout


def rows(folder):
    model = AutoModelForCausalLM.from_pretrained(folder)
    return model.get_input_embeddings().weight.data, model.get_output_embeddings().weight.data


def report(folder):
    return json.loads((folder / "vocabulary_report.json").read_text(encoding="utf-8"))


def test_the_new_rows_are_means_of_those_of_names_and_pieces_and_the_old_ones_stay(small, extended):
    folder, _ = extended
    old, tokens = load_tokenizer(str(small)), report(folder)["new_tokens"]
    first = count_ids(old)
    assert len(tokens) == NEW and [token["id"] for token in tokens] == list(range(first, first + NEW))
    named = [token for token in tokens if token["name"]]
    assert {"金": "Gold"}.items() <= {token["token"]: token["name"] for token in named}.items() and len(named) < NEW
    for before, after in zip(rows(small), rows(folder), strict=True):
        assert len(after) == first + NEW and torch.equal(after[:first], before)
        for token in tokens:
            own = old.convert_tokens_to_ids(token["pieces"])
            former = old(token["name"], add_special_tokens=False)["input_ids"] if token["name"] else own
            assert torch.allclose(after[token["id"]], before[former].mean(dim=0), atol=1e-6)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["vocab_size"] == first + NEW and config["rope_theta"]
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1, "weights are for whom the other files are"


def test_the_table_says_what_the_report_has(extended):
    folder, shown = extended
    found = report(folder)
    assert list(found["losses"]) == ["before", "pieces", "mean", "names"] and found["start"] == "names"
    tokens, characters = found["tokens"], found["held_out_characters"]
    assert 0 < tokens["after"] < tokens["before"]
    assert found["tokens_per_character"]["after"] == tokens["after"] / characters
    share = 1 - tokens["after"] / tokens["before"]
    assert f"{tokens['before']:,} tokens before, {tokens['after']:,} after, {share:.1%} fewer\n" in shown
    for name, loss in found["losses"].items():
        start = re.escape("before" if name == "before" else f"new tokens, start by {name}")
        numbers = rf"\| {loss['per_token']:.3f} \| {loss['per_character']:.3f} \|"
        assert re.search(rf"\| {start} \| [\d.]+ {numbers}", shown)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["step"] == "extend_vocabulary" and manifest["options"]["start"] == "names"
    assert [one["name"] for one in manifest["inputs"]] == ["jawiki-preprocessed", "en-wikidata-ids.tsv", "small"]


def test_it_says_that_there_is_nothing_to_do(small, extended, sample_corpus):
    folder, _ = extended
    ids = ["--wikidata_id_file", sample_corpus.pivot_ids]
    again = extend(small, sample_corpus.wikis["ja"].preprocessed, folder, *ids, "--start", "names")
    assert again.exit_code == 0 and again.stdout == f"complete already: {folder}\n"


def test_build_training_and_evaluation_take_the_model_as_any_other(extended, sample_corpus, tmp_path, run_script):
    model, _ = extended
    wiki, dataset, run = sample_corpus.wikis["ja"], tmp_path / "dataset", tmp_path / "run"
    inputs = ["--model_name", model, "--preprocessed_dataset_dir", wiki.preprocessed, "--num_workers", 1]
    built = run_here(
        "build_wikipedia_dataset.py", *inputs, "--wikidata_id_file", sample_corpus.pivot_ids, "--output_dir", dataset
    )
    assert built.exit_code == 0 and not built.stderr.startswith("note"), built.stderr
    first = report(model)["new_tokens"][0]["id"]
    assert any(index >= first for ids in load_from_disk(dataset)["input_ids"] for index in ids)
    settings = ["--config", ROOT / "configs/train/tiny_cpu.yaml", "--model_name_or_path", model, "--max_steps", 2]
    settings += ["--wikipedia_dataset_dir", dataset, "--output_dir", run, "--save_steps", 2, "--report_to", "none"]
    run_script("train.py", *settings)
    trained = load_tokenizer(str(run))
    assert trained.convert_tokens_to_ids("<translate>") == first + NEW
    options = ["--model_name_or_path", run, "--tasks", "xcodah_ja", "--num_fewshot_samples", 0, "--xcsr_dir", XCSR]
    run_script("evaluate.py", *options, "--results_dir", tmp_path / "results", "--dtype", "float32")
    assert (tmp_path / "results/xcodah_ja_0shot.json").is_file()


def test_a_model_with_the_tags_keeps_them_and_tied_rows_stay_one(sample_corpus, tmp_path):
    wiki = sample_corpus.wikis["es"].preprocessed
    make_tiny_model(load_from_disk(wiki)["text"], tmp_path / "tied", 600, seed=1, tie_embeddings=True)
    tokenizer = load_tokenizer(str(tmp_path / "tied"))
    tokenizer.add_special_tokens({"additional_special_tokens": ["<translate>", "</translate>"]})
    tokenizer.save_pretrained(tmp_path / "tied")  # of a model with fewer rows than tokens
    assert extend(tmp_path / "tied", wiki, tmp_path / "out", number=5).exit_code == 0
    longer = load_tokenizer(str(tmp_path / "out"))
    assert longer.convert_tokens_to_ids(["<translate>", "</translate>"]) == [
        count_ids(tokenizer) - 2,
        count_ids(tokenizer) - 1,
    ]
    read, foreseen = rows(tmp_path / "out")
    assert read.data_ptr() == foreseen.data_ptr() and len(read) == count_ids(tokenizer) + 5
    former = rows(tmp_path / "tied")[0]
    assert torch.allclose(read[count_ids(tokenizer) - 1], former.mean(dim=0), atol=1e-6)


def trained_a_little(folder, texts, steps):
    model, tokenizer = load_model(str(folder), "auto", torch.float32), load_tokenizer(str(folder))
    ids = torch.tensor([index for text in texts for index in tokenizer(text)["input_ids"]])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    torch.manual_seed(0)
    for _ in range(steps):
        starts = torch.randint(len(ids) - 65, (16,))
        batch = torch.stack([ids[start : start + 64] for start in starts])
        model(input_ids=batch, labels=batch).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return model.eval(), tokenizer


def test_a_model_that_has_learnt_foresees_texts_better_from_pieces_than_from_the_mean(small, sample_corpus, tmp_path):
    texts = load_from_disk(sample_corpus.wikis["ja"].preprocessed)["text"][:]
    model, tokenizer = trained_a_little(small, texts, steps=200)
    new, first = learn_tokens(texts, tokenizer, 60, LATIN, ""), count_ids(tokenizer)
    longer, losses = save_longer_tokenizer(tokenizer, new, tmp_path), {}
    lengthen(model, first, count_ids(longer))
    for start in ("mean", "pieces"):
        fill(model, first, sources(start, new, first, {}, tokenizer))
        losses[start] = text_loss(model, longer, texts, "").per_character
    assert losses["pieces"] < 0.98 * losses["mean"]


def test_the_loss_is_that_of_each_token_whatever_the_window(small, monkeypatch):
    model, tokenizer, text = (
        load_model(str(small), "auto", torch.float32),
        load_tokenizer(str(small)),
        "火は熱い。水は冷たい。",
    )
    ids = torch.tensor([tokenizer(text)["input_ids"]])
    with torch.no_grad():
        expected = float(model(input_ids=ids, labels=ids).loss)
    found = text_loss(model, tokenizer, [text, text], "")
    assert found.per_token == pytest.approx(expected, rel=1e-4)
    assert found.per_character == pytest.approx(expected * (ids.shape[1] - 1) / len(text), rel=1e-4)
    assert found.tokens == 2 * (ids.shape[1] - 1) and found.characters == 2 * len(text)
    monkeypatch.setattr("leia.training.new_rows._WINDOW", 2)  # from one token the next
    pairs = torch.stack([ids[0, :-1], ids[0, 1:]], dim=1)
    with torch.no_grad():
        expected = float(model(input_ids=pairs, labels=pairs).loss)
    assert text_loss(model, tokenizer, [text], "").per_token == pytest.approx(expected, rel=1e-4)


def test_a_mention_has_the_name_that_its_text_leads_to_most_often():
    titles = PivotTitles({"Q1": "Fire (element)", "Q2": "Mars", "Q3": "List of fires"})
    links = [("火", "Q2"), ("火", "Q1"), ("火", "Q1"), ("水", None), ("火事", "Q3")]
    articles = [
        {"text": text, "anchors": [{"start": 0, "end": len(text), "title": "", "wikidata_id": qid}]}
        for text, qid in links
    ]
    assert names_of_mentions(articles, titles) == {"火": "Fire"}
    assert titles.name_of("Q3")[1] == DropReason.LIST_TITLE


def last_line(result, code):
    assert result.exit_code == code and "Traceback" not in result.stderr
    line = result.stderr.splitlines()[-1]
    assert line.startswith("error: ")
    return line


def test_bad_input_is_one_line_and_leaves_nothing(small, sample_corpus, tmp_path):
    wiki, out = sample_corpus.wikis["ja"].preprocessed, tmp_path / "new" / "out"
    articles = len(load_from_disk(wiki))
    assert "--num_new_tokens': 0 is not in the range x>=1" in last_line(extend(small, wiki, out, number=0), 2)
    line = last_line(extend(small, wiki, out, number=50_000), 1)
    assert re.search(rf"{re.escape(str(wiki))}: its articles give [\d,]+ new tokens .* is 50,000; take more", line)
    line = last_line(extend(small, wiki, out, "--held_out_articles", articles), 2)
    assert f"--held_out_articles is {articles}, {wiki} has {articles} articles; expected fewer" in line
    assert "needs --wikidata_id_file" in last_line(extend(small, wiki, out, "--start", "names"), 2)
    assert "lacks the columns language, text" in last_line(extend(small, sample_corpus.wikis["ja"].dataset, out), 1)
    pieces = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0}, unk_token="a")))
    pieces.save_pretrained(tmp_path / "words")
    assert "words: its tokenizer is of the kind WordLevel" in last_line(extend(tmp_path / "words", wiki, out), 1)
    assert not out.parent.exists()


def test_a_folder_that_is_not_of_this_step_is_refused_though_it_looks_like_it(small, sample_corpus, tmp_path):
    before = {path.name: path.read_bytes() for path in small.iterdir()}
    line = last_line(extend(small, sample_corpus.wikis["ja"].preprocessed, small), 2)
    assert f"{small}: is an input of this step" in line
    other = shutil.copytree(small, tmp_path / "other")
    line = last_line(extend(small, sample_corpus.wikis["ja"].preprocessed, other), 1)
    assert f"{other}: holds what this step did not make; name" in line
    for folder in (small, other):
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_tokens_without_rows_in_the_model_get_some_before_anything_is_measured(small, sample_corpus, tmp_path):
    """As for training: a model may have fewer rows than its tokenizer has tokens."""
    fewer = shutil.copytree(small, tmp_path / "fewer")
    model = AutoModelForCausalLM.from_pretrained(fewer)
    model.resize_token_embeddings(len(AutoTokenizer.from_pretrained(fewer)) - 40)
    model.save_pretrained(fewer)
    result = extend(fewer, sample_corpus.wikis["ja"].preprocessed, tmp_path / "out")
    assert result.exit_code == 0, result.stderr
    rows = AutoModelForCausalLM.from_pretrained(tmp_path / "out").get_input_embeddings().num_embeddings
    assert rows == len(AutoTokenizer.from_pretrained(tmp_path / "out"))
