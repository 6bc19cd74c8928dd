"""The benchmark of training runs the trainer for every line, in its tiny form."""

from itertools import pairwise

import torch
from click.testing import CliRunner

from benchmarks.training import Settings, training, variants

TINY = ["--shape", "tiny", "--max_length", "16", "--micro_batch_size", "2", "--sequences", "4", "--steps", "1"]


def test_each_line_changes_one_setting_and_the_first_is_the_published_one():
    lines = list(variants(4))
    assert lines[0] == Settings()
    for before, after in pairwise(lines):
        changed = {name for name in vars(after) if getattr(before, name) != getattr(after, name)} - {"change"}
        assert len(changed) == 1 or changed == {"optim", "micro_batch_size"}, "its states leave room for more"


def test_every_line_is_measured_or_says_why_not(monkeypatch):
    monkeypatch.setattr("torch.compile", lambda function, **_: function)  # takes a minute on a CPU
    result = CliRunner().invoke(training, TINY, catch_exceptions=False)
    assert result.exit_code == 0
    rows = [line.split(" | ") for line in result.stdout.splitlines() if line.startswith("| ")][2:]
    assert [row[0].removeprefix("| ") for row in rows] == [settings.change for settings in variants(2)]
    assert all("GiB" in row[-1] for row in rows[:5])
    assert "torchao" in rows[5][1] or "GiB" in rows[5][-1]
    assert "a GPU of Ada's or Hopper's" in rows[6][1] or torch.cuda.is_available()


def test_where_nothing_can_be_compiled_the_other_lines_are_measured(monkeypatch):
    def compile_in_vain(function):
        raise torch._dynamo.exc.TorchDynamoException("there is no compiler\nmore")

    monkeypatch.setattr("torch.compile", compile_in_vain)
    result = CliRunner().invoke(training, TINY, catch_exceptions=False)
    asked = [line for line in variants(2) if line.torch_compile and not line.fp8]
    assert result.stdout.count("| there is no compiler |") == len(asked)
    assert result.stdout.count(" GiB |") == sum(not line.torch_compile for line in variants(2))
