"""What is to be evaluated: the tasks of the harness that a user names, each with its data and number of examples."""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import lm_eval.api.task
from huggingface_hub import HfApi, constants, is_offline_mode
from huggingface_hub.errors import HfHubHTTPError
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from tqdm import tqdm

from leia.base.errors import InputError, UsageError
from leia.data.tokenizers import ask_hub
from leia.evaluation.results import identify_data

TASKS_DIR = Path(__file__).resolve().parents[1] / "tasks"


@dataclass(frozen=True)
class Job:
    """One task to evaluate, the number of examples in front of an item, and the identity of its items."""

    name: str
    num_fewshot: int
    task: Task
    data: dict[str, Any]


def find_tasks(names: Sequence[str], num_fewshot: Sequence[int]) -> list[Job]:
    """The tasks and the members of the groups `names`, with their data.
    Raises `UsageError` for an unknown name or a number of examples that does not fit, `InputError` for data."""
    if "" in names:
        raise UsageError(f"--tasks {','.join(names)!r} holds an empty name; expected names with commas between")
    if len(names) != len(num_fewshot):
        raise UsageError(
            f"--tasks has {len(names)} ({','.join(names)}), --num_fewshot_samples has {len(num_fewshot)} "
            f"({','.join(map(str, num_fewshot))}); one number a task is needed"
        )
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    datasets.logging.set_verbosity_error()  # else two lines a task where the data comes from the cache
    lm_eval.api.task.tqdm = partial(tqdm, disable=True)  # a bar without a name, of an instant, on every process
    manager, own = _open_task_folders(names)
    local = own if os.environ.get("XCSR_DIR") else set()
    unreachable = "" if set(names) <= local else _use_cache_without_hub()
    jobs: dict[tuple[str, int], Job] = {}
    for name, shots in zip(names, num_fewshot, strict=True):
        try:
            members = manager.load(name)["tasks"]
        except (OSError, ValueError) as error:
            advice = "; XCSR_DIR names a local copy of X-CSR" if name in own else ""
            more = "" if name in local else unreachable + advice
            raise InputError(f"{name}: its data cannot be read: {error}{more}") from error
        jobs |= {(job.name, job.num_fewshot): job for job in _jobs_of(name, members, shots)}
    return list(jobs.values())


def _jobs_of(name: str, members: Mapping[str, Task], shots: int) -> Iterator[Job]:
    """A job for each task of what `name` names; a task that takes no examples gets none."""
    without_examples = {member for member, task in members.items() if task.get_config("num_fewshot") == 0}
    if shots > 0 and without_examples == members.keys():
        raise UsageError(f"{name} is scored without examples, {shots} were asked for; give it 0")
    for member, task in members.items():
        if task.OUTPUT_TYPE != "multiple_choice" or task.multiple_target:
            kind = "with several right answers" if task.multiple_target else f"of the kind {task.OUTPUT_TYPE}"
            raise UsageError(
                f"{member}: expected a task of choices with one right answer, found one {kind}; "
                "lm_eval itself evaluates it"
            )
        examples = 0 if member in without_examples else shots  # X-CODAH in the group xcsr
        docs = list(task.eval_docs)
        if examples >= len(docs):
            raise InputError(
                f"{member}: --num_fewshot_samples {examples} needs {examples + 1} items, the data has {len(docs)}"
            )
        yield Job(member, examples, task, identify_data(docs))


def _open_task_folders(names: Sequence[str]) -> tuple[TaskManager, set[str]]:
    """Ours, with those of the harness where a name is not among ours; and the names that are."""
    manager = TaskManager(include_path=TASKS_DIR, include_defaults=False)
    own, languages = set(manager.all_tasks), sorted({task.rpartition("_")[2] for task in manager.all_subtasks})
    if not set(names) <= own:
        manager = TaskManager(include_path=TASKS_DIR)  # reads the thousands of tasks of the harness: seconds
        if unknown := sorted(set(names) - set(manager.all_tasks)):
            raise UsageError(
                f"there is no task {', '.join(unknown)}; there are the groups xcodah, xcsqa, xcsr, their "
                f"tasks xcodah_<lang> and xcsqa_<lang> ({', '.join(languages)}), and the tasks of lm-eval "
                "(lm-eval ls tasks)"
            )
    return manager, own


def _use_cache_without_hub() -> str:
    """Make the libraries take what is in their cache where the hub cannot be reached; why it cannot, or "".
    Left to themselves they do so too, but ask six times for each task: half a minute."""
    error = None if is_offline_mode() else ask_hub(HfApi().dataset_info, "INK-USC/xcsr")
    if error is None or isinstance(error, HfHubHTTPError):
        return ""
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    return f"; the hub cannot be reached ({error})"
