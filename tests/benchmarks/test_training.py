"""The benchmark of training runs every variant, in its tiny form."""

from itertools import pairwise

import torch
from click.testing import CliRunner

from benchmarks.training import Settings, training, variants


def test_each_line_changes_one_setting_and_the_first_is_the_published_one():
    lines = list(variants(4))
    assert lines[0] == Settings()
    for before, after in pairwise(lines):
        changed = [name for name in vars(after) if getattr(before, name) != getattr(after, name)]
        assert len(changed) == 2 and "change" in changed


def test_every_variant_is_measured(monkeypatch):
    monkeypatch.setattr("torch.compile", lambda model: model)  # takes a minute on a CPU
    sizes = ["--max_length", "16", "--micro_batch_size", "2", "--accumulation", "2", "--steps", "1"]
    result = CliRunner().invoke(training, ["--shape", "tiny", *sizes], catch_exceptions=False)
    assert result.exit_code == 0
    assert result.output.count("tokens/s") == len(list(variants(2)))


def test_where_nothing_can_be_compiled_the_other_variants_are_measured(monkeypatch):
    def compile_in_vain(model):
        raise torch._dynamo.exc.TorchDynamoException("there is no compiler\nmore")

    monkeypatch.setattr("torch.compile", compile_in_vain)
    sizes = ["--max_length", "16", "--micro_batch_size", "2", "--accumulation", "2", "--steps", "1"]
    result = CliRunner().invoke(training, ["--shape", "tiny", *sizes], catch_exceptions=False)
    compiled = sum(settings.compiled for settings in variants(2))
    assert result.output.count("does not compile here: there is no compiler\n") == compiled == 2
    assert result.output.count("tokens/s") == len(list(variants(2))) - compiled
