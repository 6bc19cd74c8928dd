"""The tokenizer of a model (is there such a model?), and what identifies the tokenizer that a dataset was made with."""

import hashlib
import json
import os
from collections.abc import Callable, Collection, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from leia.base.datasets import EncodedArticles
from leia.base.errors import InputError
from leia.base.once import say_once
from leia.data.name_tags import ENTITY_NAME_TAGS, TagPair, choose_tags, tag_pairs
from leia.data.specification import deviating_parts, neutral_tokenizer, specification
from leia.data.tokenizer_files import check_files, check_vocabulary

if TYPE_CHECKING:
    from datasets import Dataset


def load_tokenizer(
    model_name: str, trust_remote_code: bool = False, tags: Sequence[TagPair] | None = None
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


def count_ids(tokenizer: PreTrainedTokenizerBase) -> int:
    """One more than the greatest id: the number of tokens, unless the vocabulary has gaps."""
    return max(tokenizer.get_vocab().values()) + 1


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
