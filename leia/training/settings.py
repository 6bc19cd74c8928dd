"""Settings as words of a command line, and the parser that gives each its type: one way for YAML and command line."""

from collections.abc import Mapping
from typing import Any, NoReturn

from transformers.hf_argparser import HfArgumentParser

from leia.base.errors import UsageError


class Parser(HfArgumentParser):
    """The parser of transformers for dataclasses; wrong use is a `UsageError`."""

    def __init__(self, *dataclasses: type, **settings: Any) -> None:
        super().__init__(dataclasses, add_help=False, allow_abbrev=False, **settings)

    def add_argument(self, *names: str, **settings: Any) -> Any:
        """Without what `leia.base.cli.setting` adds to a field for click."""
        return super().add_argument(*names, **{k: v for k, v in settings.items() if k not in ("heading", "of_click")})

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def words_of(settings: Mapping[str, Any]) -> list[str]:
    """The words that give `settings`; None is a setting that is not given."""
    words = []
    for name, value in settings.items():
        if isinstance(value, list):
            words += [f"--{name}", *map(str, value)]
        elif value is not None:
            words.append(f"--{name}={value}")
    return words
