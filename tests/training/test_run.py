"""Whole runs by the project's own commands on a model made on the spot: the same losses after any interruption, and a
clear line where something is wrong."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time
from itertools import islice
from pathlib import Path

import pytest
import torch
from datasets import Dataset, load_from_disk
from safetensors.torch import load_file
from tokenizers import Tokenizer
from training_workspace import (
    ROOT,
    STEPS,
    TRAINING_COLUMNS,
    Workspace,
    assert_nothing_but_what_we_say,
    processes_below,
    read_until,
    same_losses,
)
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from leia.base.errors import InputError, UsageError
from leia.base.outputs import held
from leia.data import LeiaConstantLengthDataset
from leia.data.tokenizers import load_tokenizer
from leia.reports.figures import LOSSES, PROGRESS, draw_runs, read_log
from leia.reports.preview import TokenTexts
from leia.training import checkpoints


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("a run in 東京"))


@pytest.fixture(scope="module")
def undisturbed(workspace):
    return workspace.train("undisturbed", "--report_to", "tensorboard")


def test_a_run_leaves_a_model_that_plain_transformers_loads(workspace, undisturbed):
    folder = workspace.folder / "undisturbed"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids(["<translate>", "</translate>"]) == [len(tokenizer) - 2, len(tokenizer) - 1]
    assert model.get_input_embeddings().num_embeddings == len(tokenizer)
    log = workspace.log("undisturbed")
    assert log[-1]["loss"] < log[0]["loss"] - 1
    assert {"loss_names", "loss_text", "grad_norm", "tokens_per_second", "peak_memory_gib"} <= set(log[0])
    assert log[-1]["tokens_seen"] == STEPS * 8 * 64
    assert "mfu" not in log[0], "no such figure without a known rate of the machine"
    assert_nothing_but_what_we_say(undisturbed, folder)
    assert list(folder.glob("runs/*/events*")), "TensorBoard"
    card = (folder / "README.md").read_text()
    for part in ("--max_steps 10", "| learning_rate | 0.003 |", '"no text": 1', "| entity_name_insertion_prob | 0.5 |"):
        assert part in card
    assert not (folder / "training_args.bin").exists()
    listed = json.loads((folder / f"checkpoint-{STEPS}" / "files.json").read_text()).keys()
    assert {"model.safetensors", "optimizer.pt", "scheduler.pt", "stream.json"} <= listed
    assert not {"trainer_state.json", "training_args.bin"} & listed, "they differ with the speed and the folder's name"
    copied, given = folder / "dataset_manifest.json", workspace.folder / "dataset/manifest.json"
    assert json.loads(copied.read_bytes()) == json.loads(given.read_bytes())


def test_a_run_that_is_killed_and_stopped_and_continued_is_the_undisturbed_run_bit_for_bit(workspace, undisturbed):
    output = "interrupted"
    process = workspace.start(output)
    read_until(process, "step 4/")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process = workspace.start(output, RESUME="1")
    read_until(process, f"{workspace.folder / output}: continues")
    training = processes_below(process, "train.py")[-1]  # below its launcher
    read_until(process, "step 5/")
    training.suspend()  # else its last steps may be over before the launcher has passed the signal on
    process.terminate()
    while not is_in("ShdPnd", signal.SIGTERM, training.pid):
        time.sleep(0.01)
    training.resume()
    text = process.communicate()[0]
    assert process.returncode == 143
    (said,) = [line for line in text.splitlines() if "stopped" in line]
    saved = re.fullmatch(r"stopped after saving (checkpoint-\d+); the same command with RESUME=1 .* continues", said)[1]
    assert not (workspace.folder / output / "config.json").exists()
    text = workspace.train(output, RESUME="1")
    assert text.startswith(f"{workspace.folder / output}: continues from {saved} of {STEPS} steps\n")
    assert "step 1/" not in text
    same_losses(workspace.log(output), workspace.log("undisturbed"))
    for name, weight in workspace.weights("undisturbed").items():
        assert torch.equal(weight, workspace.weights(output)[name])


def test_the_report_shows_the_log_of_a_run_going_on_and_of_one_continued(workspace, undisturbed):
    whole, part = workspace.folder / "undisturbed", workspace.folder / "continued for the report"
    shutil.copytree(whole / "checkpoint-9", part / "checkpoint-9")
    assert read_log(part).describe() == f"{part.name}: step 9 of {STEPS}, {9 * 8 * 64:,} tokens"
    assert read_log(part).entries == workspace.log("undisturbed")[:9]
    assert workspace.train_here(part.name, "--resume_from_checkpoint", "last")
    assert read_log(part).entries == workspace.log(part.name) != workspace.log("undisturbed")
    same_losses(read_log(part).entries, workspace.log("undisturbed"))
    figure = draw_runs([read_log(whole), read_log(part)])
    panels = {panel.get_title(loc="left"): panel for row in figure.subfigs for panel in row.axes}
    assert len(panels) == 6, "no MFU on a CPU"
    for key, title in (LOSSES | PROGRESS).items():
        if title in panels:
            for line, output in zip(panels[title].get_lines(), ("undisturbed", part.name), strict=True):
                assert list(line.get_xdata()) == list(range(1, STEPS + 1))
                assert list(line.get_ydata()) == [entry[key] for entry in workspace.log(output)]


def test_a_finished_run_is_not_run_again(workspace, undisturbed, capsys):
    assert workspace.train_here("undisturbed", "--resume_from_checkpoint", "last")
    assert "undisturbed: nothing to do, the finished model of this run is there" in capsys.readouterr().out
    with pytest.raises(InputError, match="holds the finished model of an earlier run; choose another"):
        workspace.train_here("undisturbed")
    with pytest.raises(InputError, match=r"undisturbed: belongs to another run, with seed 42 \(now 7\)"):
        workspace.train_here("undisturbed", "--resume_from_checkpoint", "last", "--seed", "7")
    with pytest.raises(InputError, match=r"model.run\.json: .*expected a checkpoint or model of train.py"):
        workspace.train_here("model", "--resume_from_checkpoint", "last")


def test_of_a_finished_run_only_the_checkpoints_asked_for_stay_though_it_was_killed_between(
    workspace, undisturbed, monkeypatch, capsys
):
    """The final model is complete before the first one is removed; a rerun removes what is left."""
    folder, again = workspace.folder / "kept", ["--resume_from_checkpoint", "last", "--keep_checkpoints"]
    shutil.copytree(workspace.folder / "undisturbed" / "checkpoint-9", folder / "checkpoint-9")
    with pytest.raises(UsageError, match="keep_checkpoints is 3, save_total_limit 2 leaves fewer; raise"):
        workspace.train_here("kept", *again, "3")

    def killed(checkpoint):
        assert checkpoints.is_finished(folder) and checkpoint.name == "checkpoint-9"
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(checkpoints, "_remove", killed)
        workspace.train_here("kept", *again, "1")
    for number, left in (("1", [STEPS]), ("0", [])):
        capsys.readouterr()
        assert workspace.train_here("kept", *again, number)
        assert "kept: nothing to do, the finished model of this run is there" in capsys.readouterr().out
        assert checkpoints.steps_saved(folder) == left
    assert {path.name for path in folder.iterdir()} == {
        path.name for path in (workspace.folder / "undisturbed").iterdir() if "checkpoint" not in path.name
    }
    same_losses(workspace.log("kept"), workspace.log("undisturbed"))


def test_a_run_does_not_continue_another_ones_checkpoint(workspace, undisturbed):
    checkpoint = str(workspace.folder / "undisturbed" / "checkpoint-9")
    with pytest.raises(InputError, match=r"belongs to another run, with seed 42 \(now 7\)"):
        workspace.train_here("other", "--resume_from_checkpoint", checkpoint, "--seed", "7")
    for name in ("nowhere", "undisturbed"):
        with pytest.raises(InputError, match=f"{name}: expected a checkpoint .*name a folder checkpoint-STEP, or last"):
            workspace.train_here("other", "--resume_from_checkpoint", str(workspace.folder / name))


@pytest.mark.parametrize(("number", "file"), [(9, "optimizer.pt"), (9, "scheduler.pt"), (STEPS, "model.safetensors")])
def test_a_damaged_checkpoint_is_neither_continued_nor_made_a_model(workspace, undisturbed, tmp_path, number, file):
    name = f"checkpoint-{number}"
    damaged = shutil.copytree(workspace.folder / "undisturbed" / name, tmp_path / "run" / name)
    if file == "model.safetensors":
        os.truncate(damaged / file, 9)
    else:
        (damaged / file).unlink()
    with pytest.raises(InputError, match=f"{name}/{file}: (is missing|has 9 bytes, was saved with)"):
        workspace.train_here(str(tmp_path / "run"), "--resume_from_checkpoint", "last")
    assert os.listdir(tmp_path / "run") == [name]


def test_two_runs_do_not_write_to_one_folder(workspace):
    with held(workspace.folder / "taken"), pytest.raises(InputError, match="is being written by"):
        workspace.train_here("taken")


def test_a_loss_or_gradient_that_is_no_number_stops_the_run_and_keeps_its_checkpoints(workspace):
    with pytest.raises(InputError, match=r"the gradient norm of step 2 is nan.*checkpoint-1;"):
        workspace.train_here("nan", "--learning_rate", "1e30", "--save_steps", "1")
    assert [path.name for path in (workspace.folder / "nan").glob("checkpoint-*")] == ["checkpoint-1"]
    shutil.copytree(workspace.folder / "model", workspace.folder / "broken model")
    model = AutoModelForCausalLM.from_pretrained(workspace.folder / "model")
    model.lm_head.weight.data[7, 7] = torch.nan
    model.save_pretrained(workspace.folder / "broken model")
    with pytest.raises(InputError, match=r"the loss of step 1 is nan.*no checkpoint was saved yet;"):
        workspace.train_here("nan at once", model_name_or_path=str(workspace.folder / "broken model"))


def test_a_full_disk_leaves_no_half_checkpoint_and_the_run_goes_on_when_there_is_space(workspace):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"checkpoint-3: File too large; raise the limit .*RESUME=1"):
            workspace.train_here("full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (workspace.folder / "full").iterdir()] == ["runs"], "TensorBoard's"
    assert workspace.train_here("full", "--resume_from_checkpoint", "last")


def test_bad_input_is_named_before_training(workspace):
    with pytest.raises(InputError, match="model: expected a dataset folder"):
        workspace.train_here("bad", wikipedia_dataset_dir=str(workspace.folder / "model"))
    with pytest.raises(InputError, match="4096"):
        workspace.train_here("bad", max_length=4096)
    empty = Dataset.from_list([{name: [] for name in TRAINING_COLUMNS} | {"title": ""}])
    empty.save_to_disk(workspace.folder / "empty")
    with pytest.raises(InputError, match="empty: holds no token"):
        workspace.train_here("bad", wikipedia_dataset_dir=str(workspace.folder / "empty"))
    assert not list(workspace.folder.glob("bad*"))


def test_what_a_machine_would_leave_out_or_do_twice_in_silence_is_refused(workspace, monkeypatch):
    """accelerate trains in 32 bits where a CPU is asked for fp16; it and FSDP would compile and compute again what the
    layers do by themselves."""
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match=r"^fp16 is true: it is for a GPU, this is a CPU; take bf16"):
            workspace.train_here("bad", "--fp16", "true")
    monkeypatch.setenv("FSDP_ACTIVATION_CHECKPOINTING", "true")
    with pytest.raises(InputError, match=r"^fsdp_activation_checkpointing is true in ACCELERATE_CONFIG or"):
        workspace.train_here("bad")
    monkeypatch.delenv("FSDP_ACTIVATION_CHECKPOINTING")
    for name in ("activation_checkpointing", "fsdp_activation_checkpointing"):
        with pytest.raises(InputError, match=r"^fsdp_activation_checkpointing is true in .* or fsdp_config; leave"):
            workspace.train_here("bad", "--fsdp", "full_shard", "--fsdp_config", json.dumps({name: True}))
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")
    with pytest.raises(InputError, match=r"^dynamo_backend is inductor in ACCELERATE_CONFIG; leave the line out"):
        workspace.train_here("bad")
    assert not (workspace.folder / "bad").exists()


def test_train_sh_reports_a_users_mistake_in_one_line(workspace):
    eight_gpus = str(ROOT / "configs/accelerate/zero3_8gpu.yaml")
    text = workspace.train("bad", code=1, ACCELERATE_CONFIG=eight_gpus, CUDA_VISIBLE_DEVICES="")
    assert text == (
        f"error: {eight_gpus}: asks for 8 GPUs on this machine, it has 0; "
        "ACCELERATE_CONFIG=configs/accelerate/cpu.yaml is for a CPU\n"
    )
    text = workspace.train("bad", code=1, ACCELERATE_CONFIG=str(ROOT / "configs/train/tiny_cpu.yaml"))
    assert "tiny_cpu.yaml: expected settings of accelerate, found base, max_length, " in text and text.count("\n") == 1
    assert "and sources are both missing" in workspace.train("bad", WIKIPEDIA_DATASET_DIR="", code=2)
    assert "expected a plain name" in workspace.train("bad", RUN_NAME="../x", code=2)
    text = workspace.train("bad", "--max_length", "4096", code=1)
    assert "Traceback" not in text
    assert [line for line in text.splitlines() if line.startswith("error: ") and "4096" in line]


@pytest.mark.parametrize(("kind", "number"), [("cpu", signal.SIGINT), ("ddp", signal.SIGTERM)])
def test_a_run_that_is_stopped_before_it_trains_ends_at_once(workspace, kind, number):
    output = f"stopped {kind}"
    machine = workspace.environment["ACCELERATE_CONFIG"] if kind == "cpu" else workspace.machine(kind)
    process = workspace.start(output, machine=machine)
    # From then on the launcher listens; the shell before it blocks signals, too, now and then.
    while not (is_launcher(process.pid) and is_in("SigBlk", number, process.pid)):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, number)  # as a terminal does
    assert process.communicate()[0] == "stopped before the first checkpoint; the same command begins again\n"
    assert process.returncode == 143 and not (workspace.folder / output).exists()


def is_launcher(pid: int) -> bool:
    return b"leia.training.launch" in Path(f"/proc/{pid}/cmdline").read_bytes()


def is_in(mask: str, number: signal.Signals, pid: int) -> bool:
    """Whether a signal is in this mask of a process: blocked (SigBlk), or pending (ShdPnd)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return bool(int(re.search(rf"{mask}:\t(\w+)", status)[1], 16) >> (number - 1) & 1)


def test_a_process_that_was_killed_is_said(workspace):
    process = workspace.start("killed", "--max_steps", "9999", "--save_steps", "9999")
    read_until(process, "step 2/")
    processes_below(process, "train.py")[-1].kill()  # below its launcher
    assert "error: a process was killed (SIGKILL); if that was for lack of memory" in process.communicate()[0]
    assert process.returncode == 137


def test_a_model_that_comes_with_its_code_keeps_it(workspace):
    given = shutil.copytree(workspace.folder / "model", workspace.folder / "model with code")
    (given / "toy.py").write_text(
        "from transformers import LlamaConfig, LlamaForCausalLM\n"
        "class ToyConfig(LlamaConfig):\n    model_type = 'toy'\n"
        "class ToyModel(LlamaForCausalLM):\n    config_class = ToyConfig\n"
    )
    code = {"model_type": "toy", "auto_map": {"AutoConfig": "toy.ToyConfig", "AutoModelForCausalLM": "toy.ToyModel"}}
    (given / "config.json").write_text(json.dumps(json.loads((given / "config.json").read_text()) | code))
    with pytest.raises(InputError, match="contains custom code"):
        workspace.train_here("with code", model_name_or_path=str(given))
    workspace.train_here("with code", "--max_steps", "1", model_name_or_path=str(given), trust_remote_code=True)
    trained = workspace.folder / "with code"
    assert type(AutoModelForCausalLM.from_pretrained(trained, trust_remote_code=True)).__name__ == "ToyModel"


def test_the_loss_is_the_mean_over_the_labels_for_models_whose_shift_transformers_does_not_count(workspace):
    tokenizer = AutoTokenizer.from_pretrained(workspace.folder / "model")
    folder = workspace.folder / "GPT-2"
    GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=1, n_head=2,
                               bos_token_id=1, eos_token_id=2)).save_pretrained(folder)  # fmt: skip
    tokenizer.save_pretrained(folder)
    options = ["--max_steps", "1", "--save_steps", "1"]
    assert workspace.train_here(
        "of GPT-2", *options, model_name_or_path=str(folder), entity_name_insertion_strategy="none"
    )
    (entry,) = workspace.log("of GPT-2")
    assert entry["loss"] == pytest.approx(entry["loss_text"], rel=1e-5), "without names all labels are of text"


@pytest.mark.parametrize("lora_rank", [0, 4])
def test_a_trained_model_has_the_ids_of_the_tokenizer_file_in_plain_transformers(workspace, tmp_path, lora_rank):
    """The file says what Llama's on the hub do, which its class of transformers 5 does not do."""
    given, dataset = tmp_path / "as on the hub", tmp_path / "dataset"
    shutil.copytree(workspace.folder / "model", given)
    said = json.loads((given / "tokenizer.json").read_text())
    prepended = [
        {"type": "Prepend", "prepend": "▁"},
        {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
    ]
    said |= {"normalizer": {"type": "Sequence", "normalizers": prepended}, "pre_tokenizer": None}
    (given / "tokenizer.json").write_text(json.dumps(said))
    names = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    (given / "tokenizer_config.json").write_text(json.dumps(names))
    shutil.copytree(workspace.folder / "dataset", dataset)
    settings = {"model_name_or_path": str(given), "wikipedia_dataset_dir": str(dataset), "lora_rank": lora_rank}
    with pytest.raises(InputError, match="splits texts in another way"):
        workspace.train_here(str(tmp_path / "run"), **settings)
    manifest = json.loads((dataset / "manifest.json").read_text())
    del manifest["options"]["tokenizer"]["specification"]  # as earlier versions wrote it
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    workspace.train_here(str(tmp_path / "run"), "--max_steps", "1", **settings)
    tokenizer = Tokenizer.from_file(str(given / "tokenizer.json"))
    tokenizer.add_special_tokens(["<translate>", "</translate>"])
    text = "  El agua<translate> es </translate>\n 東京"
    plain = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert plain(text)["input_ids"] == tokenizer.encode(text).ids
    assert AutoTokenizer.from_pretrained(given)(text)["input_ids"][:4] != tokenizer.encode(text).ids[:4]
    assert plain.padding_side == "left" and "## Tokenizer" not in (tmp_path / "run/README.md").read_text()


def test_a_run_with_tags_of_its_own_and_ends_of_articles_is_continued_and_previewed_as_such(
    workspace, undisturbed, tmp_path, run_script, capsys
):
    """Tags and ends are a part of the run where they are not the published ones, and of nothing else."""
    former = json.loads((workspace.folder / "undisturbed/run.json").read_text())
    assert not {"entity_name_tags", "separate_articles"} & former.keys()
    options = ["--entity_name_start_tag", "[en]", "--entity_name_end_tag", "[/en]", "--separate_articles", "true"]
    options += ["--max_steps", "4", "--save_steps", "2"]
    workspace.train_here("tagged", *options, lora_rank=4)
    folder, shown = workspace.folder / "tagged", capsys.readouterr().out
    assert "60 articles, EOS after each; names: right, probability 0.5, between [en] and [/en];" in shown
    assert json.loads((folder / "run.json").read_text())["entity_name_tags"] == ["[en]", "[/en]"]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert tokenizer.convert_tokens_to_ids(["[en]", "[/en]"]) == [len(tokenizer) - 2, len(tokenizer) - 1]
    assert model.get_input_embeddings().num_embeddings == len(tokenizer) == len(load_tokenizer(str(folder)))
    assert "<translate>" not in tokenizer.get_vocab()
    with pytest.raises(InputError, match=r"entity_name_tags \['\[en\]', '\[/en\]'\] \(now None\)"):
        workspace.train_here("tagged", "--resume_from_checkpoint", "last", *options[4:], lora_rank=4)
    checkpoint = str(shutil.copytree(folder / "checkpoint-2", tmp_path / "checkpoint-2"))
    workspace.train_here("again", "--resume_from_checkpoint", checkpoint, *options, lora_rank=4)
    weights = workspace.weights("again")
    assert all(torch.equal(weights[name], tensor) for name, tensor in workspace.weights("tagged").items())
    blocks_of, eos = load_from_disk(workspace.folder / "dataset"), tokenizer.eos_token_id
    settings = (len(tokenizer) - 2, len(tokenizer) - 1, 0.5, "right", True)
    blocks = LeiaConstantLengthDataset(blocks_of, 64, *settings, article_end_token_id=eos)
    texts = TokenTexts(tokenizer)
    preview = ["preview_dataset.py", "--dataset_dir", workspace.folder / "dataset", "--num_samples", 3]
    for model_dir in (workspace.folder / "model", folder):
        shown = run_script(*preview, "--model_name", model_dir, "--config", folder).stdout
        for block in islice(blocks, 3):
            assert f"{texts.join(block['input_ids'].tolist())}\n" in shown
    shown = run_script(*preview, "--model_name", folder, "--config", folder, "--separate_articles", "false").stdout
    blocks = LeiaConstantLengthDataset(blocks_of, 64, *settings)
    assert f"{texts.join(next(iter(blocks))['input_ids'].tolist())}\n" in shown, "the command line wins"


def test_articles_that_nothing_separates_are_told_when_training_begins(workspace, tmp_path, capsys):
    """Only where the tokenizer puts nothing around a text, and with what separates them."""
    model = shutil.copytree(workspace.folder / "model", tmp_path / "model")
    said = json.loads((model / "tokenizer.json").read_text()) | {"post_processor": None}
    (model / "tokenizer.json").write_text(json.dumps(said))
    dataset = shutil.copytree(workspace.folder / "dataset", tmp_path / "dataset")
    (dataset / "manifest.json").unlink()
    own = {"model_name_or_path": str(model), "wikipedia_dataset_dir": str(dataset)}
    options = ["--max_steps", "1", "--save_steps", "1"]
    workspace.train_here("run together", *options, **own)
    told = "articles run into each other; separate_articles puts EOS between them"
    assert told in capsys.readouterr().out
    workspace.train_here("apart", *options, **own, separate_articles="true")
    workspace.train_here("with BOS", *options)
    assert told not in capsys.readouterr().out


def test_adapters_are_merged_into_a_model_that_plain_transformers_loads(workspace, recwarn):
    workspace.train_here("new folder/lora", lora_rank=4)
    assert [str(warning.message) for warning in recwarn] == []
    model = AutoModelForCausalLM.from_pretrained(workspace.folder / "new folder/lora")
    former = AutoModelForCausalLM.from_pretrained(workspace.folder / "model")
    assert type(model) is type(former)
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(model.state_dict()[name], former.state_dict()[name])
    rows = slice(0, former.config.vocab_size)
    assert torch.equal(model.get_input_embeddings().weight[rows], former.get_input_embeddings().weight)
    log = workspace.log("new folder/lora")
    assert log[-1]["loss"] < log[0]["loss"]


def test_the_recipe_of_a_longer_and_a_second_training_does_what_it_says(workspace, tmp_path):
    """By its own commands on tiny models; then with a learning rate of zero, which shows that nothing is begun anew."""
    section = (ROOT / "docs/training.md").read_text("utf-8").split("## A longer or a second training")[1].split("##")[0]
    commands = re.search(r"```bash\n(.*?)```", section, re.DOTALL)[1]
    for name in ("jawiki-dataset", "eswiki-dataset"):
        (tmp_path / name).symlink_to(workspace.folder / "dataset")
    small = "--max_length 64 --global_batch_size 8 --save_steps 50 --max_steps 5"
    commands = commands.replace("./train.sh", f"'{ROOT}/train.sh' {small}")
    subprocess.run(["bash", "-e", "-c", commands], cwd=tmp_path, env=workspace.environment, check=True)
    first, second = (read_log(tmp_path / "runs" / name).entries for name in ("ja-longer", "ja-then-es"))
    assert (len(first), len(second)) == (100, 5) and second[0]["loss"] < first[0]["loss"] - 0.5
    tokenizers = [AutoTokenizer.from_pretrained(tmp_path / "runs" / name) for name in ("ja-longer", "ja-then-es")]
    assert tokenizers[0].get_vocab() == tokenizers[1].get_vocab()
    longer = str(tmp_path / "runs/ja-longer")
    options = ["--max_steps", "1", "--learning_rate", "0"]
    workspace.train_here(str(tmp_path / "same"), *options, model_name_or_path=longer)
    found, given = (load_file(Path(folder) / "model.safetensors") for folder in (tmp_path / "same", longer))
    assert found.keys() == given.keys() and all(torch.equal(found[name], given[name]) for name in given)
    with pytest.raises(InputError, match=r"belongs to another run, with max_steps 100 \(now 10\)"):
        workspace.train_here(longer, "--resume_from_checkpoint", "last")
