"""A model and a dataset made on the spot, and runs of train.sh on them: what the tests of training share."""

import json
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from transformers import AutoTokenizer

from leia.data.tokenizers import tokenizer_identity
from leia.training.arguments import parse
from leia.training.run import train
from leia.training.tiny_model import make_tiny_model

ROOT = Path(__file__).parents[1]
STEPS = 10
STEP_OPTIONS = ["--max_steps", str(STEPS), "--save_steps", "3", "--per_device_train_batch_size", "2"]
SIZES = {"max_length": 64, "global_batch_size": 8}
TRAINING_COLUMNS = (
    "title",
    "input_ids",
    "entity_start_positions",
    "entity_end_positions",
    "alternative_entity_input_ids",
)
TEXTS = [
    "El agua es una sustancia cuya molécula está compuesta por dos átomos de hidrógeno y uno de oxígeno.",
    "東京は日本の首都である。東京の人口は日本で一番多い。",
]
MACHINES = {
    "ddp": "distributed_type: MULTI_GPU",
    "zero3": "distributed_type: DEEPSPEED\ndeepspeed_config: {zero_stage: 3, zero3_init_flag: true, "
    "zero3_save_16bit_model: true, deepspeed_multinode_launcher: standard}",
    "fsdp2": "distributed_type: FSDP\nfsdp_config: {fsdp_version: 2, fsdp_auto_wrap_policy: TRANSFORMER_BASED_WRAP, "
    "fsdp_state_dict_type: FULL_STATE_DICT, fsdp_cpu_ram_efficient_loading: true, fsdp_reshard_after_forward: false}",
    "zero1": "distributed_type: DEEPSPEED\ndeepspeed_config: {zero_stage: 1}",
}

AS_ON_GPUS = """
import os
from pathlib import Path

def tell(function, settle):
    def told(*given, **settings):
        made = function(*given, **settings)
        Path(os.environ["TOLD"]).write_text(str(settle(made, settings)))
        return made
    return told

if "RANK" in os.environ and os.environ.get("ACCELERATE_USE_FSDP") == "true":
    os.environ.pop("ACCELERATE_USE_CPU", None)  # with it accelerate takes DDP
    os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    import accelerate.state, transformers.training_args
    from torch.distributed import fsdp
    on_gpus = accelerate.state.DistributedType.MULTI_GPU
    accelerate.state.PartialState._prepare_backend = lambda *_, **__: ("gloo", on_gpus)
    transformers.training_args.is_torch_bf16_gpu_available = lambda: True
    fsdp.fully_shard = tell(fsdp.fully_shard, lambda made, settings: settings["mp_policy"].reduce_dtype)
elif "RANK" in os.environ:
    import deepspeed
    def settle(made, settings):
        offloaded = made[0].zero_offload_optimizer()
        return f"{made[0].get_data_types()[1]} offload {offloaded.device if offloaded else 'none'}"
    deepspeed.initialize = tell(deepspeed.initialize, settle)
"""
"""A sitecustomize module: has accelerate share out weights by FSDP2 on a CPU, which gloo can, and writes the type of
the gradients' sum to the file TOLD; under DeepSpeed too, with the place of the optimizer's states."""


class Workspace:
    """A folder (with a space and other letters in its name) that holds a model and a dataset made with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "HF_HUB_OFFLINE": "1",
            "MODEL_NAME_OR_PATH": str(folder / "model"),
            "WIKIPEDIA_DATASET_DIR": str(folder / "dataset"),
            "TRAIN_CONFIG": str(ROOT / "configs/train/tiny_cpu.yaml"),
            "ACCELERATE_CONFIG": str(ROOT / "configs/accelerate/cpu.yaml"),
        }
        make_tiny_model(TEXTS * 20, folder / "model", vocabulary_size=600, seed=1)
        tokenizer = AutoTokenizer.from_pretrained(folder / "model")
        rng, rows = np.random.default_rng(1), []
        for _ in range(60):
            ids = (len(tokenizer) * rng.random(100) ** 4).astype(int).tolist()  # some ids far more often than others
            positions = np.sort(rng.choice(len(ids), 8, replace=False)).tolist()
            names = [ids[:2]] * 4
            rows.append(["", ids, positions[::2], positions[1::2], names])
        Dataset.from_list([dict(zip(TRAINING_COLUMNS, row, strict=True)) for row in rows]).save_to_disk(
            folder / "dataset"
        )
        manifest = {
            "options": {"tokenizer": {"name": "model", **tokenizer_identity(tokenizer)}},
            "tally": {"articles": {"read": 61, "kept": 60, "dropped": {"no text": 1}}},
        }
        (folder / "dataset" / "manifest.json").write_text(json.dumps(manifest))

    def start(self, output: str, *options: str, machine: str = "", **variables: str) -> subprocess.Popen:
        """train.sh with 10 steps of 8 sequences of 64 tokens; `machine`: a file of accelerate's settings."""
        sizes = [word for name, value in SIZES.items() for word in (f"--{name}", str(value))]
        environment = self.environment | {"OUTPUT_DIR": str(self.folder / output)} | variables
        if machine:
            environment["ACCELERATE_CONFIG"] = machine
        return subprocess.Popen(
            ["bash", ROOT / "train.sh", *sizes, *STEP_OPTIONS, *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def train_here(self, output: str, *options: str, **settings: str | int) -> bool:
        """The same run in this process, without a launcher."""
        settings = (
            {
                "model_name_or_path": str(self.folder / "model"),
                "wikipedia_dataset_dir": str(self.folder / "dataset"),
            }
            | SIZES
            | settings
        )
        words = ["--output_dir", str(self.folder / output), *STEP_OPTIONS, *options]
        return train(*parse(self.environment["TRAIN_CONFIG"], settings, words), "python scripts/train.py")

    def train(self, output: str, *options: str, code: int = 0, **variables: str) -> str:
        process = self.start(output, *options, **variables)
        text = process.communicate()[0]
        assert process.returncode == code, text
        return text

    def machine(self, kind: str, nodes: int = 1) -> str:
        """Settings for two processes on the CPU, on one node or one on each of two."""
        path = self.folder / f"{kind}-{nodes}.yaml"
        head = f"compute_environment: LOCAL_MACHINE\nuse_cpu: true\nnum_processes: 2\nnum_machines: {nodes}\n"
        path.write_text(head + 'mixed_precision: "no"\nrdzv_backend: static\nsame_network: true\n' + MACHINES[kind])
        return str(path)

    def as_on_gpus(self, folder: Path) -> tuple[dict[str, str], Path]:
        """Variables for `start` that have AS_ON_GPUS, put into `folder`, done; and the file TOLD."""
        (folder / "sitecustomize.py").write_text(AS_ON_GPUS)
        return {
            "PYTHONPATH": f"{folder}:{self.environment['PYTHONPATH']}",
            "TOLD": str(folder / "told"),
        }, folder / "told"

    def log(self, output: str) -> list[dict[str, float]]:
        state = json.loads((self.folder / output / "trainer_state.json").read_text())
        return [entry for entry in state["log_history"] if "loss" in entry]

    def weights(self, output: str) -> dict[str, torch.Tensor]:
        return load_file(self.folder / output / "model.safetensors")


def assert_nothing_but_what_we_say(text, folder):
    head, *steps = re.split(r"\n(?=step |/)", text.rstrip())
    assert len(steps) == STEPS + 1 and text.count("\n") == STEPS + 4 and "attention: sdpa" in head
    assert head.startswith(f"{folder}: a new run begins\n"), text


def same_losses(log, expected, tolerance=0.0):
    assert [entry["step"] for entry in log] == list(range(1, STEPS + 1))
    for key in ("loss", "loss_names", "loss_text", "inserted_share", "learning_rate", "tokens_seen"):
        assert [entry[key] for entry in log] == pytest.approx([entry[key] for entry in expected], rel=0, abs=tolerance)


def read_until(process: subprocess.Popen, start: str) -> None:
    assert any(line.startswith(start) for line in process.stdout), f"ended before {start}"


def processes_below(process: subprocess.Popen, word: str) -> list[psutil.Process]:
    """Those with `word` in their command, the parents first."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            found += [child] if word in " ".join(child.cmdline()) else []
    return found
