"""Several processes, on one node and on two, under DDP, FSDP2 and DeepSpeed: the losses of one, and one clear error."""

import json
from pathlib import Path

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


@pytest.mark.parametrize(
    ("kind", "nodes"), [("ddp", 1), ("fsdp2", 1), ("zero3", 2), pytest.param("zero1", 1, marks=pytest.mark.thorough)]
)
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
    assert (
        run["optimizer_states"]
        == {
            "ddp": "whole",
            "fsdp2": "FSDP",
            "zero3": "DeepSpeed, 2 processes",
            "zero1": "DeepSpeed ZeRO-1, 2 processes",
        }[kind]
    )
    weights, expected = workspace.weights(output), workspace.weights("undisturbed")
    assert weights.keys() == expected.keys()
    for name in weights:
        torch.testing.assert_close(weights[name], expected[name], rtol=0, atol=1e-3)


COUNTED = """
import atexit, collections, json, os
if "RANK" in os.environ:
    from torch.utils._python_dispatch import TorchDispatchMode
    counts = collections.Counter()

    class Counted(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            if function.namespace == "c10d":
                counts[function.__name__] += 1
            return function(*args, **(kwargs or {}))

    Counted().__enter__()
    atexit.register(lambda: open(os.environ["TOLD"] + os.environ["RANK"], "w").write(json.dumps(counts)))
"""
EXCHANGES = ("_allgather_base_.default", "_reduce_scatter_base_.default", "allreduce_.default")


def exchanges(workspace, folder, kind, machine, micro_batch, steps):
    """How often the processes of a run gather whole weights, scatter sums of gradients and add up numbers."""
    variables, told = workspace.as_on_gpus(folder)
    with (folder / "sitecustomize.py").open("a") as file:
        file.write(COUNTED)
    options = ["--use_cpu", "false"] if kind == "fsdp2" else []
    options += ["--per_device_train_batch_size", str(micro_batch), "--max_steps", str(steps), "--save_steps", "99"]
    workspace.train(
        f"{folder.name} {Path(machine).stem} {micro_batch}", *options, ACCELERATE_CONFIG=machine, **variables
    )
    counts = json.loads(Path(f"{told}0").read_text())
    return [counts.get(name, 0) for name in EXCHANGES]


def test_under_fsdp2_weights_are_gathered_and_gradients_exchanged_once_a_step(workspace, tmp_path):
    """There are four groups of weights: the embeddings, two layers, the last norm with the output layer."""
    found = exchanges(workspace, tmp_path, "fsdp2", workspace.machine("fsdp2"), micro_batch=1, steps=2)
    assert found[:2] == [2 * 4, 2 * 4], "a step has 4 micro batches"


@pytest.mark.thorough
def test_how_often_processes_exchange_something(workspace, tmp_path):
    """With 2 and 4 micro batches a step: the same under FSDP2 and ZeRO-1, more under what these replace."""
    each_time = tmp_path / "each time.yaml"
    once = Path(workspace.machine("fsdp2")).read_text()
    each_time.write_text(once.replace("reshard_after_forward: false", "reshard_after_forward: true"))
    machines = {
        "fsdp2": workspace.machine("fsdp2"),
        "zero1": workspace.machine("zero1"),
        "fsdp2 each time": str(each_time),
        "zero3": workspace.machine("zero3"),
    }
    found = {
        name: [exchanges(workspace, tmp_path, name.split()[0], machine, micro, steps=3) for micro in (2, 1)]
        for name, machine in machines.items()
    }
    print(found)
    for name in ("fsdp2", "zero1"):
        assert found[name][0] == found[name][1]
    gathered, scattered = 0, 1
    assert found["fsdp2 each time"][1][gathered] > found["fsdp2 each time"][0][gathered] > found["fsdp2"][0][gathered]
    assert found["zero3"][1][scattered] == 2 * found["zero3"][0][scattered]


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
@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("lora_rank", "4", "adapters are not trained under DeepSpeed ZeRO-3; "),
        ("activation_checkpointing", "selective", "what DeepSpeed ZeRO-3 does between the products cannot be computed"),
    ],
)
def test_what_zero3_cannot_is_refused_in_one_line(workspace, option, value, reason):
    text = workspace.train("bad", f"--{option}", value, code=1, ACCELERATE_CONFIG=workspace.machine("zero3"))
    assert text.startswith(f"error: {option} is {value}: {reason}")
    assert text.count("\n") == 1 and not (workspace.folder / "bad").exists()


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("kind", "recomputed", "compiled"),
    [
        *(("zero3", "full", compiled) for compiled in ("false", "true")),
        *(("zero1", recomputed, "true") for recomputed in ("none", "selective", "full")),
        *(("fsdp2", recomputed, "true") for recomputed in ("none", "selective", "full")),
        *(("ddp", recomputed, "true") for recomputed in ("none", "selective", "full")),
    ],
)
def test_layers_that_compute_again_or_are_compiled_give_the_losses_of_one_process(
    workspace, undisturbed, as_on_gpus, kind, recomputed, compiled
):
    options = ["--activation_checkpointing", recomputed, "--torch_compile", compiled, "--save_steps", "99"]
    options += ["--use_cpu", "false"] if kind == "fsdp2" else []
    variables = as_on_gpus[0] if kind == "fsdp2" else {}
    output = f"{kind} {recomputed} {compiled}"
    workspace.train(output, *options, ACCELERATE_CONFIG=workspace.machine(kind), **variables)
    same_losses(workspace.log(output), workspace.log("undisturbed"), tolerance=1e-4)
