"""What the harness warns of is passed on, once; a model that needs BOS is named."""

import logging
from types import SimpleNamespace

import pytest
from transformers import AutoConfig

from leia.evaluation.messages import bos_note, pass_warnings_on


@pytest.fixture(autouse=True)
def logger():
    logger = logging.getLogger("lm_eval")
    before = logger.handlers[:], logger.level, logger.propagate
    logger.handlers = []
    yield logger
    logger.handlers, logger.level, logger.propagate = before


@pytest.mark.parametrize("rank", ["0", "1"])
def test_each_warning_is_one_line_once_from_the_first_process_alone(capsys, monkeypatch, rank):
    monkeypatch.setenv("RANK", rank)
    for _ in range(2):
        pass_warnings_on()
        task = logging.getLogger("lm_eval.api.task")
        task.info("Building contexts")
        task.warning("not %s\n  recommended", "at all")
        task.warning("Custom kwargs can be passed to `--metadata` in console")
    shown = capsys.readouterr()
    assert shown.err == ("warning: not at all recommended\n" if rank == "0" else "") and not shown.out


@pytest.mark.parametrize("kind", ["gemma", "gemma2", "gemma3", "gemma3_text", "recurrent_gemma", "llama", "opt"])
def test_a_model_of_the_gemma_family_needs_bos(kind):
    lm = SimpleNamespace(
        model=SimpleNamespace(config=AutoConfig.for_model(kind)), tokenizer=SimpleNamespace(bos_token_id=2)
    )
    needed = "note: m is of the Gemma family, which needs a BOS token; " if "gemma" in kind else ""
    rests = {"paper": "the paper's scoring gives none: use --scoring harness", "harness": "a BOS token will be used"}
    for scoring, rest in rests.items():
        lm.tok_encode = lambda text: [2, 7]
        assert bos_note(lm, "m", scoring) == (needed and needed + rest)
    lm.tok_encode = lambda text: [7]
    assert bos_note(lm, "m", "harness") == (needed and needed + "its tokenizer adds none")
