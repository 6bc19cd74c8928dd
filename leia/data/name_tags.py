"""The two tags around an inserted name, in a tokenizer: which ones it has or will have, and their ids."""

from collections.abc import Collection

from transformers import PreTrainedTokenizerBase

from leia.base.errors import UsageError
from leia.base.once import say_once

TagPair = tuple[str, str]

ENTITY_NAME_TAGS = ("<translate>", "</translate>")
TAG_SETTINGS = ("entity_name_start_tag", "entity_name_end_tag")
"""How the settings of a run and the options of the preview name the two."""

_OWN_TAGS = "entity_name_tags"


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
