"""Measure what docs/benchmarks.md states; each of the subcommands has its own --help.

\b
Example:
  python scripts/benchmark.py corpus --scale 200
"""

import ast
import sys
from importlib import import_module
from pathlib import Path

import click

from leia.base.cli import OneLineErrors

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # benchmarks/ is not part of the package
SUBCOMMANDS = ("corpus", "data", "evaluation", "training")


class LazyGroup(OneLineErrors, click.Group):
    """Imports a benchmark when it is asked for, so that `--help` is quick."""

    def list_commands(self, _: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        return getattr(import_module(f"benchmarks.{name}"), name) if name in SUBCOMMANDS else None

    def format_commands(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        modules = {name: ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text("utf-8")) for name in SUBCOMMANDS}
        with formatter.section("Commands"):
            formatter.write_dl([(name, ast.get_docstring(module).split("\n")[0]) for name, module in modules.items()])


@click.group(cls=LazyGroup, no_args_is_help=False, help=__doc__)
def main() -> None:
    pass


if __name__ == "__main__":
    main()
