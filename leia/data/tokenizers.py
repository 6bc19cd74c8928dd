"""The tokenizer of a model (is there such a model?), the two tags around an inserted name, and what identifies the
tokenizer that a dataset was made with.
"""

import hashlib
import json
import logging
import os
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from leia.base.datasets import EncodedArticles
from leia.base.errors import InputError, UsageError
from leia.data.specification import deviating_parts, neutral_tokenizer, specification
from leia.data.tokenizer_files import check_files, check_vocabulary

if TYPE_CHECKING:
    from datasets import Dataset

logger = logging.getLogger(__name__)

ENTITY_NAME_TAGS = ("<translate>", "</translate>")
TAG_SETTINGS = ("entity_name_start_tag", "entity_name_end_tag")
"""How the settings of a run and the options of the preview name the two."""

_OWN_TAGS = "entity_name_tags"


def load_tokenizer(
    model_name: str, trust_remote_code: bool = False, tags: "Sequence[TagPair] | None" = None
) -> PreTrainedTokenizerBase:
    """The tokenizer of a model on the hub or in a folder. Raises `InputError` when there is none.

    `tags` are the pairs that it will be given (`choose_tags`); None for those that it knows of itself.

    It gives the ids of `tokenizers.Tokenizer.from_file(tokenizer.json)`, with the special tokens around a text that the
    file's post-processor names: the `add_bos_token` and `add_eos_token` of `tokenizer_config.json` do not count, which
    transformers 5 passes over as well (the Llama class of 4.34 followed them). What else the files beside it say is
    kept: names of special tokens, further tokens, the chat template, lengths. The log tells once where transformers
    alone would load something else. A tokenizer without that file, or with code of its own, is as transformers loads
    it.
    """
    check_model_name(model_name)
    try:
        check_files(model_name)
        tokenizer = AutoTokenizer.from_pretrained(model_name, trust_remote_code=trust_remote_code)
        check_vocabulary(model_name, tokenizer)
        neutral = neutral_tokenizer(model_name, tokenizer)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        expected = "expected a model of the hub or a folder with tokenizer.json"
        if "custom code" in reason:
            reason, expected = "it has code of its own", "read that code, then give --trust_remote_code"
        raise InputError(f"{model_name}: has no tokenizer that loads ({reason}); {expected}") from error
    parts = deviating_parts(tokenizer, neutral) if neutral else ""
    if neutral and parts:
        say_once(
            f"{model_name}: transformers would load {type(tokenizer).__name__} with that class's own {parts}; those of "
            "tokenizer.json are used, as in the paper"
        )
        tokenizer = neutral
    if tags is not None:
        choose_tags(tokenizer, *tags)
    return tokenizer


_SAID: set[str] = set()


def say_once(line: str) -> None:
    """Log a line on the first process of a launch, and once however often it is said."""
    if line not in _SAID and os.environ.get("RANK", "0") == "0":
        _SAID.add(line)
        logger.warning(line)


def count_ids(tokenizer: PreTrainedTokenizerBase) -> int:
    """One more than the greatest id: the number of tokens, unless the vocabulary has gaps."""
    return max(tokenizer.get_vocab().values()) + 1


TagPair = tuple[str, str]


def tag_pairs(tokenizer: PreTrainedTokenizerBase) -> list[TagPair]:
    """The opening and the closing tags that this tokenizer has, or will have: those of `choose_tags`, which it keeps in
    its tokenizer_config.json, else `<translate>` and `</translate>`. None for a model of names without tags."""
    tags = tokenizer.init_kwargs.get(_OWN_TAGS, ENTITY_NAME_TAGS)
    return list(zip(tags[::2], tags[1::2], strict=True))


def entity_name_tags(tokenizer: PreTrainedTokenizerBase) -> TagPair:
    """The first of `tag_pairs`; `<translate>` and `</translate>` where there are none."""
    return next(iter(tag_pairs(tokenizer)), ENTITY_NAME_TAGS)


def choose_tags(tokenizer: PreTrainedTokenizerBase, *pairs: TagPair) -> None:
    """Have `tokenizer` take these tags, one pair or several or none, which `add_entity_name_tags` adds. Special tokens
    that it has may serve.

    Raises `UsageError` for tags that are no tags (`check_tags`), or that it has as ordinary tokens or for another use.
    """
    for pair in pairs:
        check_tags(pair)
    for own in tag_pairs(tokenizer):
        tokens = [tokenizer.convert_tokens_to_ids(tag) if tag in tokenizer.get_vocab() else None for tag in own]
        if own not in pairs and not set(pairs) <= set(tag_pairs(tokenizer)) and None not in tokens:
            adds = ", ".join(f"{opening} and {closing}" for opening, closing in pairs)
            say_once(
                f"note: {tokenizer.name_or_path}: has the tags {own[0]} and {own[1]} of an earlier training; this one "
                f"adds {adds}"
            )
    for pair in pairs:
        for name, tag in zip(TAG_SETTINGS, pair, strict=True):
            if use := use_of_tag(tokenizer, tag):
                raise UsageError(
                    f"{name} is {tag}, which the tokenizer of {tokenizer.name_or_path} has as {use}; choose a text "
                    "that no article holds, like <translate>"
                )
    if pairs == (ENTITY_NAME_TAGS,):
        tokenizer.init_kwargs.pop(_OWN_TAGS, None)
    else:
        tokenizer.init_kwargs[_OWN_TAGS] = [tag for pair in pairs for tag in pair]


def check_tags(tags: tuple[str, str]) -> None:
    """Raise `UsageError` for a tag that is empty, or two that are equal."""
    for name, tag in zip(TAG_SETTINGS, tags, strict=True):
        if not tag.strip():
            raise UsageError(f"{name} is empty; expected the text of a tag, like <translate>")
    if tags[0] == tags[1]:
        raise UsageError(f"{' and '.join(TAG_SETTINGS)} are both {tags[0]}; expected two different ones")


def use_of_tag(tokenizer: PreTrainedTokenizerBase, tag: str) -> str:
    """For what the tokenizer has `tag` already: as an ordinary token, or as EOS and the like; else nothing."""
    added = tokenizer.added_tokens_encoder.get(tag)
    if added is not None and tokenizer.added_tokens_decoder[added].special:
        named = {name: token for name, token in tokenizer.special_tokens_map.items() if isinstance(token, str)}
        return next((f"its {name}" for name, token in named.items() if token == tag), "")
    ids = tokenizer(tag, add_special_tokens=False)["input_ids"]
    is_one = len(ids) == 1 and tokenizer.decode(ids).strip() == tag.strip()
    return "an ordinary token" if is_one or tag in tokenizer.get_vocab() else ""


def add_entity_name_tags(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """Add the tags as special tokens where they are missing; return the ids of the opening and the closing tag, of
    several pairs those of the first. Of a tokenizer that is to have none, `<translate>` and `</translate>` are added.
    """
    pairs = tag_pairs(tokenizer) or [ENTITY_NAME_TAGS]
    add_tag_pairs(tokenizer, pairs)
    return tag_ids(tokenizer, pairs[0])


def add_tag_pairs(tokenizer: PreTrainedTokenizerBase, pairs: Collection[TagPair]) -> None:
    if tags := [tag for pair in pairs for tag in pair]:
        tokenizer.add_special_tokens({"additional_special_tokens": tags}, replace_extra_special_tokens=False)


def entity_name_tag_ids(tokenizer: PreTrainedTokenizerBase) -> tuple[int, int]:
    """The ids of the opening and the closing tag, of several pairs those of the first. Raises `ValueError` when the
    tokenizer lacks one."""
    return tag_ids(tokenizer, entity_name_tags(tokenizer))


def tag_ids(tokenizer: PreTrainedTokenizerBase, pair: TagPair) -> tuple[int, int]:
    """The ids of a pair of tags. Raises `ValueError` when the tokenizer lacks one."""
    vocabulary = tokenizer.get_vocab()
    missing = [tag for tag in pair if tag not in vocabulary]
    if missing:
        raise ValueError(f"the tokenizer lacks {' and '.join(missing)}; add them with add_entity_name_tags")
    return vocabulary[pair[0]], vocabulary[pair[1]]


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase, without: Collection[str] | None = None) -> dict[str, Any]:
    """`vocabulary_size` and `sha256` of the vocabulary (every token with its id), the two tags left out, and
    `specification`, the SHA-256 of how texts become tokens (normalisation, splitting, merges, special tokens).

    Two tokenizers of one vocabulary give every id the same meaning, two of one identity every text the same ids. Saving
    and loading a tokenizer, its truncation and padding, and adding the tags do not change it. `without`: what to leave
    out in place of the tags.
    """
    tags = _known_tags(tokenizer) if without is None else without
    vocabulary = {token: index for token, index in tokenizer.get_vocab().items() if token not in tags}
    identity = {"vocabulary_size": len(vocabulary), "sha256": _sha256(vocabulary)}
    if not tokenizer.is_fast:
        return identity
    parts = specification(tokenizer.backend_tokenizer)
    del parts["model"]["vocab"], parts["decoder"], parts["added_tokens"]
    return identity | {"specification": _sha256(parts)}


def _known_tags(tokenizer: PreTrainedTokenizerBase) -> set[str]:
    """Its own tags, and those that an earlier training may have given it."""
    return {*ENTITY_NAME_TAGS, *chain.from_iterable(tag_pairs(tokenizer))}


def _sha256(value: dict[str, Any]) -> str:
    listing = json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(listing.encode()).hexdigest()


def check_dataset(
    dataset: "Dataset",
    tokenizer: PreTrainedTokenizerBase,
    manifest: dict[str, Any] | None,
    dataset_dir: str,
    read_ids: bool = True,
) -> None:
    """Raise `InputError` when `dataset` is empty, or unless its ids are those of `tokenizer`.

    By the manifest of the dataset. Where it does not say the greatest id (the published scripts write no manifest), all
    ids are read, which takes long: of several processes one is enough (`read_ids`).
    """
    identity, manifest = tokenizer_identity(tokenizer), manifest or {}
    remedy = "make the dataset with this model by build_wikipedia_dataset.py"
    made_with = manifest.get("options", {}).get("tokenizer") or {}
    # A model whose tags were special tokens of its base has the vocabulary of the base.
    hashes = (identity["sha256"], tokenizer_identity(tokenizer, without=ENTITY_NAME_TAGS)["sha256"])
    if "sha256" in made_with and made_with["sha256"] not in hashes:
        raise InputError(
            f"{dataset_dir}: was made with the tokenizer of {made_with.get('name')} "
            f"({made_with['vocabulary_size']} tokens), the model's is another ({identity['vocabulary_size']} tokens); "
            f"{remedy}"
        )
    if made_with.get("specification", identity.get("specification")) != identity.get("specification"):
        raise InputError(
            f"{dataset_dir}: was made with a tokenizer of this vocabulary that splits texts in another way than the "
            f"model's; {remedy}"
        )
    if "greatest_id" in manifest:
        least, greatest = 0, manifest["greatest_id"]
    elif read_ids:
        articles = EncodedArticles(dataset)
        least, greatest = articles.id_range() if articles.has_tokens() else (0, -1)
    else:
        return
    if greatest < 0:
        raise InputError(f"{dataset_dir}: holds no token; build_wikipedia_dataset.py says what it dropped and why")
    tags = _known_tags(tokenizer)
    if least < 0 or greatest > max(id for token, id in tokenizer.get_vocab().items() if token not in tags):
        raise InputError(
            f"{dataset_dir}: holds the ids {least} to {greatest}, the model's tokenizer has "
            f"{identity['vocabulary_size']} tokens; {remedy}"
        )


def check_model_name(name: str) -> None:
    """Raise `InputError` when `name` is neither a folder nor a model that the hub, or the cache of its models, has."""
    if Path(name).is_dir():
        return
    if name.startswith((".", "~", os.sep)) or name.count("/") > 1:
        raise InputError(f"{name}: there is no such folder; expected a model folder or a name on the hub (owner/model)")
    from huggingface_hub import HfApi, is_offline_mode, try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

    try:
        if isinstance(try_to_load_from_cache(name, "config.json"), str):
            return
    except HFValidationError as error:
        raise InputError(f"{name}: there is no such folder, and on the hub no model can have this name") from error
    if is_offline_mode():
        raise InputError(f"{name}: there is no such folder, and no such model in the cache (HF_HUB_OFFLINE is set)")
    error = ask_hub(HfApi().model_info, name)
    if isinstance(error, RepositoryNotFoundError):
        raise InputError(
            f"{name}: there is no such folder, and the hub has no such model (or shows it only after `hf auth login`)"
        ) from error
    if error is not None:
        raise InputError(
            f"{name}: there is no such folder, and the hub cannot be reached ({error}); fix the name or the network"
        ) from error


def ask_hub(ask: Callable[..., object], name: str) -> Exception | None:
    """Ask the hub about `name` by `ask`, a method of `HfApi`: the error when it has no such repository or cannot be
    reached, else None."""
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    try:
        ask(name, timeout=10)
    except RepositoryNotFoundError as error:
        return error
    except HfHubHTTPError:
        return None  # the hub is there; what it says to a request for a file says more
    except Exception as error:  # of the HTTP client, which is another one in each version of huggingface_hub
        return error
    return None
