"""What is to be evaluated: the tasks of the harness that a user names, each with its data and number of examples."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import lm_eval.api.task
from huggingface_hub import HfApi, constants, is_offline_mode
from huggingface_hub.errors import HfHubHTTPError
from jinja2 import TemplateError
from lm_eval.api.group import Group
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager
from tqdm import tqdm

from leia.base.errors import InputError, UsageError
from leia.data.tokenizers import ask_hub
from leia.evaluation.entity_names import NamedEntities, split_name
from leia.evaluation.examples import DRAWN, come_from_the_items, give_examples
from leia.evaluation.notes import note, pass_warnings_on
from leia.evaluation.results import identify_data

TASKS_DIR = Path(__file__).resolve().parents[1] / "tasks"
DATA_FOLDERS = {
    "XCSR_DIR": ("xcodah", "xcsqa", "xcsr"),
    "JAPANESE_DIR": ("jcommonsenseqa", "niilc", "jemhopqa", "jaqket", "jsquad", "japanese"),
    "FACTS_DIR": ("crosslingual_facts",),
    "BMLAMA_DIR": ("crosslingual_facts",),
}
"""The variables that name a folder of data, and with what the names of the tasks begin that read it."""


@dataclass(frozen=True)
class Job:
    """One task to evaluate, the number of examples in front of an item, the identity of its items, by which rule the
    examples were taken (`examples.give_examples`), the groups that it was asked for with, by name and number, and the
    entities whose names are put into its questions (None: none, it is asked as it is)."""

    name: str
    num_fewshot: int
    task: Task
    data: dict[str, Any]
    examples: str
    groups: dict[tuple[str, int], Group] = field(default_factory=dict)
    named: NamedEntities | None = None


def find_tasks(
    names: Sequence[str],
    num_fewshot: Sequence[int],
    pretrained: str,
    include_path: str | None = None,
    name_format: str = "",
) -> list[Job]:
    """The tasks and the members of the groups `names`, with their data; `pretrained` is the model, whose tokenizer some
    tasks need, `include_path` a folder of further tasks, `name_format` how names stand beside entities. Raises
    `UsageError` for an unknown name or a number of examples that does not fit, `InputError` for data.
    """
    if "" in names:
        raise UsageError(f"--tasks {','.join(names)!r} holds an empty name; expected names with commas between")
    if len(names) != len(num_fewshot):
        raise UsageError(
            f"--tasks has {len(names)} ({','.join(names)}), --num_fewshot_samples has {len(num_fewshot)} "
            f"({','.join(map(str, num_fewshot))}); one number a task is needed"
        )
    pass_warnings_on()
    datasets.logging.set_verbosity_error()  # else two lines a task where the data comes from the cache
    lm_eval.api.task.tqdm = partial(tqdm, disable=True)  # a bar without a name, of an instant, on every process
    asked = [split_name(name) for name in names]
    manager, own = _open_task_folders([name for name, _ in asked], pretrained, include_path)
    local = {name for name in own if any(os.environ.get(folder) for folder in _folders_of(name))}
    unreachable = "" if {name for name, _ in asked} <= local else _use_cache_without_hub()
    jobs: dict[tuple[str, int], Job] = {}
    for (name, mode), shots in zip(asked, num_fewshot, strict=True):
        try:
            loaded = manager.load(name)
        except (OSError, ValueError, ImportError) as error:
            folders = " or ".join(_folders_of(name)) if name in own else ""
            advice = f"; {folders} names a local copy" if folders else ""
            more = "" if name in local else unreachable + advice
            raise InputError(f"{name}: its data cannot be read: {error}{more}") from error
        except (KeyError, TypeError, AttributeError, AssertionError, TemplateError) as error:
            raise InputError(f"{name}: lm-eval can make no task of its file ({error!r}); mend the file") from error
        groups = {(group, shots): found for group, found in loaded.get("groups", {}).items() if found.has_aggregation}
        groups = {} if mode else groups
        for job in _jobs_of(name, loaded["tasks"], shots, mode, name_format):
            jobs.setdefault((job.name, job.num_fewshot), job).groups.update(groups)
    return list(jobs.values())


def _folders_of(name: str) -> list[str]:
    return [folder for folder, beginnings in DATA_FOLDERS.items() if name.startswith(beginnings)]


def _jobs_of(name: str, members: Mapping[str, Task], shots: int, mode: str, name_format: str) -> Iterator[Job]:
    """A job for each task of what `name` names; a task that takes no examples gets none. `mode`: how names are shown,
    "" for not at all."""
    without_examples = {
        member
        for member, task in members.items()
        if task.get_config("num_fewshot") == 0 or task.OUTPUT_TYPE == "loglikelihood_rolling"
    }
    if shots > 0 and without_examples == members.keys():
        raise UsageError(f"{name} is scored without examples, {shots} were asked for; give it 0")
    for member, task in members.items():
        number = 0 if member in without_examples else shots  # X-CODAH in the group xcsr
        docs = list(task.eval_docs)
        rule = give_examples(task, docs, number)
        if rule == DRAWN and come_from_the_items(task):
            note(f"{member}: has no other documents, so an item's examples are others of the items that are evaluated")
        if mode and task.OUTPUT_TYPE == "loglikelihood_rolling":
            raise UsageError(f"{member}+{mode}: asks nothing that a name could stand in; it scores whole texts")
        named = NamedEntities(member, docs, mode, name_format) if mode else None
        if named:
            member = f"{member}+{mode}"
            task.set_config("task", member)
        yield Job(member, number, task, identify_data(docs), rule, named=named)


def _open_task_folders(names: Sequence[str], pretrained: str, include_path: str | None) -> tuple[TaskManager, set[str]]:
    """Ours and the user's, with those of the harness where a name is not among these; and the names that are."""
    folders = [str(TASKS_DIR), *([include_path] if include_path else [])]
    settings = {"include_path": folders, "metadata": {"pretrained": pretrained}}
    manager = TaskManager(**settings, include_defaults=False)
    own = set(manager.all_tasks)
    if not set(names) <= own:
        manager = TaskManager(**settings)  # reads the thousands of tasks of the harness: seconds
        if unknown := sorted(set(names) - set(manager.all_tasks)):
            raise UsageError(
                f"there is no task {', '.join(unknown)}; there are {_families(own)}, and the tasks of lm-eval "
                "(lm-eval ls tasks)"
            )
    return manager, own


def _families(own: set[str]) -> str:
    """Our tasks and groups by name; of those with a task a language, the languages."""
    in_languages = {name for name in own if name[-3:-2] == "_" and name[:-3] in own}  # two letters
    languages: dict[str, list[str]] = {name: [] for name in sorted(own - in_languages)}
    for name in sorted(in_languages):
        family, _, language = name.rpartition("_")
        languages[family].append(language)
    return ", ".join(f"{name}, {name}_<lang> ({', '.join(own)})" if own else name for name, own in languages.items())


def _use_cache_without_hub() -> str:
    """Make the libraries take what is in their cache where the hub cannot be reached; why it cannot, or "".
    Left to themselves they do so too, but ask six times for each task: half a minute."""
    error = None if is_offline_mode() else ask_hub(HfApi().dataset_info, "INK-USC/xcsr")
    if error is None or isinstance(error, HfHubHTTPError):
        return ""
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    return f"; the hub cannot be reached ({error})"
