"""Tries of a few steps, memory that runs out, and the search for the micro batch that trains fastest."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

import pytest
import torch
from accelerate.optimizer import AcceleratedOptimizer
from training_workspace import ROOT, SIZES, STEP_OPTIONS, Workspace, processes_below, read_until
from transformers import LlamaConfig, LlamaForCausalLM

from leia.base.errors import InputError, UsageError
from leia.base.outputs import held
from leia.training import micro_batch, trial
from leia.training.arguments import parse
from leia.training.launch import OUT_OF_MEMORY, STOPPED
from leia.training.memory import OutOfMemory, memory_named
from leia.training.micro_batch import TryFailed, find_micro_batch
from leia.training.trainer import LeiaTrainer
from leia.training.trial import TrialTrainer, try_out

LIMIT = "ulimit -d 4600000\n"
"""A process with torch and transformers takes 1.6 GB; a step of one wide sequence 1.5 GB more, one of four 6 GB."""

WIDE = ["--max_length", "1024", "--global_batch_size", "4"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("a run in 東京"))


@pytest.fixture(scope="module")
def narrow_memory(workspace):
    """Variables for `workspace.start`: memory has a limit, and a model of few weights needs 1 MB of it for a token."""
    folder = shutil.copytree(workspace.folder / "model", workspace.folder / "wide model")
    sizes = {"hidden_size": 32, "intermediate_size": 2**16, "num_hidden_layers": 1, "num_attention_heads": 2}
    former = LlamaConfig.from_pretrained(folder)
    LlamaForCausalLM(LlamaConfig(vocab_size=former.vocab_size, max_position_embeddings=2048, **sizes)).save_pretrained(
        folder
    )
    (workspace.folder / "limit").write_text(LIMIT)  # bash reads it first
    return {"BASH_ENV": str(workspace.folder / "limit"), "MODEL_NAME_OR_PATH": str(folder)}


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder for temporary files, of this process and those that it starts."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def try_here(workspace, output, *options, **settings):
    """`workspace.train_here`, cut to two steps that are only tried."""
    folder = workspace.folder
    settings |= SIZES | {"model_name_or_path": str(folder / "model"), "wikipedia_dataset_dir": str(folder / "dataset")}
    words = ["--output_dir", str(folder / output), *STEP_OPTIONS, *options]
    try_out(*parse(workspace.environment["TRAIN_CONFIG"], settings | {"try_steps": 2}, words))


def contents(folder):
    return {path: (path.stat().st_mtime_ns, path.is_dir() or path.read_bytes()) for path in folder.rglob("*")}


def test_a_try_says_what_it_found_and_writes_nothing(workspace, temporary, capsys, monkeypatch):
    monkeypatch.chdir(temporary)
    before = contents(workspace.folder)
    try_here(workspace, "absent", "--save_steps", "1", "--resume_from_checkpoint", "nowhere", validation_articles=5)
    *lines, last = capsys.readouterr().out.splitlines()
    assert "1 process x 2 sequences x 2 accumulation = 4 sequences x 64 tokens; 2 steps" in lines[1]
    assert [line.split()[1] for line in lines[2:]] == ["1/2", "2/2"]
    found = json.loads(last)
    assert (found["micro_batch"], found["accumulation"]) == (2, 4)
    assert found["tokens_per_second"] > 0 and found["peak_memory_gib"] > 0.1
    assert contents(workspace.folder) == before and not list(temporary.iterdir())


def test_no_service_hears_of_a_try(tmp_path):
    given = {"model_name_or_path": "model", "wikipedia_dataset_dir": "dataset", "try_steps": 2}
    words = ["--output_dir", str(tmp_path), "--report_to", "tensorboard", "--push_to_hub"]
    args = parse(ROOT / "configs/train/tiny_cpu.yaml", given, words)[1]
    assert not args.report_to and not args.push_to_hub


def test_a_try_leaves_a_run_in_its_folder_as_it_is_finished_or_going_on(workspace, capsys):
    folder = workspace.folder / "there"
    workspace.train_here("there", "--max_steps", "1")
    before = contents(folder)
    with held(folder):
        try_here(workspace, "there", "--seed", "7")
    assert capsys.readouterr().out.splitlines()[-1].startswith('{"micro_batch": 2')
    assert contents(folder) == before
    assert "try_steps" not in (folder / "README.md").read_text(), "a model has nothing to say of tries"


def test_the_speed_of_a_try_is_that_of_the_whole_step(workspace, capsys, monkeypatch):
    """A step of 4 micro batches of 2 s and 3 s of the optimizer; the try's own have 2 micro batches."""
    clock = [0.0]

    def take(seconds, owner, name):
        function = getattr(owner, name)

        def slow(*given, **named):
            clock[0] += seconds
            return function(*given, **named)

        monkeypatch.setattr(owner, name, slow)

    take(2.0, LeiaTrainer, "compute_loss")
    take(3.0, AcceleratedOptimizer, "step")
    monkeypatch.setattr(trial, "now", lambda: clock[0])
    try_here(workspace, "absent")
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert 8 * 64 / found["tokens_per_second"] == pytest.approx(4 * 2 + 3)


def test_the_slowest_process_and_the_one_with_most_memory_count_and_the_first_step_does_not():
    others = torch.tensor([[9.0, 3.0], [1.0, 99.0]])
    trainer = SimpleNamespace(
        seconds=[(0.1, 0.1), (1.0, 3.0), (2.0, 2.0)],
        tokens_per_step=200,
        args=SimpleNamespace(device="cpu", gradient_accumulation_steps=2, per_device_train_batch_size=4),
        accelerator=SimpleNamespace(gather=lambda mine: torch.cat([mine, others])),
    )
    found = TrialTrainer.found(trainer, accumulation=10)
    assert found.tokens_per_second == pytest.approx(1000 / 12) and found.peak_memory_gib == 99


def test_a_try_on_several_machines_is_refused(workspace, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    with pytest.raises(UsageError, match="try_steps is for one machine, this run is on several"):
        try_here(workspace, "absent")


CUDA = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"


def training_step(fails):
    fails()


def make_model(fails):
    try:
        fails()
    except OSError as error:
        raise InputError("no model can be loaded from it") from error


def step(fails):
    fails()


def deepspeed(fails):
    training_step(lambda: step(fails))  # its optimizer steps in the last micro batch


def raises(error):
    def fails():
        raise error

    return fails


@pytest.mark.parametrize(
    ("place", "fails", "told"),
    [
        (training_step, lambda: torch.empty(2**60), "a micro batch, which asked for 4294967296.00 GiB more (per_"),
        (training_step, lambda: bytearray(2**62), "a micro batch (per_device_train_batch_size is 4); take a smaller"),
        (training_step, raises(torch.OutOfMemoryError(CUDA)), "a micro batch, which asked for 2.00 GiB more (per_"),
        (training_step, raises(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling")), "a micro batch (per_"),
        (make_model, raises(OSError(12, "Cannot allocate memory")), "the model (per_device_train_batch_size is 4); "),
        (deepspeed, raises(MemoryError()), "the states of the optimizer (per_device_train_batch_size is 4); take OFFL"),
        (lambda fails: fails(), raises(MemoryError()), "the run (per_device_train_batch_size is 4); take a smaller"),
    ],
)
def test_whatever_error_says_that_memory_ran_out_is_one_line_that_says_where(place, fails, told):
    with pytest.raises(OutOfMemory) as raised, memory_named(4):
        place(fails)
    assert str(raised.value).startswith(f"the memory does not hold {told}") and raised.value.exit_code == OUT_OF_MEMORY


def test_no_smaller_micro_batch_than_1_is_advised():
    with pytest.raises(OutOfMemory, match=r"is 1\); take activation_checkpointing full; where "), memory_named(1):
        training_step(raises(MemoryError()))


def test_another_error_stays_what_it_is():
    for error in (
        RuntimeError("shapes"),
        InputError("out of memory/model"),
        OSError(2, "No such file", "out of memory/x"),
    ):
        with pytest.raises(type(error)) as raised, memory_named(4):
            raise error
        assert raised.value is error


def one_line_of_memory(text):
    assert "Traceback" not in text
    (line,) = [line for line in text.splitlines() if line.startswith("error: ")]
    assert line == text.splitlines()[-1]
    assert line.startswith("error: the memory does not hold a micro batch") and "size is 4); take a smaller" in line


def test_memory_that_runs_out_is_one_line_with_an_exit_code_of_its_own(workspace, narrow_memory):
    options = [*WIDE, "--per_device_train_batch_size", "4"]
    one_line_of_memory(workspace.train("full", *options, code=OUT_OF_MEMORY, **narrow_memory))


@pytest.mark.thorough
def test_of_two_processes_whose_memory_runs_out_one_says_so(workspace, narrow_memory):
    machine = {"ACCELERATE_CONFIG": workspace.machine("ddp")}
    options = [*WIDE, "--per_device_train_batch_size", "4", "--global_batch_size", "8"]
    one_line_of_memory(workspace.train("full ddp", *options, code=OUT_OF_MEMORY, **narrow_memory, **machine))


def left_of_a_try(temporary):
    return [path.name for path in temporary.iterdir() if not path.name.startswith("torchelastic_")]  # of its launcher


@pytest.mark.thorough
def test_two_processes_try_together_and_one_tells(workspace, temporary):
    text = workspace.train(
        "absent", "--try_steps", "2", ACCELERATE_CONFIG=workspace.machine("ddp"), TMPDIR=str(temporary)
    )
    (found,) = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert (found["micro_batch"], found["accumulation"]) == (2, 2)
    assert not left_of_a_try(temporary) and not (workspace.folder / "absent").exists()


def faked(monkeypatch, share, speeds):
    """Have tries find these speeds, one a size that is doubled; memory does not hold more."""
    tried = []

    def find(words, size, may_fail):
        tried.append(size)
        if len(tried) > len(speeds):
            return None
        return {"accumulation": share // size, "tokens_per_second": speeds[len(tried) - 1], "peak_memory_gib": 1}

    monkeypatch.setattr(micro_batch, "try_micro_batch", find)
    return tried


@pytest.mark.parametrize(
    ("share", "speeds", "chosen", "tried"),
    [
        (256, [100, 150, 200], 4, [1, 2, 4, 8]),  # the largest one that fits
        (256, [100, 101, 99], 1, [1, 2, 4]),  # a little more is not worth the memory, and no more are tried
        (256, [100, 101, 103], 4, [1, 2, 4, 8]),  # much more than the one chosen before
        (256, [100, 90, 130], 4, [1, 2, 4, 8]),
        (12, [100, 150, 200], 4, [1, 2, 4]),  # 8 does not divide the share of a process
        (1, [100], 1, [1]),
    ],
)
def test_the_search_takes_the_fastest_that_is_worth_its_memory(monkeypatch, share, speeds, chosen, tried):
    seen = faked(monkeypatch, share, speeds)
    said = []
    assert (find_micro_batch([], said.append), seen) == (chosen, tried)
    assert ("does not fit" in "".join(said)) == (len(tried) > len(speeds))


@pytest.mark.parametrize(("code", "may_fail"), [(OUT_OF_MEMORY, True), (137, True), (OUT_OF_MEMORY, False), (1, True)])
def test_only_lack_of_memory_beyond_the_first_try_is_no_failure(monkeypatch, tmp_path, code, may_fail):
    stub = tmp_path / "python"
    stub.write_text(f"#!/bin/sh\necho said >&2\nexit {code}\n")
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))
    if may_fail and code != 1:
        assert micro_batch.try_micro_batch([], 2, may_fail) is None
    else:
        with pytest.raises(TryFailed) as raised:
            micro_batch.try_micro_batch([], 2, may_fail)
        assert (raised.value.message, raised.value.exit_code) == ("said\n", code)


def search(workspace, *words, **settings):
    command = [sys.executable, str(ROOT / "scripts/find_micro_batch.py"), "--config_file", *words]
    settings |= {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
        "env": workspace.environment | {"TMPDIR": tempfile.gettempdir()},
    }
    return subprocess.Popen(command, **settings)


def training_words(workspace, *options):
    folder = workspace.folder
    words = [workspace.environment["ACCELERATE_CONFIG"], str(ROOT / "scripts/train.py")]
    words += ["--config", workspace.environment["TRAIN_CONFIG"], "--model_name_or_path", str(folder / "model")]
    return [
        *words,
        "--wikipedia_dataset_dir",
        str(folder / "dataset"),
        "--output_dir",
        str(folder / "absent"),
        *options,
    ]


def test_a_search_ends_with_the_message_and_the_code_of_a_try_that_fails(workspace):
    wrong = str(ROOT / "configs/train/tiny_cpu.yaml")
    process = search(workspace, wrong, str(ROOT / "scripts/train.py"))
    output, errors = process.communicate()
    assert (output, process.returncode) == ("", 1)
    assert errors.splitlines()[-1].startswith(f"error: {wrong}: expected settings of accelerate, found ")
    assert "Traceback" not in errors


def test_a_search_for_what_is_no_training_ends_with_one_line(workspace):
    process = search(workspace, workspace.environment["ACCELERATE_CONFIG"], str(ROOT / "scripts/train.py"), "--help")
    output, errors = process.communicate()
    assert (output, process.returncode) == ("", 2)
    last = errors.splitlines()[-1]
    assert last.startswith("error: expected a training by scripts/train.py, found: ") and last.endswith(" --help")
    assert "Traceback" not in errors


@pytest.mark.thorough
def test_a_search_prints_the_number_and_a_table_of_what_fits(workspace, narrow_memory, temporary):
    words = training_words(workspace, *WIDE, "--model_name_or_path", narrow_memory["MODEL_NAME_OR_PATH"])
    command = ["bash", "-c", f'{LIMIT}exec "$@"', "bash", sys.executable, str(ROOT / "scripts/find_micro_batch.py")]
    environment = workspace.environment | {"TMPDIR": str(temporary)}
    ended = subprocess.run([*command, "--config_file", *words], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    head, *rows = ended.stderr.splitlines()
    assert head.split() == ["micro", "batch", "tokens/s", "memory"]
    assert rows[0].split()[0] == "1" and rows[0].endswith(" GiB")
    assert rows[-1].split()[1:] == ["does", "not", "fit"] and rows[-1].split()[0] in ("2", "4")
    assert ended.stdout.strip() in ("1", "2") and ended.stdout.endswith("\n")
    assert not (workspace.folder / "absent").exists() and not list(temporary.iterdir())


WAITS = """
import signal, time
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # as train.py does
open("begun", "w").close()
time.sleep(120)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, STOPPED), (signal.SIGINT, 1)])
def test_a_search_that_is_stopped_ends_its_try(workspace, tmp_path, number, code):
    script = tmp_path / "waits.py"
    script.write_text(WAITS)
    process = search(workspace, workspace.environment["ACCELERATE_CONFIG"], str(script), cwd=tmp_path)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.01)
    trying = processes_below(process, "waits.py")
    process.send_signal(number)
    assert process.communicate(timeout=60)[0] == "" and process.returncode == code
    assert len(trying) == 2 and not any(one.is_running() for one in trying), "the launcher and the script"


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["cpu", "ddp"])
def test_a_try_that_is_stopped_ends_at_once_and_leaves_nothing(workspace, temporary, kind):
    machine = workspace.machine(kind) if kind == "ddp" else ""
    process = workspace.start("absent", "--try_steps", "9999", machine=machine, TMPDIR=str(temporary))
    read_until(process, "step 2/")
    process.terminate()
    text = process.communicate()[0]
    assert process.returncode == STOPPED and text.endswith("stopped; a try leaves nothing\n"), text
    assert not left_of_a_try(temporary) and not (workspace.folder / "absent").exists()


@pytest.mark.thorough
def test_train_sh_trains_with_the_micro_batch_found_and_the_losses_are_those_of_that_number(workspace):
    text = workspace.train("found", "--global_batch_size", "2", "--max_steps", "3", FIND_MICRO_BATCH="1")
    (number,) = [line.split()[-1] for line in text.splitlines() if line.startswith("trains with micro batches of ")]
    assert f"1 process x {number} sequences x {2 // int(number)} accumulation = 2 sequences" in text
    options = ["--max_steps", "3", "--per_device_train_batch_size", number]
    workspace.train_here("given", *options, global_batch_size=2)
    keys = ("step", "loss", "loss_text", "grad_norm", "learning_rate")
    found, given = ([[entry.get(key) for key in keys] for entry in workspace.log(name)] for name in ("found", "given"))
    assert found == given and len(found) == 3
    assert set(os.listdir(workspace.folder / "found")) == set(os.listdir(workspace.folder / "given"))
