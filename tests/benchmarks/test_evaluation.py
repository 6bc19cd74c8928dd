"""The benchmark of evaluation on made-up items, with a tiny model: both sides give the same scores, and it says so."""

import json
import re

import pytest
import torch
from click.testing import CliRunner

from benchmarks.evaluation import NUM_CHOICES, evaluation
from benchmarks.made_up_items import MEAN_LENGTHS, make_tokenizer, make_up_requests

torch.set_num_threads(1)


def run(*options):
    return CliRunner().invoke(evaluation, ["--shape", "tiny", "--items_per_language", "1", *options])


def test_the_table_has_both_sides_and_their_predictions_are_the_same(monkeypatch):
    shorter = {language: (20, MEAN_LENGTHS[language][1]) for language in ("en", "ja", "vi")}
    monkeypatch.setattr("benchmarks.made_up_items.MEAN_LENGTHS", shorter)
    result = run("--rounds", "1")
    assert result.exit_code == 0, result.output
    header, _, harness, ours = (line for line in result.stdout.splitlines() if line.startswith("|"))
    assert header == "| | items/s | each round | times the harness |"
    assert re.fullmatch(r"\| harness, batch size \d+, its best \| [\d.]+ \| [\d.]+ \| 1\.00 \|", harness)
    assert re.fullmatch(r"\| ours, batch size auto \| [\d.]+ \| [\d.]+ \| [\d.]+ \|", ours)
    same, items, worst = re.search(
        r"Ours beside the harness: (\d+) of (\d+) pred.* by (\S+) at", result.stdout
    ).groups()
    assert same == items == "3" and float(worst) < 2e-4


def test_the_made_up_items_are_as_long_as_those_of_x_csqa(shared):
    """In all, and in what the harness and ours have to compute, by which they are told apart."""
    expected = json.loads((shared / "expected/xcsr-tiny-llama-hub-tokenizer.json").read_text("utf-8"))["results"]
    real = make_counts(shared / "data/tokenizer-as-on-the-hub/tokenizer.json", shared / "data/xcsr", expected)
    tokenizer = make_tokenizer()
    requests = make_up_requests(20, NUM_CHOICES)
    lengths = [[len(tokenizer(text)["input_ids"]) for text in request.args] for request in requests]
    made_up = [sum(column) / len(lengths) for column in zip(*lengths, strict=True)]
    assert made_up == pytest.approx(real, rel=0.03)
    assert len({tokenizer(request.args[1])["input_ids"][0] for request in requests}) == 1


def make_counts(tokenizer_file, xcsr, expected):
    """Mean tokens of a context with 4 examples and of a choice, over all choices of X-CSQA's real items."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    contexts, choices = [], []
    for language in MEAN_LENGTHS:
        items = expected[f"xcsqa_{language}/4"]["items"]
        contexts += [len(tokenizer.encode(item["context"], add_special_tokens=False)) for item in items]
        folder = "jap" if language == "ja" else language
        for line in (xcsr / "X-CSQA" / folder / "dev.jsonl").read_text("utf-8").splitlines():
            texts = [" " + choice["text"] for choice in json.loads(line)["question"]["choices"]]
            choices += [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
    return [sum(contexts) / len(contexts), sum(choices) / len(choices)]


def test_data_without_its_tokenizer_is_one_line(tmp_path):
    result = run("--xcsr_dir", str(tmp_path))
    assert result.exit_code == 2 and "expected both or neither, found one" in result.stderr
