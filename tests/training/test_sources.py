"""A training from several sources: settings that are refused, exact continuation, what is logged of each."""

import json
import shutil

import pytest
import torch
from training_workspace import Workspace
from transformers import AutoModelForCausalLM, AutoTokenizer

from leia.base.errors import InputError, UsageError
from leia.training.arguments import read_config, read_experiment

STEPS = 4


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("sources"))


def listed(workspace, **english):
    dataset = str(workspace.folder / "dataset")
    sources = [
        {"name": "spanish", "wikipedia_dataset_dir": dataset, "weight": 0.5},
        {"name": "japanese", "wikipedia_dataset_dir": dataset, "weight": 0.3, "entity_name_start_tag": "<ja>"},
        {
            "name": "english",
            "wikipedia_dataset_dir": dataset,
            "weight": 0.2,
            "entity_name_insertion_strategy": "none",
            "no_separator_tokens": True,
        }
        | english,
    ]
    return {"wikipedia_dataset_dir": "", "sources": json.dumps(sources)}


OPTIONS = ["--max_steps", str(STEPS), "--save_steps", "2"]


@pytest.fixture(scope="module")
def mixed(workspace):
    assert workspace.train_here("mixed", *OPTIONS, **listed(workspace), validation_articles=6)
    return workspace.folder / "mixed"


def test_loss_and_tokens_of_each_source_are_logged(workspace, mixed):
    log = workspace.log("mixed")
    for entry in log:
        blocks = entry["step"] * 8
        tokens = {name: entry[f"tokens/{name}"] for name in ("spanish", "japanese", "english")}
        assert sum(tokens.values()) == entry["tokens_seen"] == blocks * 64
        for name, weight in (("spanish", 0.5), ("japanese", 0.3), ("english", 0.2)):
            assert abs(tokens[name] / 64 - weight * blocks) < 1
            assert 0 < entry[f"loss/{name}"] < 10
    losses = [log[0][f"loss/{name}"] for name in ("spanish", "japanese", "english")]
    assert len(set(losses)) == 3 and min(losses) < log[0]["loss"] < max(losses)
    state = json.loads((mixed / "trainer_state.json").read_text())
    evaluated = [entry for entry in state["log_history"] if "eval_loss" in entry]
    assert [entry["step"] for entry in evaluated] == [2, 4]
    assert all(0 < evaluated[-1][f"eval_loss/{name}"] < 10 for name in ("spanish", "japanese", "english"))


def test_the_card_has_the_settings_of_each_source_and_none_that_a_source_has_above_it(mixed):
    card = (mixed / "README.md").read_text()
    assert '| source english | {"folder": ' in card and "| entity_name_insertion_strategy |" not in card
    assert card.count('"entity_name_insertion_strategy": "none"') == 1


def test_the_model_has_the_tags_of_all_sources(mixed):
    tokenizer = AutoTokenizer.from_pretrained(mixed)
    ids = tokenizer.convert_tokens_to_ids(["<translate>", "</translate>", "<ja>"])
    assert ids == [len(tokenizer) - 3, len(tokenizer) - 2, len(tokenizer) - 1]
    assert AutoModelForCausalLM.from_pretrained(mixed).get_input_embeddings().num_embeddings == len(tokenizer)
    assert set(json.loads((mixed / "dataset_manifest.json").read_text())["sources"]) == {
        "spanish",
        "japanese",
        "english",
    }


def test_a_continued_run_is_the_run_that_was_never_stopped(workspace, mixed, tmp_path):
    checkpoint = str(shutil.copytree(mixed / "checkpoint-2", tmp_path / "checkpoint-2"))
    more = ["--resume_from_checkpoint", checkpoint, *OPTIONS]
    workspace.train_here("mixed again", *more, **listed(workspace), validation_articles=6)
    weights = workspace.weights("mixed again")
    assert all(torch.equal(weights[name], tensor) for name, tensor in workspace.weights("mixed").items())
    keys = ("loss", "tokens/spanish", "tokens/english", "loss/japanese")
    expected = [[entry[key] for key in keys] for entry in workspace.log("mixed")]
    assert [[entry[key] for key in keys] for entry in workspace.log("mixed again")] == expected
    with pytest.raises(InputError, match=r"another run, with sources, english, weight 0\.2 \(now 0\.3\);"):
        workspace.train_here("other", *more, **listed(workspace, weight=0.3), validation_articles=6)


def test_without_any_tags_the_model_is_given_none(workspace):
    workspace.train_here("no tags", "--max_steps", "1", "--save_steps", "1", no_separator_tokens="true")
    tokenizer = AutoTokenizer.from_pretrained(workspace.folder / "no tags")
    former = AutoTokenizer.from_pretrained(workspace.folder / "model")
    assert tokenizer.get_vocab() == former.get_vocab()


def test_attention_epochs_and_articles_apart_are_trained(workspace, mixed, capsys):
    options = {"separate_attention": "true", "separate_epochs": "true", "separate_articles": "true"}
    assert workspace.train_here("apart", "--max_steps", "2", "--save_steps", "2", **options)
    assert "60 articles, EOS after each, attention within each, epochs apart; names" in capsys.readouterr().out
    saved = json.loads((workspace.folder / "apart/run.json").read_text())
    assert all(saved[name] is True for name in options)
    assert not options.keys() & json.loads((mixed / "run.json").read_text()).keys()


def test_what_no_stream_can_be_made_of_is_told_with_its_source(workspace):
    for english, message in (
        ({"switch_unit": "sentence", "switch_probability": 0.5}, "sources, english: switch_unit is sentence"),
        ({"language_choice": "sqrt"}, "sources, english: language_choice is sqrt: the manifest"),
    ):
        with pytest.raises(InputError, match=message):
            workspace.train_here("bad", **listed(workspace, **english))
    with pytest.raises(InputError, match="sources, spanish: validation_articles is 60, the dataset has 60"):
        workspace.train_here("bad", **listed(workspace), validation_articles=60)


def test_train_sh_takes_sources_from_the_command_line_and_from_the_base_of_a_configuration(workspace, tmp_path):
    sources = listed(workspace)["sources"]
    (tmp_path / "mixed.yaml").write_text(f"base: {workspace.environment['TRAIN_CONFIG']}\nsources: {sources}\n")
    (tmp_path / "shorter.yaml").write_text("base: mixed.yaml\nmax_steps: 1\n")
    for options, config in (
        ([], {"TRAIN_CONFIG": str(tmp_path / "shorter.yaml")}),
        (["--sources", sources], {}),
    ):
        text = workspace.train("dry", "--dry_run", *options, WIKIPEDIA_DATASET_DIR="", **config)
        assert "a new run begins" in text


def read_with(settings, tmp_path):
    (tmp_path / "config.yaml").write_text(json.dumps(settings))
    return read_experiment(read_config(tmp_path / "config.yaml"))


def source(**settings):
    return {"name": "a", "wikipedia_dataset_dir": "x", "weight": 1} | settings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"WIKIPEDIA_DATASET_DIR\) and sources are both missing"),
        ({"wikipedia_dataset_dir": "x", "sources": [source()]}, "sources are both given"),
        ({"sources": "nonsense"}, "sources is nonsense; expected a list"),
        ({"sources": "[{"}, "sources is not valid YAML"),
        ({"sources": "[]"}, r"sources is \[\]; expected a list"),
        ({"sources": ["a", "b"]}, r'sources is \["a", "b"\]; expected a list'),
        ({"sources": [source(weight=[1, 2])]}, r"sources, a: weight is \[1, 2\]; expected one value"),
        (
            {"sources": [source(entity_name_start_tag="<x>"), source(name="b", entity_name_end_tag="<x>")]},
            "sources: <x> stands before names in one source and after names in another",
        ),
        ({"sources": [source(), source()]}, "a name is 'a'; expected a different one for each source"),
        ({"sources": [source(name="a b")]}, "of letters and digits"),
        ({"sources": [source(name="")]}, "sources, 1: has no name"),
        ({"sources": [source(wikipedia_dataset_dir="")]}, "sources, a: has no wikipedia_dataset_dir"),
        ({"sources": [source(weight=-1)]}, "sources: a weight is -1.0; expected a number of at least 0"),
        ({"sources": [source(weight=0), source(name="b", weight=0)]}, "sources: all weights are 0"),
        ({"sources": [source(weight="much")]}, "sources, a: argument --weight: invalid float value"),
        ({"sources": [source(probability=1)]}, "sources, a: there is no setting probability"),
        ({"sources": [source(entity_name_insertion_prob=2)]}, "sources, a: entity_name_insertion_prob is 2.0"),
        ({"sources": [source(switch_unit="word")]}, "sources, a: switch_unit is word; expected one of article"),
        ({"sources": [source(candidates="some")]}, "candidates is some; expected one of any, all"),
        ({"sources": [source(switch_probability=2)]}, "switch_probability is 2.0; expected 0 to 1"),
        ({"sources": [source(language_choice="best")]}, "language_choice is best; expected one of uniform, sqrt"),
    ],
)
def test_sources_that_cannot_be_are_refused_in_one_line(given, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        read_with({"model_name_or_path": "model"} | given, tmp_path)


def test_a_source_with_another_tokenizer_and_one_without_an_article_are_refused(workspace, tmp_path):
    other = shutil.copytree(workspace.folder / "dataset", tmp_path / "other")
    manifest = json.loads((other / "manifest.json").read_text())
    manifest["options"]["tokenizer"] |= {"name": "another", "sha256": "0" * 64}
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=f"{other}: was made with the tokenizer of another"):
        workspace.train_here("bad", **listed(workspace, wikipedia_dataset_dir=str(other)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"expected a dataset folder, found no state\.json"):
        workspace.train_here("bad", **listed(workspace, wikipedia_dataset_dir=str(tmp_path / "empty")))


def test_a_source_takes_the_settings_above_it_and_its_own_win(tmp_path):
    settings = {"entity_name_insertion_prob": 0.25, "entity_name_insertion_strategy": "left"}
    sources = [source(entity_name_insertion_prob=None), source(name="b", entity_name_insertion_strategy="none")]
    settings |= {"model_name_or_path": "m", "sources": sources}
    one, other = read_with(settings, tmp_path).listed_sources()
    assert (one.entity_name_insertion_strategy, one.entity_name_insertion_prob) == ("left", 0.25)
    assert (other.entity_name_insertion_strategy, other.entity_name_insertion_prob) == ("none", 0.25)
