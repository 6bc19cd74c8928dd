"""A run that is asked to stop within a step ends at once and loses that step alone; a long step says how far it is."""

import json
import os
import re
import signal
from types import SimpleNamespace

import pytest
import torch
from accelerate.utils import compare_versions
from training_workspace import STEPS, Workspace, same_losses

from leia.training import within_step

# A sitecustomize module: processes ask each other after each micro batch, and the last one alone gets a SIGTERM before
# the third micro batch of a step ends.
STOPS_WITHIN = """
import os, signal, sys
if any(word.endswith("scripts/train.py") for word in sys.orig_argv) and "leia.training.launch" not in sys.orig_argv:
    from leia.training import within_step
    within_step.CHECK_SECONDS = 0
    ask = within_step.WithinStep.is_asked_to_stop
    def kills_itself(self, accelerator, asked):
        is_last = os.environ.get("RANK", "0") == str(int(os.environ.get("WORLD_SIZE", "1")) - 1)
        if self._step == os.environ["STOP_IN"] and self._done == 1 and is_last:
            os.kill(os.getpid(), signal.SIGTERM)
        return ask(self, accelerator, asked)
    within_step.WithinStep.is_asked_to_stop = kills_itself
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    made = Workspace(tmp_path_factory.mktemp("a run in 東京"))
    config = made.folder / "model/config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"attention_dropout": 0.2}))
    return made


def same_run(workspace, one, other):
    same_losses(workspace.log(one), workspace.log(other))
    for name, weight in workspace.weights(other).items():
        assert torch.equal(weight, workspace.weights(one)[name])


SMALL = ["--per_device_train_batch_size", "1"]
AGAIN = r"; the same command with RESUME=1 \(train.py: --resume_from_checkpoint last\) continues"


def test_a_process_that_is_stopped_within_a_step_saves_the_last_whole_one_unless_it_is_saved(
    workspace, monkeypatch, capsys
):
    """With dropout; continued, it is the undisturbed run bit for bit."""
    ask = within_step.WithinStep.is_asked_to_stop

    def kills_itself(self, accelerator, asked):
        if self._step == f"step {stops[-1]}/{STEPS}" and self._done == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return ask(self, accelerator, asked)

    monkeypatch.setattr(within_step.WithinStep, "is_asked_to_stop", kills_itself)
    monkeypatch.setattr(within_step, "CHECK_SECONDS", 0)
    stops = [0]
    assert workspace.train_here("undisturbed", *SMALL)
    for step, said in (
        (1, "stopped within the first step, with nothing to save; the same command begins again"),
        (6, f"stopped within step 6; checkpoint-5, of the last whole step, is saved{AGAIN}"),
        (6, f"stopped within step 6; checkpoint-5, of the last whole step, is saved{AGAIN}"),
    ):
        stops.append(step)
        before = {path: path.stat().st_ino for path in (workspace.folder / "stopped").glob("checkpoint-*")}
        assert not workspace.train_here("stopped", *SMALL, "--resume_from_checkpoint", "last")
        assert re.search(f"^{said}$", capsys.readouterr().out, re.MULTILINE)
    assert before == {path: path.stat().st_ino for path in (workspace.folder / "stopped").glob("checkpoint-*")}
    assert before and not (workspace.folder / "stopped/config.json").exists()
    stops.append(0)
    assert workspace.train_here("stopped", *SMALL, "--resume_from_checkpoint", "last")
    same_run(workspace, "stopped", "undisturbed")


NOT_CONTINUED = pytest.mark.skipif(
    compare_versions("transformers", "<", "5.18"), reason="transformers before 5.18 does not continue DDP on CPUs"
)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("ddp", marks=NOT_CONTINUED),
        *(pytest.param(kind, marks=pytest.mark.thorough) for kind in ("fsdp2", "zero1", "zero3")),
    ],
)
def test_of_two_processes_one_is_stopped_within_a_step_and_both_end(workspace, tmp_path, kind):
    variables, options = {"ACCELERATE_CONFIG": workspace.machine(kind)}, SMALL
    if kind == "fsdp2":
        variables |= workspace.as_on_gpus(tmp_path)[0]
        options = [*SMALL, "--use_cpu", "false"]
    workspace.train(f"{kind} undisturbed", *options, **variables)
    with (tmp_path / "sitecustomize.py").open("a") as file:
        file.write(STOPS_WITHIN)
    variables["PYTHONPATH"] = f"{tmp_path}:{workspace.environment['PYTHONPATH']}"
    text = workspace.train(f"{kind} stopped", *options, STOP_IN=f"step 6/{STEPS}", **variables, code=143)
    assert "stopped within step 6; checkpoint-5, of the last whole step, is saved; " in text
    workspace.train(f"{kind} stopped", *options, RESUME="1", STOP_IN="", **variables)
    same_run(workspace, f"{kind} stopped", f"{kind} undisturbed")


def test_a_step_that_takes_long_says_how_far_it_is_and_a_quick_one_does_not(capsys, monkeypatch):
    """With 256 micro batches of 2 s the processes ask each other each 5, and a line is printed about each minute."""
    clock, asked_at = [0.0], []
    monkeypatch.setattr(within_step.time, "perf_counter", lambda: clock[0])

    def reduce(values, _):
        asked_at.append(len(took))
        return values

    process = SimpleNamespace(device="cpu", reduce=reduce)
    for seconds in (0.01, 2.0):
        within, took = within_step.WithinStep(256, 16_384, shows=True), []
        within.begin("step 3/50")
        for _ in range(255):
            took.append(seconds)
            clock[0] += seconds
            assert not within.is_asked_to_stop(process, asked=False)
        if seconds < 1:
            assert (capsys.readouterr().out, asked_at) == ("", [1])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "step 3/50  micro batch 31/256  8,192 tokens/s  0:07:30 left"
    assert len(lines) == 8 and asked_at[1:5] == [1, 6, 11, 16]
    clock[0] += 10
    monkeypatch.setattr(within, "_next", 0)
    assert within.is_asked_to_stop(process, asked=True)
