"""What is said on standard error: the harness's warnings, once each, and whether a model gets the BOS that it needs."""

import logging
from types import SimpleNamespace

import pytest
from accelerate import PartialState

from leia.evaluation import notes


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch):
    monkeypatch.setattr(notes, "_said", set())
    monkeypatch.setattr(notes, "_unsaid", [])
    notes.pass_warnings_on()


def warn_of_everything():
    logger = logging.getLogger("lm_eval.api.task")
    for number in (7, 8):
        logger.info("Building contexts")
        logger.warning("[Task: t] metric acc is defined, but aggregation is not")
        logger.warning(f"Combined length of context ({number}) exceeds 1024")
        logger.warning("Label index was not in range,Sample:\n\n{'id': %s}\n\n", number)
        logger.warning("t: Custom kwargs can be passed to `--metadata`")
    logger.warning("[Task: t2] metric acc is defined, but aggregation is not")


SAID = [
    "warning: lm-eval: [Task: t] metric acc is defined, but aggregation is not",
    "warning: lm-eval: Combined length of context (7) exceeds 1024",
    "warning: lm-eval: Label index was not in range,Sample:",
    "warning: lm-eval: [Task: t2] metric acc is defined, but aggregation is not",
]


def test_a_warning_of_the_harness_is_one_line_once_and_not_once_an_item(capsys):
    warn_of_everything()
    assert capsys.readouterr().err.splitlines() == SAID


def test_another_process_leaves_it_to_the_first_one(capsys, monkeypatch):
    """An item of the second process may be the only one that is too long."""
    PartialState(cpu=True)
    monkeypatch.setenv("RANK", "1")
    warn_of_everything()
    monkeypatch.setattr(notes, "gather_object", lambda lines: [SAID[0], *lines])
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("RANK", "0")
    notes._said.clear()
    notes.share()
    assert capsys.readouterr().err.splitlines() == SAID


def model(kind, inner=None):
    text = SimpleNamespace(model_type=inner or kind)
    return SimpleNamespace(model_type=kind, get_text_config=lambda: text)


def tokenizer(*ids):
    class Ids:
        bos_token_id = 2

        def __call__(self, _):
            return {"input_ids": list(ids)}

    return Ids()


@pytest.mark.parametrize(
    "config", [model("gemma"), model("gemma2"), model("gemma3", "gemma3_text"), model("x", "gemma3n")]
)
def test_a_model_that_needs_a_bos_is_told_what_the_scoring_gives(config, capsys):
    for _ in range(2):
        notes.note_bos("google/gemma", config, tokenizer(2, 5), "paper")
    notes.note_bos("google/gemma", config, tokenizer(2, 5), "harness")
    notes.note_bos("google/gemma", config, tokenizer(5), "harness")
    needs = "note: google/gemma is of the Gemma family, which needs a BOS token"
    assert capsys.readouterr().err.splitlines() == [
        f"{needs}; the paper's scoring gives none: use --scoring harness",
        f"{needs}: a BOS token will be used",
        f"{needs}; its tokenizer puts none in front of a text, so its scores mean nothing",
    ]


def test_other_models_are_not_told_anything(capsys):
    for kind in ("llama", "qwen2", "mistral"):
        notes.note_bos("m", model(kind), tokenizer(2, 5), "paper")
    assert capsys.readouterr().err == ""
