"""The leakage check finds a planted leak, whatever it is, by name of the article; and nothing in a text without one.

The texts go the ordinary way, from the dump to the training dataset, by the scripts.
"""

import re

import pytest
from conftest import run_here
from datasets import load_from_disk

from leia.data.tokenizers import load_tokenizer
from leia.demonstration.leaks import find_leaks
from leia.demonstration.wikis import FILES, read_world, state
from leia.demonstration.world import ENGLISH, INVENTED

SIZES = {"entities": 16, "bridges": 9, "locals": 4, "relations": 2, "values": 2, "name_pieces": 8}
AMOUNTS = {"base_sentences": 400, "target_sentences": 400}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with `world`, a model `scratch`, and the training datasets `data-base` and `data-target`."""
    folder = tmp_path_factory.mktemp("leaks")
    options = [word for name, value in (SIZES | AMOUNTS).items() for word in (f"--{name}", value)]
    done = [run_here("make_invented_world.py", "--output_dir", folder / "world", *options)]
    table = folder / "world" / FILES["sitelinks"]
    done.append(
        run_here(
            "extract_wikidata_ids.py", "--dump_file", table, "--output_dir", folder / "ids", "--languages", "en,qaa"
        )
    )
    for name, language in (("base", "en"), ("target", "qaa")):
        dump, redirects = folder / "world" / FILES[name], folder / f"{name}.tsv"
        done.append(run_here("extract_wikipedia_redirects.py", "--dump_file", dump, "--output_file", redirects))
        options = ["--redirect_file", redirects, "--wikidata_id_file", folder / f"ids/{language}-wikidata-ids.tsv"]
        options += ["--dump_file", dump, "--output_dir", folder / name]
        done.append(run_here("extract_articles.py", *options))
    options = ["--preprocessed_dataset_dir", folder / "base", "--preprocessed_dataset_dir", folder / "target"]
    done.append(run_here("make_tiny_model.py", *options, "--output_dir", folder / "scratch", "--vocab_size", 1500))
    for name in ("base", "target"):
        options = ["--preprocessed_dataset_dir", folder / name, "--output_dir", folder / f"data-{name}"]
        options += ["--wikidata_id_file", folder / "ids/en-wikidata-ids.tsv", "--model_name", folder / "scratch"]
        done.append(run_here("build_wikipedia_dataset.py", *options))
    assert [result.exit_code for result in done] == [0] * len(done), [result.output for result in done]
    return folder


def plant(dataset, tokenizer, sentence, row=3):
    """The dataset with a sentence more in the midst of one of its articles."""

    def add(article, number):
        if number != row:
            return article
        text = tokenizer.decode(article["input_ids"], skip_special_tokens=True)
        first, rest = text.split(". ", 1)
        return article | {"input_ids": tokenizer(f"{first}. {sentence} {rest}")["input_ids"]}

    return dataset.map(add, with_indices=True, load_from_cache_file=False)


@pytest.mark.parametrize("purpose", ["base", "target"])
def test_a_text_without_a_leak_passes(made, purpose):
    options = [
        "--world_dir",
        made / "world",
        "--dataset_dir",
        made / f"data-{purpose}",
        "--model_name",
        made / "scratch",
    ]
    result = run_here("check_training_text.py", *options, "--purpose", purpose)
    assert result.exit_code == 0, result.output
    assert re.search(r"data-\w+: \d+ articles state nothing that they must not", result.stdout)


@pytest.mark.parametrize("wording", range(4))
@pytest.mark.parametrize(
    ("purpose", "status", "language"),
    [
        ("target", "held_out", INVENTED),
        ("target", "unknown", INVENTED),
        ("target", "unknown", ENGLISH),
        ("base", "held_out", INVENTED),
        ("base", "trained", INVENTED),
        ("base", "bridge", INVENTED),
        ("base", "unknown", ENGLISH),
    ],
)
def test_a_planted_fact_is_found_in_each_wording(made, purpose, status, language, wording):
    world, tokenizer = read_world(made / "world"), load_tokenizer(str(made / "scratch"))
    fact = world.of_status(status)[-1]
    planted = state(world, fact, language, wording)
    dataset = plant(load_from_disk(made / f"data-{purpose}"), tokenizer, planted)
    (leak,) = find_leaks(world, dataset, tokenizer, purpose)
    assert (leak.sentence, leak.status, leak.article) == (planted.removesuffix("."), status, dataset[3]["title"])


def test_an_invented_name_in_a_text_for_the_base_model_is_a_leak(made):
    world, tokenizer = read_world(made / "world"), load_tokenizer(str(made / "scratch"))
    name = world.entities[0].names[INVENTED]
    dataset = plant(load_from_disk(made / "data-base"), tokenizer, f"so {name} is.")
    (leak,) = find_leaks(world, dataset, tokenizer, "base")
    assert (leak.sentence, leak.status) == (f"so {name} is", "name")


def test_the_script_fails_at_a_leak_in_one_line(made, tmp_path):
    """The text for LEIA training is a leak from end to end for the base model, which must not know its names."""
    options = ["--world_dir", made / "world", "--dataset_dir", made / "data-target", "--model_name", made / "scratch"]
    result = run_here("check_training_text.py", *options, "--purpose", "base")
    assert result.exit_code == 1 and result.stderr.count("\n") == 1
    assert re.search(r"data-target: [\d,]+ sentences state what this text must not: '.* in '", result.stderr)
