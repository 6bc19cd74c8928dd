"""Two runs in different folders, with other numbers of processes, give the same bytes: dataset, hash and manifest."""

import json

import pytest

FILES = 4  # copies of the sample's text: work for several processes


@pytest.fixture(scope="module")
def runs(sample_corpus, run_script, tmp_path_factory):
    """The folders of two runs from WikiExtractor's text to the dataset."""
    wiki = sample_corpus.wikis["ja"]
    text = next(wiki.text.rglob("wiki_00")).read_bytes()
    folders = []
    for name, workers in (("one", 1), ("another é", 3)):
        folder = tmp_path_factory.mktemp(name)
        for number in range(FILES):
            path = folder / "text" / "AA" / f"wiki_{number:02}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        given = ["--wikiextractor_output_dir", folder / "text", "--redirect_file", wiki.redirects]
        given += ["--wikidata_id_file", wiki.ids, "--output_dir", folder / "preprocessed"]
        run_script("preprocess_wikipedia.py", *given, "--num_workers", workers)
        given = ["--preprocessed_dataset_dir", folder / "preprocessed", "--model_name", sample_corpus.tiny_model]
        given += ["--wikidata_id_file", sample_corpus.pivot_ids, "--output_dir", folder / "dataset"]
        run_script("build_wikipedia_dataset.py", *given, "--num_workers", workers)
        folders.append(folder)
    return folders


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_runs_give_the_same_bytes(runs):
    first, second = map(contents, runs)
    assert first == second
    state = json.loads(first["dataset/state.json"])
    assert len(state["_fingerprint"]) == 16


def test_the_manifest_names_all_that_the_dataset_depends_on_and_no_place_or_time(runs, sample_corpus):
    text = (runs[0] / "dataset/manifest.json").read_text(encoding="utf-8")
    manifest = json.loads(text)
    assert set(manifest) == {"step", "inputs", "options", "versions", "tally", "greatest_id"}
    assert [set(identity) for identity in manifest["inputs"]] == [{"name", "bytes", "sha256"}] * 2
    assert {"name", "sha256"} <= set(manifest["options"]["tokenizer"])
    assert {"leia", "python", "tokenizers", "datasets"} <= set(manifest["versions"])
    assert {"articles", "anchors", "pivot titles"} <= set(manifest["tally"])
    assert str(runs[0].parent) not in text and str(sample_corpus.tiny_model.parent) not in text
