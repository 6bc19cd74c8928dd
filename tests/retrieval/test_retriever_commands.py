"""Retrieval as people run it: the commands of docs/retrieval.md, a run that was killed, and wrong use in one line."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import ROOT, run_here
from safetensors.torch import load_file

from leia.retrieval.bilingual_trial import write_trial

pytest.importorskip("ir_measures", reason="the extra `retrieval` is not installed")

PAGE = (ROOT / "docs/retrieval.md").read_text(encoding="utf-8")
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
SHORT = ["--from_scratch", "--iterations_per_epoch", 3, "--max_length", 32, "--batch_size", 2, "--learning_rate", 1e-3]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small collection in made-up languages."""
    folder = tmp_path_factory.mktemp("trial")
    write_trial(folder, sections=20, held_out=12, seed=0)
    return folder


@pytest.fixture(scope="module")
def model(data, tmp_path_factory, run_script):
    """A run of two epochs."""
    folder = tmp_path_factory.mktemp("model") / "run"
    run_script("pretrain_retriever.py", "--data_dir", data, "--output_dir", folder, "--epochs", 2, *SHORT)
    return folder


def test_the_three_commands_of_the_page_lead_from_two_dumps_to_a_table(sample_corpus, tmp_path, run_script):
    quickstart = tmp_path / "work/quickstart"
    (quickstart / "dumps").mkdir(parents=True)
    (quickstart / "wikidata").symlink_to(sample_corpus.ids_dir)
    for language, wiki in sample_corpus.wikis.items():
        (quickstart / language).mkdir()
        (quickstart / language / "redirects.tsv").symlink_to(wiki.redirects)
        (quickstart / f"dumps/{language}wiki-pages-articles.xml.bz2").symlink_to(wiki.dump)
    block = re.search(r"## Three commands.*?```bash\n(.*?)```", PAGE, re.DOTALL)[1]
    commands = [shlex.split(line) for line in block.replace("\\\n", " ").strip().splitlines()]
    names = [Path(script).name for _, script, *_ in commands]
    assert names == ["build_aligned_sections.py", "pretrain_retriever.py", "evaluate_retriever.py"]
    for _, script, *options in commands:
        done = run_script(Path(script).name, *options, cwd=tmp_path)
    assert "| es-ja |" in done.stdout and "| before |" in done.stdout and "· gain" in done.stdout
    assert "aligned: 76 of 82 sections of es" in PAGE
    table = (tmp_path / "work/retrieval/map/table.md").read_text(encoding="utf-8")
    assert done.stdout.endswith(table + "\n")


def test_a_killed_run_goes_on_to_the_losses_and_weights_of_an_undisturbed_one(data, model, tmp_path):
    folder = tmp_path / "run"
    options = ["--data_dir", data, "--output_dir", folder, "--epochs", 2, *SHORT]
    command = [sys.executable, ROOT / "scripts/pretrain_retriever.py", *map(str, options)]
    for wanted in ("epoch-0/manifest.json", "epoch-1/manifest.json"):
        started = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not (folder / wanted).exists():
            assert started.poll() is None or (folder / wanted).exists()
            time.sleep(0.01)
        started.send_signal(signal.SIGKILL)
        started.wait()
        with (folder / "losses.jsonl").open("a", encoding="utf-8") as losses:
            losses.write('{"iteration": 5, "objec')  # a line that the kill broke off
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "goes on after" in done.stderr
    assert (folder / "losses.jsonl").read_bytes() == (model / "losses.jsonl").read_bytes()
    for epoch in range(3):
        for name in ("model.safetensors", "qlm_head.safetensors"):
            ours, theirs = (load_file(one / f"epoch-{epoch}" / name) for one in (folder, model))
            assert all((ours[key] == theirs[key]).all() for key in theirs), (epoch, name)
    assert [path.name for path in folder.glob("state*")] == ["state-2.safetensors"]
    assert not [path for path in tmp_path.rglob(".*")]


def test_losses_have_a_line_a_step(model):
    lines = [json.loads(line) for line in (model / "losses.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [(line["iteration"], line["objective"]) for line in lines] == [
        (k, name) for k in range(6) for name in ("qlm", "rr")
    ]
    assert {line["pair"] for line in lines} == {"a-b"} and all(line["loss"] > 0 for line in lines)


def test_a_finished_run_says_so_and_trains_longer_where_more_epochs_are_asked_for(data, model, tmp_path):
    folder = shutil.copytree(model, tmp_path / "run")
    options = ["--data_dir", data, "--output_dir", folder, *SHORT]
    again = run_here("pretrain_retriever.py", *options, "--epochs", 2)
    assert again.exit_code == 0 and again.stdout.startswith("complete already: ")
    longer = run_here("pretrain_retriever.py", *options, "--epochs", 3)
    assert longer.exit_code == 0 and (folder / "epoch-3/model.safetensors").exists()
    other = run_here("pretrain_retriever.py", *options, "--epochs", 4, "--seed", 1)
    assert other.exit_code == 2 and "holds another run (seed was 0, is 1); name another folder" in other.stderr
    anew = run_here("pretrain_retriever.py", *options, "--epochs", 1, "--seed", 1, "--overwrite")
    assert anew.exit_code == 0 and sorted(path.name for path in folder.glob("epoch-*")) == ["epoch-0", "epoch-1"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "state-2.safetensors").unlink(), "expected the state of the training, found none"),
        (
            lambda run: (run / "state-2.safetensors").write_bytes(b"x" * 9),
            "begin a run in another folder with --base_mod",
        ),
        (lambda run: shutil.copy(run / "epoch-2/model.safetensors", run / "state-2.safetensors"), "that can be read"),
        (lambda run: (run / "losses.jsonl").write_text("\n"), "losses.jsonl:1: expected the losses of a step"),
        (lambda run: (run / "epoch-2/model.safetensors").write_bytes(b"x" * 99), "cannot be loaded as a BERT"),
    ],
    ids=["no state", "broken state", "another state", "broken losses", "broken model"],
)
def test_a_run_that_cannot_go_on_says_why_in_one_line(data, model, tmp_path, spoil, message):
    folder = shutil.copytree(model, tmp_path / "run")
    spoil(folder)
    done = run_here("pretrain_retriever.py", "--data_dir", data, "--output_dir", folder, *SHORT, "--epochs", 3)
    assert done.exit_code == 1
    assert re.fullmatch(r"error: [^\n]*\n", done.stderr.splitlines(keepends=True)[-1]) and message in done.stderr
    assert not (folder / "epoch-3").exists() and not list(folder.glob(".*"))


def test_a_run_goes_on_without_its_base_model_and_keeps_what_is_not_its_own(data, model, tmp_path):
    base = shutil.copytree(model / "epoch-2", tmp_path / "base")
    short = ["--data_dir", data, *SHORT[1:], "--base_model", base]
    folder = tmp_path / "run"
    first = run_here("pretrain_retriever.py", *short, "--output_dir", folder, "--epochs", 1)
    assert first.exit_code == 0, first.stderr
    (folder / "epoch-notes.txt").write_text("mine")
    inside = [*short[:-1], folder / "epoch-1"]
    refused = run_here("pretrain_retriever.py", *inside, "--output_dir", folder, "--overwrite")
    assert refused.exit_code == 2 and "which --overwrite empties; name another output folder" in refused.stderr
    shutil.rmtree(base)
    longer = run_here("pretrain_retriever.py", *short, "--output_dir", folder, "--epochs", 2)
    assert longer.exit_code == 0, longer.stderr
    other = shutil.copytree(model / "epoch-1", base)
    changed = run_here("pretrain_retriever.py", *short, "--output_dir", folder, "--epochs", 3)
    assert changed.exit_code == 2 and "holds another run (base_model was" in changed.stderr and other.exists()
    anew = run_here("pretrain_retriever.py", *short, "--output_dir", folder, "--epochs", 1, "--overwrite")
    assert anew.exit_code == 0 and not (folder / "epoch-2").exists()
    assert (folder / "epoch-notes.txt").read_text() == "mine"


def test_a_full_disk_is_one_line_and_the_run_goes_on(data, model, tmp_path):
    """The limit lets the model through and not the state, which is twice as large."""
    folder = shutil.copytree(model, tmp_path / "run")
    options = ["--data_dir", data, "--output_dir", folder, "--epochs", 3, *SHORT]
    command = shlex.join([sys.executable, str(ROOT / "scripts/pretrain_retriever.py"), *map(str, options)])
    blocks = (folder / "state-2.safetensors").stat().st_size // 2048
    limited = ["bash", "-c", f"ulimit -f {blocks}; exec {command}"]
    done = subprocess.run(limited, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "File too large" in done.stderr.splitlines()[-1]
    again = run_here("pretrain_retriever.py", *options)
    assert again.exit_code == 0 and (folder / "epoch-3").exists()


def test_a_model_of_long_documents_is_trained_with_its_own_window(data, tmp_path):
    short = ["--data_dir", data, *SHORT]
    long = run_here(
        "pretrain_retriever.py", *short, "--output_dir", tmp_path / "long", "--epochs", 1, "--attention_window", 8
    )
    assert long.exit_code == 0, long.stderr
    second = [
        "--data_dir",
        data,
        *SHORT[1:],
        "--base_model",
        tmp_path / "long/epoch-1",
        "--output_dir",
        tmp_path / "more",
    ]
    for window in (0, 16):
        done = run_here("pretrain_retriever.py", *second, "--attention_window", window)
        assert done.exit_code == 2 and "expected --attention_window 8, with which it was made" in done.stderr
    done = run_here("pretrain_retriever.py", *second, "--attention_window", 8, "--epochs", 1)
    assert done.exit_code == 0, done.stderr
    judged = ["--collection", data / "held_out/a-b", "--epochs", 0]
    assert evaluate(tmp_path / "map", "--model", tmp_path / "more/epoch-1", *judged).exit_code == 0


def test_two_processes_train_together_and_go_on(data, tmp_path):
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]

    def run(name, epochs):
        options = ["--data_dir", data, "--output_dir", tmp_path / name, "--epochs", epochs, *SHORT]
        command = [*launch, ROOT / "scripts/pretrain_retriever.py", *map(str, options)]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0, done.stderr

    run("whole", 2)
    run("stopped", 1)
    run("stopped", 2)
    whole, stopped = ((tmp_path / name / "losses.jsonl").read_text() for name in ("whole", "stopped"))
    assert whole == stopped and whole.count("\n") == 12


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--data_dir", "{empty}"], 2, "expected pairs of languages in aligned/, found none"),
        (["--data_dir", "{data}", "--pairs", "a-c"], 2, "--pairs: expected some of a-b"),
        (["--data_dir", "{data}", "--base_model", "{empty}"], 1, "cannot be loaded as a BERT"),
        (["--data_dir", "{data}", "--base_model", "x", "--from_scratch"], 2, "expected one of both"),
        (
            ["--data_dir", "{data}", "--base_model", "{model}/epoch-1", "--max_length", 64],
            2,
            "more than its 32 positions",
        ),
        (["--data_dir", "{data}", "--from_scratch", "--sentence_language", "english"], 2, "expected a language code"),
        (["--data_dir", "{data}", "--mask_mode", "words"], 2, "is not one of 'query', 'document', 'mixed'"),
        (["--data_dir", "{lacking}", "--from_scratch"], 1, "expected sections/a and sections/b beside aligned/a-b"),
        (["--data_dir", "{broken}", "--from_scratch"], 1, "make pairs and sections again"),
    ],
)
def test_wrong_use_of_pretraining_is_one_line(data, model, tmp_path, options, code, message):
    (tmp_path / "empty").mkdir()
    shutil.copytree(data / "aligned", tmp_path / "lacking/aligned")
    write_trial(tmp_path / "other", sections=3, held_out=10, seed=1)
    shutil.copytree(data / "aligned", tmp_path / "broken/aligned")
    shutil.copytree(tmp_path / "other/sections", tmp_path / "broken/sections")
    places = {name: tmp_path / name for name in ("empty", "lacking", "broken")} | {"data": data, "model": model}
    words = [str(word).format(**places) for word in options]
    done = run_here("pretrain_retriever.py", *words, "--output_dir", tmp_path / "out")
    assert done.exit_code == code
    assert re.fullmatch(r"error: [^\n]*\n", done.stderr) and message in done.stderr
    assert not (tmp_path / "out").exists()


def evaluate(folder, *options):
    return run_here("evaluate_retriever.py", "--output_dir", folder, *options)


def test_models_are_evaluated_once_and_every_ranking_is_kept(data, model, tmp_path):
    collection = ["--collection", f"judged={data / 'held_out/a-b'}"]
    models = ["--model", f"before={model / 'epoch-0'}", "--model", f"after={model / 'epoch-1'}"]
    short = ["--epochs", 2, "--batch_size", 4]
    first = evaluate(tmp_path, *models, *collection, *short)
    assert first.exit_code == 0, first.stderr
    results = json.loads((tmp_path / "after/judged/results.json").read_text(encoding="utf-8"))
    assert len(results["average_precision"]) == 12 and len(results["folds"]) == 5
    runs = sorted(path.relative_to(tmp_path / "after/judged") for path in (tmp_path / "after/judged").rglob("*.run"))
    assert [str(path) for path in runs] == [
        f"fold-{k}/{part}-epoch-1.run" for k in range(1, 6) for part in ("dev", "test")
    ]
    again = evaluate(tmp_path, *models, *collection, *short)
    assert again.stdout.count("complete already") == 2 and again.stdout.endswith(first.stdout[-200:])
    other = evaluate(tmp_path, *models, *collection, "--epochs", 0)
    assert other.exit_code == 2 and "holds another run (epochs was 2, is 0; batch" in other.stderr
    swapped = evaluate(tmp_path, "--model", f"before={model / 'epoch-1'}", *collection, *short)
    assert swapped.exit_code == 2 and "holds another run (model was" in swapped.stderr
    assert (tmp_path / "before/judged/fold-1").is_dir()
    as_is = evaluate(tmp_path / "as-is", *models, *collection, "--epochs", 0)
    assert as_is.exit_code == 0 and (tmp_path / "as-is/before/judged/all.run").exists()


def test_models_of_one_name_are_seeds(data, model, tmp_path):
    models = [f"--model=both={model / name}" for name in ("epoch-1", "epoch-2")]
    done = evaluate(tmp_path, *models, "--collection", f"judged={data / 'held_out/a-b'}", "--epochs", 0)
    assert done.exit_code == 0 and re.search(r"\| both \| 0\.\d{3} ±0\.\d{3} \|", done.stdout)
    assert sorted(path.name for path in tmp_path.glob("both-*")) == ["both-1", "both-2"]


def test_two_evaluations_in_one_folder_are_refused(model, data, tmp_path):
    place = model / "epoch-1"
    for names in ((f"a/b={place}", f"a-b={model / 'epoch-2'}"), (f"a={place}", f"a={place}")):
        models = [f"--model={name}" for name in names]
        done = evaluate(tmp_path, *models, "--collection", data / "held_out/a-b", "--epochs", 0)
        assert done.exit_code == 2 and "would hold two evaluations" in done.stderr and not list(tmp_path.iterdir())


def test_ours_stand_beside_the_published_numbers(data, model, tmp_path):
    table = ["--table", ROOT / "configs/tables/clef.yaml", "--epochs", 0]
    collection = ["--collection", f"de-en={data / 'held_out/a-b'}"]
    done = evaluate(tmp_path, "--model", f"mbert={model / 'epoch-0'}", *collection, *table)
    assert done.exit_code == 0, done.stderr
    assert "0.400" in done.stdout and "instead of 176" in done.stdout
    wrong = evaluate(tmp_path / "wrong", "--model", f"mine={model / 'epoch-0'}", *collection, *table)
    assert wrong.exit_code == 2 and "there is no row 'mine'; expected one of its rows: mbert" in wrong.stderr
    assert not (tmp_path / "wrong").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--collection", "{data}/nowhere"], 2, "expected a folder, or an id of ir_datasets"),
        (["--collection", "{others}"], 1, "found none of the"),
        (["--collection", "{judged}", "--max_length", 64], 2, "expected at most the 32 positions"),
        (["--collection", "{judged}", "--encoding", "roman"], 2, "expected the name of an encoding like latin-1"),
        (["--collection", "{judged}", "--num_negatives", 10], 1, "found none with more than 9; take a smaller"),
        (["--collection", "{few}"], 1, "expected at least 5 queries with a relevant document"),
    ],
    ids=["no such place", "ids do not occur", "too long", "encoding", "too many negatives", "few queries"],
)
def test_wrong_use_of_the_evaluation_is_one_line(data, model, tmp_path, options, code, message):
    others = shutil.copytree(data / "held_out/a-b", tmp_path / "others")
    (others / "documents.jsonl").write_text('{"id": "x", "text": "y"}\n', encoding="utf-8")
    few = shutil.copytree(data / "held_out/a-b", tmp_path / "few")
    lines = (few / "qrels.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    (few / "qrels.txt").write_text("".join(lines[:30]), encoding="utf-8")
    places = {"data": data, "others": others, "few": few, "judged": data / "held_out/a-b"}
    words = [str(word).format(**places) for word in options]
    done = evaluate(tmp_path / "out", "--model", model / "epoch-0", *words)
    assert done.exit_code == code
    assert re.fullmatch(r"error: [^\n]*\n", done.stderr.splitlines(keepends=True)[-1]) and message in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.thorough
def test_relevance_ranking_is_learnt_from_scratch(tmp_path, run_script):
    """The trial's bar: MAP of 0.5 after 1,500 steps; at random it is 0.29."""
    run_script("make_bilingual_trial.py", "--output_dir", tmp_path / "data")
    short = ["--objectives", "rr", "--epochs", 1, "--iterations_per_epoch", 1500, "--batch_size", 32]
    short += ["--max_length", 32, "--learning_rate", 5e-4, "--from_scratch"]
    run_script("pretrain_retriever.py", "--data_dir", tmp_path / "data", "--output_dir", tmp_path / "run", *short)
    models = [f"--model={name}={tmp_path / 'run' / name}" for name in ("epoch-0", "epoch-1")]
    judged = ["--collection", f"judged={tmp_path / 'data/held_out/a-b'}", "--epochs", 0]
    run_script("evaluate_retriever.py", *models, *judged, "--output_dir", tmp_path / "map")
    before, after = (
        json.loads((tmp_path / f"map/{name}/judged/results.json").read_text(encoding="utf-8"))["map"]
        for name in ("epoch-0", "epoch-1")
    )
    assert before < 0.4 and after > 0.5
