"""A model with new tokens for a language, made from its articles, and a report of what they change."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils.logging import disable_progress_bar

from leia.base.errors import UsageError
from leia.base.outputs import NewFolder, system_errors
from leia.base.step import FilesIn, Step
from leia.base.text import to_json
from leia.data.longer_tokenizer import save_longer_tokenizer
from leia.data.names import PivotTitles
from leia.data.tokenizers import count_ids
from leia.data.vocabulary import learn_tokens
from leia.data.words import script_to_leave_out
from leia.training.checkpoints import make_readable
from leia.training.interchange import write_older_names
from leia.training.launch import without_gpu
from leia.training.model import load_model
from leia.training.new_rows import STARTS, names_of_mentions, names_of_tokens, sources, text_loss
from leia.training.tiny_model import MODEL_FILES
from leia.training.token_rows import fill, lengthen
from leia.training.validation import hold_out
from leia.training.vocabulary_report import links_on_boundaries, make_report, show_report
from leia.training.weights import stored_dtype

if TYPE_CHECKING:
    from datasets import Dataset

STEP = "extend_vocabulary"
REPORT = "vocabulary_report.json"

_OF_A_MODEL = ("*.safetensors", "*.bin", "*.json", "*.model", "*.txt", "*.py")


@dataclass(frozen=True)
class Extension:
    """What is done to which model (a name on the hub or a folder): how many new tokens, how their rows start, of how
    many articles they are learnt at most, and how many are held out."""

    model_name: str
    num_new_tokens: int
    start: str = "pieces"
    max_articles: int = 20_000
    held_out_articles: int = 50
    trust_remote_code: bool = False


def new_model(path: str | Path) -> NewFolder:
    """The folder of the model. One that holds anything else than an earlier output of this step is refused."""
    return NewFolder(path, (*MODEL_FILES, "special_tokens_map.json", "*.py", REPORT), made_by=STEP)


def model_input(model_name: str) -> list[FilesIn]:
    """What of a model in a folder is an input of the step; of one on the hub its name tells."""
    return [FilesIn(Path(model_name), _OF_A_MODEL)] if Path(model_name).is_dir() else []


def split_articles(articles: "Dataset", extension: Extension, source: str) -> tuple["Dataset", "Dataset"]:
    """The articles to learn from and those held out."""
    number = extension.held_out_articles
    if number >= len(articles):
        raise UsageError(
            f"--held_out_articles is {number:,}, {source} has {len(articles):,} articles; expected fewer, so that some "
            "are left to learn from"
        )
    learnt, held = hold_out(articles, number)
    if len(learnt) > extension.max_articles:
        _, learnt = hold_out(learnt, extension.max_articles)
    assert learnt is not None and held is not None  # at least one is held out
    return learnt, held


def extend(
    extension: Extension,
    tokenizer: PreTrainedTokenizerBase,
    articles: "Dataset",
    source: str,
    titles: PivotTitles | None,
    step: Step,
) -> None:
    """Write the model with new tokens, their tokenizer and a report into the folder of `step`. `source` names the
    `articles`; `titles` are those of their links, where names are wanted."""
    learnt, held = split_articles(articles, extension, source)
    disable_progress_bar()
    without_gpu()
    model = load_whole(extension.model_name, extension.trust_remote_code)
    step.count("articles to learn from").kept += len(learnt)
    step.count("articles held out").kept += len(held)
    texts = learnt["text"][:]
    new = learn_tokens(texts, tokenizer, extension.num_new_tokens, script_to_leave_out(texts), source)
    first = count_ids(tokenizer)
    with system_errors():
        longer = save_longer_tokenizer(tokenizer, new, step.target)
    names = names_of_tokens(new, longer, first, names_of_mentions(learnt, titles)) if titles else {}
    had = lengthen(model, first, first)
    if had < first:  # the tokenizer has tokens that the model has no rows for
        fill(model, had, dict.fromkeys(range(had, first)))
    losses = {"before": text_loss(model, tokenizer, held["text"][:], "loss before")}
    lengthen(model, first, count_ids(longer))
    for start in starts_to_compare(extension.start, with_names=titles is not None):
        fill(model, min(first, had), sources(start, new, first, names, tokenizer))
        losses[start] = text_loss(model, longer, held["text"][:], f"loss, start by {start}")
    links = {name: links_on_boundaries(one, held) for name, one in (("before", tokenizer), ("after", longer))}
    report = make_report(new, first, tokenizer, names, losses, links)
    (step.target / REPORT).write_text(to_json({"start": extension.start} | report), encoding="utf-8")
    step.notes += show_report(report)
    with system_errors():
        model.save_pretrained(step.target)
    make_readable(step.target)
    given, _ = PreTrainedConfig.get_config_dict(extension.model_name, trust_remote_code=extension.trust_remote_code)
    write_older_names(step.target, given, model.dtype)


def starts_to_compare(chosen: str, with_names: bool) -> list[str]:
    """All ways to start that can be had, the chosen one last: it is what the model is left with."""
    return [start for start in STARTS if start != chosen and (start != "names" or with_names)] + [chosen]


def load_whole(model_name: str, trust_remote_code: bool) -> PreTrainedModel:
    """The model in the precision of its weights, on a GPU where there is one."""
    model = load_model(model_name, "auto", stored_dtype(model_name) or torch.float32, trust_remote_code)
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
