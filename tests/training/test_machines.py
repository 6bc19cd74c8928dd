"""Several processes, on one node and on two, under DDP, FSDP2 and DeepSpeed: the losses of one, and one clear error."""

import json

import pytest
import torch
from steps import free_port
from training_workspace import STEPS, Workspace, assert_nothing_but_what_we_say, same_losses

from leia.training import checkpoints


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("a run in 東京"))


@pytest.fixture(scope="module")
def undisturbed(workspace):
    return workspace.train("undisturbed", "--report_to", "tensorboard")


@pytest.fixture
def as_on_gpus(workspace, tmp_path):
    return workspace.as_on_gpus(tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["fsdp2", "zero3"])
def test_gradients_are_added_up_in_32_bits(workspace, as_on_gpus, kind):
    variables, told = as_on_gpus
    options = ["--bf16", "true", "--max_steps", "1", "--use_cpu", str(kind == "zero3")]
    workspace.train(f"16 bits, {kind}", *options, ACCELERATE_CONFIG=workspace.machine(kind), **variables)
    assert told.read_text().startswith("torch.float32")


@pytest.mark.parametrize(("kind", "nodes"), [("ddp", 1), ("fsdp2", 1), ("zero3", 2)])
def test_two_processes_train_as_one_with_twice_the_accumulation(workspace, undisturbed, as_on_gpus, kind, nodes):
    output, machine = f"{kind} on {nodes}", workspace.machine(kind, nodes)
    address = f"--num_machines 2 --main_process_ip 127.0.0.1 --main_process_port {free_port()}"
    compiled = workspace.folder / "compiled"
    (compiled / "deepspeed_shm_comm").mkdir(parents=True, exist_ok=True)
    (compiled / "deepspeed_shm_comm/lock").touch()  # what a run leaves that is killed while DeepSpeed compiles
    variables, told = as_on_gpus if kind == "fsdp2" else ({}, None)
    options = ["--use_cpu", "false"] if kind == "fsdp2" else []
    processes = [
        workspace.start(
            output,
            *options,
            machine=machine,
            TORCH_EXTENSIONS_DIR=str(compiled),
            **variables,
            **({"LAUNCH_ARGS": f"{address} --machine_rank {rank}"} if nodes > 1 else {}),
        )
        for rank in range(nodes)
    ]
    texts = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * nodes, texts
    assert "2 processes x 2 sequences x 2 accumulation = 8 sequences" in texts[0]
    assert_nothing_but_what_we_say(texts[0], workspace.folder / output)
    assert texts[1:] == [""] * (nodes - 1)
    assert told is None or told.exists(), "the weights were shared out"
    checkpoints.check_whole(workspace.folder / output / f"checkpoint-{STEPS}")
    same_losses(workspace.log(output), workspace.log("undisturbed"), tolerance=1e-4)
    run = json.loads((workspace.folder / output / f"checkpoint-{STEPS}" / "run.json").read_text())
    assert run["optimizer_states"] == {"ddp": "whole", "fsdp2": "FSDP", "zero3": "DeepSpeed, 2 processes"}[kind]
    weights, expected = workspace.weights(output), workspace.weights("undisturbed")
    assert weights.keys() == expected.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], expected[name], rtol=0, atol=1e-3)


def test_of_several_processes_one_says_what_is_wrong(workspace):
    given = workspace.folder / "model"
    machine = workspace.machine("ddp")
    text = workspace.train("bad", code=1, WIKIPEDIA_DATASET_DIR=str(given), ACCELERATE_CONFIG=machine)
    reason = "expected a dataset folder, found no state.json in it; scripts/build_wikipedia_dataset.py makes one"
    assert text == f"error: {given}: {reason}\n"


@pytest.mark.thorough
def test_of_several_processes_one_says_what_was_used_wrongly(workspace):
    text = workspace.train("bad", "--seed", "x", code=2, ACCELERATE_CONFIG=workspace.machine("ddp"))
    assert text == "error: argument --seed: invalid int value: 'x'; train.py --help shows the options\n"


@pytest.mark.thorough
def test_adapters_under_zero3_are_refused_in_one_line(workspace):
    text = workspace.train("bad", "--lora_rank", "4", code=1, ACCELERATE_CONFIG=workspace.machine("zero3"))
    assert text.startswith("error: lora_rank is 4: adapters are not trained under DeepSpeed ZeRO-3; ")
    assert text.count("\n") == 1 and not (workspace.folder / "bad").exists()
