"""What a person sees of a step: its help, its options, its progress bar, its last line, its errors.

`command` is `click.command` with five habits:

- `--help` is the docstring of the file, in which the indented block at the end is the example; then come the options,
  the required ones first, those of an `option("HEADING", ...)` under their heading, with their defaults;
- an `InputError` or a failure of the file system is one line on standard error with exit code 1, and wrong use, which
  click says in three, one with exit code 2 (`OneLineErrors`);
- of several processes of `leia.training.launch`, the first one that fails has its error printed, and no other;
- SIGTERM unwinds like Ctrl-C, so that a stopped step cleans up behind itself;
- a pipe whose reader has had enough (`| head`) is no error.
"""

import errno
import functools
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent, indent
from typing import Any, NoReturn

import click
from tqdm import tqdm

from leia.base.errors import InputError
from leia.base.pool import available_cores
from leia.base.text import one_line

_LAST_WORDS = "TORCHELASTIC_ERROR_FILE"  # set by torch's launcher, which reads the file with torch's ProcessFailure

EXISTING_FILE = click.Path(exists=True, dir_okay=False, readable=True)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, readable=True)
OUTPUT_FILE = click.Path(dir_okay=False)
OUTPUT_FOLDER = click.Path(file_okay=False)


class _OutputOfAStep(click.Path):
    def __init__(self, made_by: str, **kind: bool) -> None:
        super().__init__(exists=True, readable=True, **kind)
        self.made_by = made_by

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            self.fail(f"{error.message.removesuffix('.')}; {self.made_by} makes it", param, ctx)


def file_made_by(step: str) -> click.Path:
    """An existing file; where there is none, the error names the step that makes it."""
    return _OutputOfAStep(step, dir_okay=False)


def folder_made_by(step: str) -> click.Path:
    """An existing folder; where there is none, the error names the step that makes it."""
    return _OutputOfAStep(step, file_okay=False)


def checked_by(check: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str], Any]:
    """For an option's `callback`: its value is what `check` returns, and an `InputError` of `check` is wrong use."""

    def callback(_: click.Context, __: click.Parameter, value: str) -> Any:
        try:
            return check(value)
        except InputError as error:
            raise click.BadParameter(str(error)) from error

    return callback


class _Option(click.Option):
    def __init__(self, *names: Any, heading: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.heading = heading


def option(heading: str, *names: str, **settings: Any) -> Callable[..., Any]:
    """`click.option` under a heading of `--help`, for commands with more than five optional ones."""
    return click.option(*names, cls=_Option, heading=heading, **settings)


class OneLineErrors(click.Command):
    """A command, or a group of them, that says wrong use in one line: what is wrong and, where the message does not say
    so behind a semicolon, where to look what is right."""

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        try:
            sys.exit(super().main(*args, **settings | {"standalone_mode": False}))
        except click.UsageError as error:
            message = error.format_message().removesuffix(".")
            if error.ctx is not None and "; " not in message and not message.endswith("?"):
                message += f"; {error.ctx.command_path} --help shows the options"
            fail(message, error.exit_code)
        except click.Abort:  # Ctrl-C
            click.echo("Aborted!", err=True)
            sys.exit(1)
        except Exception:
            if _LAST_WORDS not in os.environ:
                raise
            _leave(traceback.format_exc(), 1)  # of several processes those cut off from a failed one fail too
            sys.exit(1)


class _Command(OneLineErrors):
    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Required": []}
        rest: list[tuple[str, str]] = []
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            heading = "Required" if parameter.required else getattr(parameter, "heading", None)
            if record is not None and isinstance(parameter, click.Option):
                (sections.setdefault(heading, []) if heading else rest).append(record)
        for heading, records in (sections | {"Options": rest}).items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\nExample:\n{self.epilog}\n")  # as it is: a line may be longer than the window is wide


num_workers_option = click.option(
    "--num_workers",
    type=click.IntRange(1),
    default=available_cores,
    show_default="all cores",
    help="Processes to work in; the output does not depend on it.",
)


def command(function: Callable[..., None]) -> click.Command:
    """A click command from `function`; see the module's docstring for what it adds."""
    *paragraphs, example = (sys.modules[function.__module__].__doc__ or "\n\n").split("\n\n")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, _stop)
        try:
            function(*args, **kwargs)
            return
        except InputError as error:
            message = str(error)
        except OSError as error:
            if error.errno in (None, errno.EPIPE):  # the reader of a pipe (`| head`) has had enough: click is quiet
                raise
            message = describe_os_error(error)
        # Only here, where the exception and with it the progress bars of the failed work are gone.
        fail(message)

    return click.command(
        cls=_Command,
        help="\n\n".join(paragraphs),
        epilog=indent(dedent(example).strip(), "  "),
        context_settings={"show_default": True, "max_content_width": 120},
    )(run)


def _stop(*_: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another one would disturb the cleaning
    sys.exit(128 + signal.SIGTERM)


def fail(message: str, exit_code: int = 1) -> NoReturn:
    """Print one line on standard error and exit."""
    _leave(f"error: {one_line(message)}\n", exit_code)
    sys.exit(exit_code)


def _leave(words: str, exit_code: int) -> None:
    """Print the last words of this process, or leave them to the launcher that started it beside others.

    It is told the exit code, too: another process may fail and have the launcher stop this one before it has ended.
    """
    if path := os.environ.get(_LAST_WORDS):
        data = {"message": words, "timestamp": time.time(), "exit_code": exit_code}
        beside = Path(f"{path}.new")
        beside.write_text(json.dumps(data), encoding="utf-8")
        beside.replace(path)
    else:
        click.echo(words, err=True, nl=False)


def describe_os_error(error: OSError) -> str:
    """What the file system refused, on which file, and what to do about it, in one line."""
    where = f"{error.filename}: " if error.filename is not None else ""
    advice = {
        errno.ENOSPC: "; make space and run the same command again",
        errno.EDQUOT: "; make space and run the same command again",
        errno.EFBIG: "; the file-size limit of this shell is too low (ulimit -f)",
        errno.EACCES: "; check the permissions",
    }.get(error.errno or 0, "")
    reason = os.strerror(error.errno) if error.errno else error.strerror  # pyarrow has a longer text of its own
    return f"{where}{reason}{advice}"


def progress(description: str, total: int, unit: str = "B") -> tqdm:
    """A progress bar on standard error with rate and time left."""
    return tqdm(
        desc=description, total=total, unit=unit, unit_scale=True, dynamic_ncols=True, mininterval=0.5, file=sys.stderr
    )
