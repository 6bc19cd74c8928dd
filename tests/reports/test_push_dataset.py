"""A dataset for the hub: the folder gives the same rows, its card says what the manifests say, the hub gets that
folder, and what goes wrong is one line."""

import base64
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pyarrow.parquet as pq
import pytest
import yaml
from conftest import ROOT, run_here
from datasets import load_dataset, load_from_disk

from leia.base.datasets import open_training_dataset
from leia.reports.parquet_export import export_parquet


def push(wiki, tmp_path, *options):
    return run_here("push_dataset.py", "--dataset_dir", wiki.dataset, "--output_dir", tmp_path / "hub", *options)


def header_of(folder):
    return yaml.safe_load((folder / "README.md").read_text(encoding="utf-8").split("---\n")[1])


def load(folder, tmp_path):
    return load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))


@pytest.mark.parametrize("kind", ["dataset", "preprocessed"])
def test_the_folder_gives_the_rows_and_the_types_of_the_dataset(sample_corpus, tmp_path, kind):
    folder, out = getattr(sample_corpus.wikis["ja"], kind), tmp_path / "hub"
    result = run_here("push_dataset.py", "--dataset_dir", folder, "--output_dir", out)
    assert result.exit_code == 0 and "nothing was pushed" in result.stdout and "--repo_id" in result.stdout
    loaded, expected = load(out, tmp_path), load_from_disk(str(folder))
    assert loaded.to_list() == expected.to_list() and len(loaded) > 40
    metadata = pq.read_schema(out / "data/train-00000-of-00001.parquet").metadata or {}
    assert b"huggingface" not in metadata, "features in a form that older versions of datasets do not read"
    assert loaded.features.arrow_schema.remove_metadata() == expected.features.arrow_schema.remove_metadata()
    assert json.loads((out / "dataset_manifest.json").read_text()) == json.loads((folder / "manifest.json").read_text())
    if kind == "dataset":
        loaded.save_to_disk(str(tmp_path / "again"))
        assert len(open_training_dataset(tmp_path / "again")) == len(expected)


def test_shards_are_bounded_and_hold_the_rows_in_order(sample_corpus, tmp_path):
    dataset = load_from_disk(str(sample_corpus.wikis["ja"].dataset))
    dataset = dataset.select([7 * k % len(dataset) for k in range(1000)])
    files = export_parquet(dataset, tmp_path, shard_bytes=100_000, rows_at_once=50)
    assert [file.name for file in files] == [f"train-{k:05d}-of-{len(files):05d}.parquet" for k in range(len(files))]
    assert len(files) > 2 and sorted((tmp_path / "data").iterdir()) == files
    assert all(file.stat().st_size < 100_000 for file in files)
    loaded = load_dataset("parquet", data_files=list(map(str, files)), split="train", cache_dir=str(tmp_path / "c"))
    assert loaded.to_list() == dataset.to_list()


def test_the_card_names_the_dumps_the_drops_and_the_licence(sample_corpus, tmp_path):
    wiki = sample_corpus.wikis["ja"]
    options = ["--model_name", sample_corpus.tiny_model, "--wikidata_id_file", sample_corpus.pivot_ids]
    assert push(wiki, tmp_path, *options).exit_code == 0
    card = (tmp_path / "hub/README.md").read_text(encoding="utf-8")
    header = header_of(tmp_path / "hub")
    assert (header["language"], header["license"], header["size_categories"]) == (
        ["ja", "en"],
        "cc-by-sa-4.0",
        ["n<1K"],
    )
    manifest = json.loads((wiki.preprocessed / "manifest.json").read_text())
    for identity in manifest["inputs"]:
        assert f"| {identity['bytes']:,} | `{identity['sha256']}` |" in card
    assert wiki.dump.name in card and sample_corpus.wikidata_dump.name in card
    for reason, count in manifest["tally"]["links"]["dropped"].items():
        assert f"| links: {reason} | {count:,} |".replace("#", "\\#") in card
    assert r"アジア\<translate\> Asia\</translate\>" in card, "an example as text, its names in it"
    assert "CC BY-SA 4.0" in card and "https://ja.wikipedia.org/" in card and "CC0" in card
    assert str(wiki.dataset.parent) not in card, "no path of this machine"


def test_without_tokenizer_manifest_and_sources_the_card_says_so(sample_corpus, tmp_path):
    dataset = load_from_disk(str(sample_corpus.wikis["es"].dataset))
    dataset.save_to_disk(str(tmp_path / "imported"))
    options = ["--dataset_dir", tmp_path / "imported", "--output_dir", tmp_path / "hub"]
    assert run_here("push_dataset.py", *options, "--license", "mit", "--languages", "es").exit_code == 0
    card = (tmp_path / "hub/README.md").read_text(encoding="utf-8")
    assert header_of(tmp_path / "hub")["license"] == "mit" and header_of(tmp_path / "hub")["language"] == ["es"]
    assert card.count("Not known: the dataset has no manifest.") == 2 and "CC BY-SA" not in card
    row = dataset[0]
    names = sum(map(len, row["alternative_entity_input_ids"]))
    assert f"| {len(row['input_ids']):,} | {len(row['entity_start_positions'])} | {names} |" in card


def test_texts_from_elsewhere_need_a_licence_and_are_not_called_wikipedia(sample_corpus, tmp_path):
    (tmp_path / "t.jsonl").write_text('{"text": "a b", "spans": [{"start": 0, "end": 1, "name": "A"}]}\n')
    given = ["--text_files", tmp_path / "t.jsonl", "--language", "es", "--output_dir", tmp_path / "articles"]
    assert run_here("import_articles.py", *given).exit_code == 0
    build = ["--model_name", sample_corpus.tiny_model, "--preprocessed_dataset_dir", tmp_path / "articles"]
    build += ["--num_workers", 1, "--pivot_language", "de", "--output_dir", tmp_path / "dataset"]
    assert run_here("build_wikipedia_dataset.py", *build).exit_code == 0
    shutil.copytree(tmp_path / "dataset", tmp_path / "elsewhere/dataset")  # not beside the articles that it is made of
    for kind, said in (
        ("articles", "a → A"),
        ("dataset", "in the language `de`"),
        ("elsewhere/dataset", "in the language `de`, from the text's own links"),
    ):
        push = ["push_dataset.py", "--dataset_dir", tmp_path / kind, "--output_dir", tmp_path / f"{kind}-hub"]
        refused = run_here(*push)
        assert refused.exit_code == 2 and "missing --license: the texts of" in refused.stderr
        assert run_here(*push, "--license", "cc-by-sa-4.0").exit_code == 0
        card = (tmp_path / f"{kind}-hub/README.md").read_text(encoding="utf-8")
        assert said in card and "Articles of Wikipedia" not in card and "by its authors" not in card
        assert "wikipedia" not in header_of(tmp_path / f"{kind}-hub")["tags"]
        assert ("`name` where the text itself gives one" in card) == (kind == "articles")
    for options, said in (
        (["--license", "my licence"], "--license is 'my licence'"),
        (["--languages", "es x"], "'es x'"),
    ):
        failed = run_here(*push, *options)
        assert failed.exit_code == 2 and said in failed.stderr and failed.stderr.count("\n") == 1


def test_names_in_several_languages_and_exchanged_ones_are_told_as_what_they_are(sample_corpus, tmp_path):
    build = ["build_wikipedia_dataset.py", "--model_name", sample_corpus.tiny_model, "--num_workers", 1]
    build += [
        "--preprocessed_dataset_dir",
        sample_corpus.wikis["es"].preprocessed,
        "--output_dir",
        tmp_path / "dataset",
    ]
    push = ["push_dataset.py", "--dataset_dir", tmp_path / "dataset", "--output_dir", tmp_path / "hub"]
    ids = sample_corpus.pivot_ids
    german = tmp_path / "de-wikidata-ids.tsv"
    german.write_text(re.sub(r"(?m)^", "Das ", ids.read_text(encoding="utf-8")).removesuffix("Das "), encoding="utf-8")
    several = ["--name_languages", "en,de", "--wikidata_id_file", ids, "--wikidata_id_file", german]
    assert run_here(*build, *several).exit_code == 0
    assert run_here(*push).exit_code == 0
    row = load_from_disk(str(tmp_path / "dataset"))[0]
    assert (
        f"| {len(row['input_ids']):,} | {len(row['entity_start_positions'])} |"
        in (tmp_path / "hub/README.md").read_text()
    )
    assert run_here(*push, "--model_name", sample_corpus.tiny_model).exit_code == 0
    card = (tmp_path / "hub/README.md").read_text(encoding="utf-8")
    assert "in the first language that names it" in card and "translate\\> Das" not in card
    failed = run_here(*build, *several, "--shuffle_names", 1)
    assert failed.exit_code == 2 and "--shuffle_names is for names in one language" in failed.stderr
    assert run_here(*build, "--wikidata_id_file", ids, "--shuffle_names", 1).exit_code == 0
    assert run_here(*push).exit_code == 0
    assert "each entity has another one's, as a control" in (tmp_path / "hub/README.md").read_text(encoding="utf-8")


def test_the_same_command_again_does_nothing_and_another_rewrites(sample_corpus, tmp_path):
    wiki = sample_corpus.wikis["es"]
    push(wiki, tmp_path)
    before = (tmp_path / "hub/README.md").stat().st_mtime_ns
    again = push(wiki, tmp_path)
    assert again.exit_code == 0 and "complete already" in again.stdout and "nothing was pushed" in again.stdout
    assert (tmp_path / "hub/README.md").stat().st_mtime_ns == before
    assert push(wiki, tmp_path, "--license", "mit").exit_code == 0
    assert header_of(tmp_path / "hub")["license"] == "mit"


@pytest.mark.parametrize("name", ["README.md", "data"])
def test_a_folder_of_somebody_else_is_not_replaced(sample_corpus, tmp_path, name):
    (tmp_path / "hub" / name).mkdir(parents=True)
    result = push(sample_corpus.wikis["es"], tmp_path)
    assert result.exit_code == 1 and "holds what this step did not make" in result.stderr
    assert (tmp_path / "hub" / name).is_dir()


def test_inputs_of_another_dataset_are_refused(sample_corpus, tmp_path):
    other = sample_corpus.wikis["es"].preprocessed
    result = push(sample_corpus.wikis["ja"], tmp_path, "--preprocessed_dataset_dir", other)
    assert result.exit_code == 1 and "expected, by its manifest, jawiki-preprocessed" in result.stderr
    assert not (tmp_path / "hub").exists()


@pytest.mark.parametrize(
    ("repo_id", "variables", "code", "message"),
    [
        ("name", {}, 2, "expected --repo_id owner/name"),
        ("me/data", {"HF_HUB_OFFLINE": "1", "HF_TOKEN": "hf_x"}, 1, "HF_HUB_OFFLINE is set"),
        ("me/data", {"HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}, 1, "nobody is logged in to the hub; `hf auth login`"),
        (
            "me/data",
            {"HF_HUB_OFFLINE": "0", "HF_TOKEN": "hf_x"},
            1,
            "me/data: no answer of the hub that can be used ([Errno 111] Connection refused); check",
        ),
    ],
)
def test_what_the_hub_refuses_is_one_line_before_anything_is_written(
    sample_corpus, tmp_path, repo_id, variables, code, message
):
    finished = push_process(sample_corpus, tmp_path, repo_id, HF_ENDPOINT="http://127.0.0.1:9", **variables)
    assert finished.returncode == code and "Traceback" not in finished.stderr
    (line,) = finished.stderr.splitlines()
    assert line.startswith("error: ") and message in line
    assert not (tmp_path / "hub").exists()


def push_process(sample_corpus, tmp_path, repo_id, *options, **variables):
    command = [sys.executable, ROOT / "scripts/push_dataset.py", "--dataset_dir", sample_corpus.wikis["es"].dataset]
    command += ["--output_dir", tmp_path / "hub", "--repo_id", repo_id, *options]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HOME": str(tmp_path / "home")} | variables
    words = list(map(str, command))
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)


@contextmanager
def hub(owner):
    """A hub on this machine, with what a push asks of it: `files` is what lies in its one dataset, `made` how."""

    class Hub(BaseHTTPRequestHandler):
        files, made = {"data/train-00007-of-00008.parquet": b"of an earlier push"}, {}

        def answer(self, content, status=200):
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            if f"/{owner}/" not in f"{self.path}/" and not self.path.endswith("/whoami-v2"):
                return self.answer({"error": "no such dataset"}, 404)
            siblings = [{"rfilename": name} for name in self.files]
            tree = [{"type": "file", "path": name, "size": 1, "oid": "0" * 40} for name in self.files]
            info = {"id": f"{owner}/data", "sha": "0" * 40, "siblings": siblings, "name": owner, "type": "user"}
            self.answer(tree if "/tree/" in self.path else info)

        def do_POST(self):
            sent = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path.endswith("/repos/create"):
                self.made.update(json.loads(sent))
                if self.made.get("organization", owner) != owner:
                    return self.answer({"error": "you have no rights there"}, 403)
                return self.answer({"url": f"http://{self.headers['Host']}/datasets/{owner}/data"})
            if self.path == "/api/validate-yaml":
                return self.answer({"errors": [], "warnings": []})
            if "/preupload/" in self.path:
                paths = [one["path"] for one in json.loads(sent)["files"]]
                known = {"uploadMode": "regular", "shouldIgnore": False, "oid": None}
                return self.answer({"files": [{"path": path, **known} for path in paths]})
            assert "/commit/" in self.path, self.path
            for line in map(json.loads, sent.decode().splitlines()):
                if line["key"] == "file":
                    self.files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                elif line["key"] == "deletedFile":
                    del self.files[line["value"]["path"]]
            url = f"http://{self.headers['Host']}/datasets/{owner}/data/commit/{'1' * 40}"
            self.answer({"commitUrl": url, "commitOid": "1" * 40})

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", Hub
    finally:
        server.shutdown()
        server.server_close()


def test_the_hub_gets_the_folder_and_loses_the_shards_of_an_earlier_push(sample_corpus, tmp_path):
    with hub("me") as (address, store):
        known = {"HF_ENDPOINT": address, "HF_TOKEN": "hf_x", "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
        finished = push_process(sample_corpus, tmp_path, "me/data", "--private", **known)
        assert finished.returncode == 0, finished.stderr
        assert f"pushed: {address}/datasets/me/data" in finished.stdout
        assert (store.made["visibility"], store.made["type"]) == ("private", "dataset")
        folder = tmp_path / "hub"
        written = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert store.files == written
        refused = push_process(sample_corpus, tmp_path, "others/data", **known)
        assert refused.returncode == 1 and "complete already" in refused.stdout
        last = refused.stderr.splitlines()[-1]
        assert last.startswith("error: others/data: the hub refused it (403: ") and "check the owner" in last
