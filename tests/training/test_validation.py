"""What is evaluated while a model trains: right numbers, on any number of processes, and a training that knows nothing
of it."""

import json
import shutil

import pytest
import torch
from evaluation_sample import XCSR
from training_workspace import STEPS, Workspace
from transformers import AutoModelForCausalLM

from leia.base.datasets import open_training_dataset
from leia.base.errors import InputError, UsageError
from leia.data.collator import entity_name_mask
from leia.data.tokenizers import load_tokenizer
from leia.evaluation.run_tasks import TaskScores
from leia.reports.figures import draw_runs, read_log
from leia.training.arguments import parse
from leia.training.streams import make_streams, open_sources
from leia.training.validation import hold_out

TASKS = {"TASKS": "xcsqa_ja,xcodah_es", "NUM_FEWSHOT_SAMPLES": "2,0", "XCSR_DIR": str(XCSR)}
HELD_OUT = 10


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("evaluated"))


@pytest.fixture(scope="module")
def evaluated(workspace):
    """A run in one process, evaluated after the steps 4, 8 and 10, and what it prints."""
    return workspace.train("evaluated", "--validation_articles", str(HELD_OUT), "--eval_steps", "4", **TASKS)


def evaluations(workspace, output):
    history = json.loads((workspace.folder / output / "trainer_state.json").read_text())["log_history"]
    return [entry for entry in history if "eval_loss" in entry]


def test_the_losses_and_scores_are_those_of_the_saved_model(workspace, evaluated):
    *_, last = evaluations(workspace, "evaluated")
    folder = workspace.folder / "evaluated"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder).eval(), load_tokenizer(str(folder))
    experiment, _ = parse(workspace.environment["TRAIN_CONFIG"], settings(workspace), ["--output_dir", "x"])
    ids = tokenizer.convert_tokens_to_ids(["<translate>", "</translate>"])
    _, blocks = make_streams(open_sources(experiment), experiment, tokenizer, seed=7)
    losses = {"names": [], "text": []}
    for block in blocks:
        tokens = block["input_ids"]
        with torch.no_grad():
            log_probs = model(tokens[None]).logits[0].double().log_softmax(-1)
        inside = entity_name_mask(tokens, *ids)
        for place in range(1, len(tokens)):
            if tokens[place] not in (*ids, tokenizer.eos_token_id):
                kind = "names" if inside[place] else "text"
                losses[kind].append(-log_probs[place - 1, tokens[place]].item())
    both = [*losses["names"], *losses["text"]]
    assert len(losses["names"]) > 10
    assert last["eval_loss"] == pytest.approx(sum(both) / len(both), abs=1e-4)
    for kind in losses:
        assert last[f"eval_loss_{kind}"] == pytest.approx(sum(losses[kind]) / len(losses[kind]), abs=1e-4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XCSR_DIR", str(XCSR))
        before = tokenizer.pad_token_id
        scores = TaskScores(["xcsqa_ja", "xcodah_es"], [2, 0], str(folder))(model, tokenizer)
        assert tokenizer.pad_token_id == before, "the tokenizer stays as it is"
    assert scores == {"xcsqa_ja_2shot_acc": last["eval_xcsqa_ja_2shot_acc"],
                      "xcodah_es_0shot_acc": last["eval_xcodah_es_0shot_acc"]}  # fmt: skip


def settings(workspace):
    return {
        "model_name_or_path": str(workspace.folder / "model"),
        "wikipedia_dataset_dir": str(workspace.folder / "dataset"),
        "max_length": 64,
        "global_batch_size": 8,
        "validation_articles": HELD_OUT,
    }


def test_training_knows_nothing_of_its_evaluation(workspace, evaluated):
    assert workspace.train_here("hardly evaluated", "--eval_steps", "99", validation_articles=HELD_OUT)
    assert [entry["step"] for entry in evaluations(workspace, "evaluated")] == [4, 8, STEPS]
    assert [entry["step"] for entry in evaluations(workspace, "hardly evaluated")] == [STEPS]
    ours, theirs = workspace.log("evaluated"), workspace.log("hardly evaluated")
    for key in ("loss", "loss_names", "loss_text", "grad_norm"):
        assert [entry[key] for entry in ours] == [entry[key] for entry in theirs]
    for name, weight in workspace.weights("evaluated").items():
        assert torch.equal(weight, workspace.weights("hardly evaluated")[name])


def test_dropout_has_no_say_in_an_evaluation(workspace):
    with_dropout = shutil.copytree(workspace.folder / "model", workspace.folder / "model with dropout")
    config = json.loads((with_dropout / "config.json").read_text())
    (with_dropout / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.5}))
    options = ["--learning_rate", "0", "--max_steps", "2", "--eval_steps", "1"]
    settings = {"model_name_or_path": str(with_dropout), "validation_articles": HELD_OUT}
    assert workspace.train_here("dropout", *options, **settings)
    first, second = (entry["eval_loss"] for entry in evaluations(workspace, "dropout"))
    assert first == second, "the weights are the same"


def test_a_line_says_what_was_found(workspace, evaluated):
    lines = [line for line in evaluated.splitlines() if "evaluation:" in line]
    assert [line.split()[1] for line in lines] == ["4/10", "8/10", "10/10"]
    last = evaluations(workspace, "evaluated")[-1]
    shown = f"loss {last['eval_loss']:.4f}  names {last['eval_loss_names']:.4f}  text {last['eval_loss_text']:.4f}"
    assert shown in lines[-1] and f"xcsqa_ja_2shot_acc {last['eval_xcsqa_ja_2shot_acc']:.3f}" in lines[-1]
    assert f"60 articles, {HELD_OUT} of them held out; names" in evaluated


def test_the_figure_draws_held_out_losses_dashed_and_scores_apart(workspace, evaluated):
    log = read_log(workspace.folder / "evaluated")
    panels = {panel.get_title(loc="left"): panel for row in draw_runs([log]).subfigs for panel in row.axes}
    training, held_out = panels["loss"].get_lines()
    assert list(held_out.get_xdata()) == [4, 8, 10] and held_out.get_linestyle() == "--" != training.get_linestyle()
    assert list(held_out.get_ydata()) == log.points("eval_loss")[1]
    assert list(panels["xcsqa_ja_2shot_acc"].get_lines()[0].get_ydata()) == log.points("eval_xcsqa_ja_2shot_acc")[1]


def test_a_continued_run_has_the_log_of_the_undisturbed_one(workspace, evaluated, monkeypatch):
    monkeypatch.setenv("XCSR_DIR", str(XCSR))
    shutil.copytree(workspace.folder / "evaluated/checkpoint-9", workspace.folder / "continued/checkpoint-9")
    options = ["--resume_from_checkpoint", "last", "--eval_steps", "4"]
    assert workspace.train_here("continued", *options, validation_articles=HELD_OUT)
    losses = [entry["eval_loss"] for entry in evaluations(workspace, "evaluated")]
    assert [entry["eval_loss"] for entry in evaluations(workspace, "continued")] == losses
    with pytest.raises(InputError, match=r"belongs to another run, with validation_articles 10 \(now 0\)"):
        workspace.train_here("continued", "--resume_from_checkpoint", "last")


@pytest.mark.parametrize(
    ("kind", "offload"),
    [
        ("zero3", "none"),
        pytest.param("zero3", "cpu", marks=pytest.mark.thorough),
        pytest.param("fsdp2", "", marks=pytest.mark.thorough),
    ],
)
def test_two_processes_find_what_one_finds(workspace, evaluated, tmp_path, kind, offload):
    output, variables = f"{kind} {offload}", {"OFFLOAD_OPTIMIZER_DEVICE": offload}
    given, told = workspace.as_on_gpus(tmp_path)
    options = ["--use_cpu", "false"] if kind == "fsdp2" else []
    machine = workspace.machine(kind)
    options += ["--validation_articles", str(HELD_OUT), "--eval_steps", "4"]
    workspace.train(output, *options, ACCELERATE_CONFIG=machine, **given, **variables, **TASKS)
    if kind == "zero3":
        assert told.read_text().endswith(f"offload {offload}"), "OFFLOAD_OPTIMIZER_DEVICE has its say"
    for found, expected in zip(evaluations(workspace, output), evaluations(workspace, "evaluated"), strict=True):
        assert found == pytest.approx(expected, abs=1e-3)


def test_the_articles_held_out_are_spread_over_the_dataset_and_the_others_trained_on(workspace):
    dataset = open_training_dataset(workspace.folder / "dataset")
    training, held_out = hold_out(dataset, 4)
    assert [dataset["input_ids"][row] for row in (7, 22, 37, 52)] == list(held_out["input_ids"])
    rows = [row for row in range(60) if row not in (7, 22, 37, 52)]
    assert list(training["input_ids"]) == [dataset["input_ids"][row] for row in rows]
    assert hold_out(dataset, 0) == (dataset, None)
    with pytest.raises(InputError, match="validation_articles is 60, the dataset has 60 articles; take fewer"):
        hold_out(dataset, 60)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation_articles": -1}, "validation_articles is -1; expected at least 0"),
        ({"offload_optimizer_device": "disk"}, "offload_optimizer_device is disk; expected none or cpu"),
        ({"offload_optimizer_device": "cpu"}, "is for DeepSpeed, which ACCELERATE_CONFIG does not use"),
        ({"validation_articles": 0, "eval_steps": 5}, "eval_steps is 5, with nothing to evaluate; give validation_"),
    ],
)
def test_settings_that_cannot_be_are_one_line(workspace, options, message):
    with pytest.raises(UsageError, match=message):
        parse(workspace.environment["TRAIN_CONFIG"], settings(workspace) | options, ["--output_dir", "x"])


def test_too_few_articles_for_a_block_are_refused(workspace):
    with pytest.raises(InputError, match="validation_articles is 1: these hold less than one block of 512 tokens"):
        workspace.train_here("too few", validation_articles=1, max_length=512)


@pytest.mark.thorough
def test_adapters_are_scored_as_a_whole_model(workspace):
    text = workspace.train("adapters", "--lora_rank", "4", "--max_steps", "2", **TASKS)
    assert "step 2/2  evaluation:  xcsqa_ja_2shot_acc" in text and "cannot score" not in text


@pytest.mark.thorough
def test_unknown_tasks_end_the_run_before_it_begins(workspace):
    text = workspace.train("no such task", code=2, TASKS="xcsqa_xx", NUM_FEWSHOT_SAMPLES="0", XCSR_DIR=str(XCSR))
    assert text.startswith("error: there is no task xcsqa_xx; ") and text.count("\n") == 1
    assert not (workspace.folder / "no such task").exists()


def test_variables_of_train_sh_take_effect_and_names_may_stand_without_tags(workspace):
    variables = {"LEARNING_RATE": "0.001", "SEED": "7", "NO_SEPARATOR_TOKENS": "true"}
    text = workspace.train("variables", "--max_steps", "2", **variables)
    assert "probability 0.5, without tags; attention" in text
    run = json.loads((workspace.folder / "variables/run.json").read_text())
    assert (run["learning_rate"], run["seed"], run["no_separator_tokens"]) == (0.001, 7, True)
    first, _ = workspace.log("variables")
    assert 0 < first["inserted_share"] < 0.1 and first["loss_names"] != first["loss_text"]
