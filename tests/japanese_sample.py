"""What the tests of the Japanese tasks share: the sample in the benchmarks' layout, a task on it, and a small model."""

import gzip
import json
import shutil
from pathlib import Path

from evaluation_sample import TASKS, make_model
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from tokenizers import Tokenizer, processors

SAMPLE = Path(__file__).parent / "sample/japanese"
NAMES = ["jcommonsenseqa", "jcommonsenseqa_llmjp", "niilc", "jemhopqa", "jaqket_v1", "jaqket_v2", "jsquad"]


def lay_out(folder: Path) -> Path:
    """A copy of the sample as the benchmarks have it: the entities are gzipped."""
    shutil.copytree(SAMPLE, folder, copy_function=shutil.copyfile)
    entities = folder / "jaqket_v1/candidate_entities.json"
    entities.with_name("candidate_entities.json.gz").write_bytes(gzip.compress(entities.read_bytes()))
    entities.unlink()
    return folder


def load_task(name: str, num_fewshot: int, **metadata: object) -> Task:
    """A Japanese task, ready to build requests; JAPANESE_DIR says where its data lies, `pretrained` names the model."""
    manager = TaskManager(include_path=TASKS, include_defaults=False, metadata=metadata)
    task = manager.load(name)["tasks"][name]
    task.set_config("num_fewshot", num_fewshot)
    task.set_fewshot_seed(1234)  # the harness's default; it must have no say
    return task


def contexts(task: Task) -> dict[str, str]:
    """By the id of the item, in the task's order."""
    number = task.config.num_fewshot
    return {doc["id"]: task.fewshot_context(doc, num_fewshot=number) for doc in task.eval_docs}


def make_model_with_bos(folder: Path, max_length: int = 4096) -> Path:
    """A small model whose tokenizer makes a token of most bytes and puts `<s>` before a text, as that of Llama does."""
    make_model(folder, max_length=max_length)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def set_max_length(model: Path, max_length: int) -> None:
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (model / "config.json").write_text(json.dumps(config | {"max_position_embeddings": max_length}), encoding="utf-8")
