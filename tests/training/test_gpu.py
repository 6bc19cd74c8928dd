"""On a GPU: the losses of the CPU, also compiled, recomputed and continued; and no micro batch that waits."""

import shutil
import warnings

import pytest
import torch
from training_workspace import SIZES, Workspace
from transformers.utils import is_flash_attn_2_available

from leia.training import within_step

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
STEPS_ON_GPU = 20
ON_CPU = ["--use_cpu", "true", "--bf16", "false"]
ON_GPU = ["--use_cpu", "false", "--bf16", "true"]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(tmp_path_factory.mktemp("on a GPU"))


def losses(workspace, output, *options, **settings):
    """The losses of 20 steps; half of the learning rate of a try, for a smooth descent."""
    options = ["--max_steps", str(STEPS_ON_GPU), "--save_steps", "8", "--learning_rate", "1e-3", *options]
    assert workspace.train_here(output, *options, **settings)
    return [entry["loss"] for entry in workspace.log(output)]


@pytest.fixture(scope="module")
def on_cpu(workspace):
    return losses(workspace, "cpu", *ON_CPU)


@pytest.fixture(scope="module")
def on_gpu(workspace):
    return losses(workspace, "gpu", *ON_GPU)


def test_in_32_bits_the_losses_are_those_of_the_cpu(workspace, on_cpu):
    found = losses(workspace, "32 bits", "--use_cpu", "false", "--bf16", "false", "--tf32", "false")
    assert found == pytest.approx(on_cpu, abs=1e-3)


def test_in_bf16_the_losses_are_those_of_the_cpu_within_its_precision(on_cpu, on_gpu):
    assert on_gpu == pytest.approx(on_cpu, abs=0.02)


@pytest.mark.parametrize("recomputed", ["selective", "full"])
def test_recomputation_does_not_change_the_losses(workspace, on_gpu, recomputed):
    found = losses(workspace, recomputed, *ON_GPU, activation_checkpointing=recomputed)
    assert found == pytest.approx(on_gpu, abs=2e-3)


@pytest.mark.parametrize("recomputed", ["none", "selective"])
def test_compiling_does_not_change_the_losses_and_happens_once(workspace, on_gpu, recomputed):
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    settings = {"torch_compile": True, "activation_checkpointing": recomputed}
    found = losses(workspace, f"compiled {recomputed}", *ON_GPU, **settings)
    assert found == pytest.approx(on_gpu, abs=0.01)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1


@pytest.mark.skipif(not is_flash_attn_2_available(), reason="flash-attn is not installed")
def test_flash_attention_gives_the_losses_of_sdpa(workspace, on_gpu):
    found = losses(workspace, "flash", *ON_GPU, attn_implementation="flash_attention_2")
    assert found == pytest.approx(on_gpu, abs=0.01)


def test_a_run_is_continued(workspace, on_gpu):
    continued = workspace.folder / "continued"
    shutil.copytree(workspace.folder / "gpu" / "checkpoint-16", continued / "checkpoint-16")
    found = losses(workspace, "continued", *ON_GPU, "--resume_from_checkpoint", "last")
    assert found == pytest.approx(on_gpu, abs=2e-3)


def test_adapters_are_trained(workspace):
    found = losses(workspace, "adapters", *ON_GPU, lora_rank=4)
    assert found[-1] < found[0] - 0.05


def test_a_micro_batch_does_not_wait_for_the_gpu(workspace, monkeypatch):
    """A step waits as often with 8 micro batches as with 2, but for what it asks about each ten seconds."""
    monkeypatch.setattr(within_step, "CHECK_SECONDS", 1e9)
    waits = []
    for micro_batch in (4, 1):
        size = ["--per_device_train_batch_size", str(micro_batch), "--max_steps", "2"]
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                losses(workspace, f"micro batch {micro_batch}", *ON_GPU, *size)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        waits.append(sum("called a synchronizing" in str(warning.message) for warning in caught))
    assert SIZES["global_batch_size"] == 8
    assert waits[0] == waits[1], waits
