"""Measure what the README states; each of the subcommands has its own --help.

\b
Example:
  python scripts/benchmark.py corpus --scale 200
"""

import sys
from importlib import import_module
from pathlib import Path

import click

from leia.base.cli import OneLineErrors

sys.path.insert(0, str(Path(__file__).parents[1]))  # the folder benchmarks/ is not a part of the package
SUBCOMMANDS = {name: f"benchmarks.{name}" for name in ("corpus", "data", "training", "evaluation")}


class LazyGroup(OneLineErrors, click.Group):
    """Imports a benchmark when it is asked for, so that `--help` is quick."""

    def list_commands(self, _: click.Context) -> list[str]:
        return sorted(SUBCOMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        return getattr(import_module(SUBCOMMANDS[name]), name) if name in SUBCOMMANDS else None


@click.group(cls=LazyGroup, no_args_is_help=False, help=__doc__)
def main() -> None:
    pass


if __name__ == "__main__":
    main()
