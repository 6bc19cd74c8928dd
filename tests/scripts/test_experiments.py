"""The experiments of docs/experiments.md: their datasets are built and each configuration trains, as the page says."""

import json
import os
import re
import subprocess
import sys
from itertools import islice
from pathlib import Path

import pytest
from datasets import load_from_disk

from leia.data import LeiaConstantLengthDataset
from leia.data.name_spaces import Spaces
from leia.data.switching import Switching
from leia.data.tokenizers import load_tokenizer
from leia.training.arguments import parse
from leia.training.run import train

ROOT = Path(__file__).parents[2]
COMMANDS = re.findall(r"TRAIN_CONFIG=(\S+) RUN_NAME=(\S+) .* \./train\.sh", (ROOT / "docs/experiments.md").read_text())
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


@pytest.fixture(scope="module")
def folder(sample_corpus, tmp_path_factory):
    """A folder as the quickstart leaves it, with the datasets of the experiments built in it."""
    folder = tmp_path_factory.mktemp("experiments")
    quickstart = folder / "work/quickstart"
    for language, wiki in sample_corpus.wikis.items():
        (quickstart / language).mkdir(parents=True)
        (quickstart / language / "preprocessed").symlink_to(wiki.preprocessed)
        (quickstart / language / "dataset").symlink_to(wiki.dataset)
    (quickstart / "tiny-model").symlink_to(sample_corpus.tiny_model)
    script = ["bash", str(ROOT / "scripts/build_experiments.sh")]
    done = subprocess.run(script, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_page_has_a_command_for_each_configuration_of_sources():
    names = {"sources_replay", "sources_two_way", "sources_three_languages", "sources_two_pivots", "entitycs"}
    assert {Path(config).stem for config, _ in COMMANDS} == names


@pytest.mark.parametrize(("config", "name"), COMMANDS)
def test_each_configuration_trains_from_the_sample(folder, config, name, monkeypatch):
    monkeypatch.chdir(folder)
    words = ["--output_dir", f"runs/{name}", "--max_steps", "2", "--save_steps", "2", "--report_to", "none"]
    assert train(*parse(ROOT / config, {}, words), "./train.sh")
    log = json.loads(Path(f"runs/{name}/trainer_state.json").read_text())["log_history"]
    first, second = (entry for entry in log if "loss" in entry)
    assert second["loss"] < first["loss"]
    assert first["inserted_share"] > 0.01


def test_train_sh_needs_no_other_dataset_where_the_configuration_names_it(folder):
    given = {"TRAIN_CONFIG": str(ROOT / "configs/train/entitycs.yaml"), "RUN_NAME": "whole"}
    given["ACCELERATE_CONFIG"] = str(ROOT / "configs/accelerate/cpu.yaml")
    command = ["bash", str(ROOT / "train.sh"), "--max_steps", "1", "--save_steps", "1"]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT | given, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "names: replace, probability 1.0, without tags" in done.stdout
    former = load_tokenizer(str(folder / "work/quickstart/tiny-model")).get_vocab()
    assert load_tokenizer(str(folder / "runs/whole")).get_vocab() == former


def test_code_switching_replaces_names_in_english_sentences(folder):
    dataset = load_from_disk(folder / "work/experiments/english-de-fr-ja")
    tokenizer = load_tokenizer(str(folder / "work/quickstart/tiny-model"))
    row = dataset["title"].index("Rhine") if "Rhine" in dataset["title"] else 1
    settings = {"no_separator_tokens": True, "spaces": Spaces.of(tokenizer), "switching": Switching("sentence", "all")}
    stream = LeiaConstantLengthDataset(dataset.select([row]), 8, -1, -1, 1.0, "replace", **settings)
    texts = set()
    for _ in range(40):
        ids = [token for block in islice(stream, 40) for token in block["input_ids"].tolist()]
        texts.add(tokenizer.decode(ids))
        stream.seed += 1
    said = " ".join(texts)
    assert "The Rhein comes from the snow" in said and "The Rhin comes from the snow" in said
    assert "The ライン川 comes from the snow" in said and "The Rhine comes" not in said
    sentences = set(re.findall(r"On its way it passes the west of (\w+) and the whole of the ([\w-]+)\.", said))
    assert sentences == {("Deutschland", "Niederlande"), ("Allemagne", "Pays-Bas"), ("ドイツ", "オランダ")}


def test_plain_text_is_built_without_an_id_file_and_linked_text_is_not(folder, run_script):
    text = folder / "plain.jsonl"
    text.write_text('{"text": "The fire is hot."}\n{"text": "Water is wet."}\n')
    model = folder / "work/quickstart/tiny-model"
    run_script("import_articles.py", "--text_files", text, "--language", "en", "--output_dir", folder / "plain")
    build = ["build_wikipedia_dataset.py", "--model_name", model, "--output_dir", folder / "plain-dataset"]
    run_script(*build, "--preprocessed_dataset_dir", folder / "plain")
    dataset = load_from_disk(folder / "plain-dataset")
    assert len(dataset) == 2 and dataset["entity_start_positions"] == [[], []]
    articles = folder / "work/experiments/english-articles"
    refused = run_script(*build, "--preprocessed_dataset_dir", articles, check=False)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("error: missing --wikidata_id_file: the articles link to 46 ent")


def test_names_in_several_languages_are_counted_and_published(folder, run_script):
    dataset = folder / "work/experiments/english-de-fr-ja"
    model = ["--model_name", folder / "work/quickstart/tiny-model"]
    shown = run_script("compute_dataset_stats.py", "--wikipedia_dataset_dir", dataset, *model).stdout
    assert "Deutschland (3)" in shown and "列車 (4)" in shown
    run_script(
        "push_dataset.py", "--dataset_dir", dataset, "--output_dir", folder / "pushed", *model, "--license", "mit"
    )
    card = (folder / "pushed/README.md").read_text()
    assert "language:\n- en\n- de\n- fr\n- ja\n" in card and "in the languages `de, fr, ja`" in card
