"""What a person sees of a step: its help, its options, its progress bar, its last line, its errors.

`command` is `click.command` with four habits:

- `--help` is the docstring of the file, in which the indented block at the end is the example; then come the options,
  the required ones first, those of an `option("HEADING", ...)` under their heading, with their defaults;
- an `InputError` or a failure of the file system is one line on standard error with exit code 1, and wrong use, which
  click says in three, one with exit code 2 (`OneLineErrors`);
- SIGTERM unwinds like Ctrl-C, so that a stopped step removes what it had begun;
- a pipe whose reader has had enough (`| head`) is not an error.
"""

import dataclasses
import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from textwrap import dedent, indent
from typing import Any, NoReturn

import click
from tqdm import tqdm

from leia.base.errors import AlreadyComplete, InputError, MissingInput, UsageError
from leia.base.pool import available_cores
from leia.base.text import one_line

Decorator = Callable[..., Any]  # what click.option gives
EXISTING_FILE = click.Path(exists=True, dir_okay=False, readable=True)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, readable=True)
OUTPUT_FILE = click.Path(dir_okay=False)
OUTPUT_FOLDER = click.Path(file_okay=False)


class InputPath(click.Path):
    """A file or folder to read. The commands ask for it by `require`, whose error names the script that makes it."""

    def __init__(self, made_by: str = "", **kind: bool) -> None:
        super().__init__(**kind)
        self._made_by = made_by

    def require(self, value: Any, param: click.Parameter, ctx: click.Context) -> None:
        existing = click.Path(exists=True, file_okay=self.file_okay, dir_okay=self.dir_okay, readable=True)
        try:
            existing.convert(value, param, ctx)
        except click.BadParameter as error:
            made_by = f"; {self._made_by} makes it" if self._made_by else ""
            self.fail(error.message.removesuffix(".") + made_by, param, ctx)


class CommaSeparated(click.ParamType):
    """A list with commas between, as a tuple."""

    name = "list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return tuple(part.strip() for part in value.split(",") if part.strip())


class _Option(click.Option):
    def __init__(self, *names: Any, heading: str, **settings: Any) -> None:
        super().__init__(*names, **settings)
        self.heading = heading


def option(heading: str, *names: str, **settings: Any) -> Decorator:
    """`click.option` under a heading of `--help`, for commands with more than five optional ones."""
    return click.option(*names, cls=_Option, heading=heading, **settings)


def setting(heading: str, help: str, default: Any = dataclasses.MISSING, **of_click: Any) -> Any:
    """A field of a dataclass of which `options_of` makes an option, with its help under this heading."""
    return dataclasses.field(default=default, metadata={"heading": heading, "help": help, "of_click": of_click})


def options_of(settings: type, in_config: bool = False) -> Decorator:
    """An option for each field of the dataclass `settings`, made by `setting`.

    With `in_config` an option that is not given is None, since a configuration file may give it. A flag may stand alone
    or be followed by true or false then.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        for field in reversed(dataclasses.fields(settings)):
            required = field.default is dataclasses.MISSING
            repeatable = field.metadata["of_click"].get("multiple", False)
            shown = ",".join(field.default) if isinstance(field.default, tuple) and not repeatable else field.default
            own = {"type": field.type, "help": field.metadata["help"], "default": shown, **field.metadata["of_click"]}
            if in_config:
                own["default"] = None
                own["help"] += "  [required, here or in --config]" if required else f"  [default: {shown}]"
                own |= {"is_flag": False, "flag_value": True} if field.type is bool else {}
            function = option(field.metadata["heading"], f"--{field.name}", **own)(function)
        return function

    return decorate


class OneLineErrors(click.Command):
    """A command, or a group of them, that says wrong use in one line, with advice after a semicolon."""

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        try:
            sys.exit(super().main(*args, **settings | {"standalone_mode": False}))
        except click.UsageError as error:
            message = error.format_message().removesuffix(".")
            if error.ctx is not None and "; " not in message and not message.endswith("?"):
                message += f"; {error.ctx.command_path} --help shows the options"
            self.fail(message, error.exit_code)
        except click.Abort:  # Ctrl-C
            click.echo("Aborted!", err=True)
            sys.exit(1)

    def fail(self, message: str, exit_code: int) -> NoReturn:
        """Say why the command fails and exit; one of several processes (`leia.training.launch`) does it another way."""
        fail(message, exit_code)


class Command(OneLineErrors):
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """click's, but for an input that is given twice where one is read: the last would count without a word."""
        for parameter in self.params:
            if isinstance(parameter.type, InputPath) and not parameter.multiple:
                given = [word for word in args if word.partition("=")[0] in parameter.opts]
                if len(given) > 1:
                    raise click.UsageError(f"expected {parameter.opts[0]} once, found it {len(given)} times", ctx)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {"Required": []}
        for parameter in self.get_params(ctx):
            heading = "Required" if parameter.required else getattr(parameter, "heading", "Options")
            if record := parameter.get_help_record(ctx):
                sections.setdefault(heading, []).append(record)
        sections["Options"] = sections.pop("Options")  # to the end; --help is always there
        for heading, records in sections.items():
            if records:
                with formatter.section(heading):
                    formatter.write_dl(records)

    def format_epilog(self, _: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write(f"\nExample:\n{self.epilog}\n")  # as it is: a line may be longer than the window is wide


def comma_separated_numbers(value: str) -> list[int]:
    """The numbers of an option such as `0,4`. Raises `click.BadParameter` for others than whole ones of at least 0."""
    try:
        numbers = [int(number) for number in value.split(",")] if value else []
    except ValueError:
        raise click.BadParameter(f"expected numbers such as 0,4, found {value!r}") from None
    if min(numbers, default=0) < 0:
        raise click.BadParameter(f"expected numbers of at least 0, found {value!r}")
    return numbers


def input_file(name: str, made_by: str, help: str = "", folder: bool = False, **settings: Any) -> Decorator:
    """A required option (unless `required=False`) that names what the script `made_by` makes."""
    kind = InputPath(made_by, file_okay=not folder, dir_okay=folder)
    return click.option(name, type=kind, **{"required": True, "help": help or f"Made by {made_by}."} | settings)


input_folder = functools.partial(input_file, folder=True)


def output_option(name: str, kind: click.Path, help: str) -> Decorator:
    return click.option(name, type=kind, required=True, help=help)


def workers_option(name: str, help: str) -> Decorator:
    return click.option(name, type=click.IntRange(1), default=available_cores, show_default="all cores", help=help)


articles_option = input_folder("--preprocessed_dataset_dir", "extract_articles.py")
pivot_ids_option = input_file("--wikidata_id_file", "extract_wikidata_ids.py", "Id file of the pivot language.")
num_workers_option = workers_option("--num_workers", "Processes to work in; the output does not depend on it.")
statistics_file_option = click.option(
    "--json", "json_file", type=OUTPUT_FILE, help="Write the counts to this file too."
)
allow_missing_parts_option = click.option(
    "--allow_missing_parts", is_flag=True, help="Use the parts that are there of a dump in parts, with a warning."
)
allow_truncated_option = click.option(
    "--allow_truncated", is_flag=True, help="Use what stands before the break of a dump that broke off."
)
trust_remote_code_option = click.option("--trust_remote_code", is_flag=True, help="Run code that comes with the model.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Make the output again though it is complete.")


def include_path_option(heading: str) -> Decorator:
    """The folder of a user's own tasks, which evaluate.sh and train.sh take from the environment."""
    return option(
        heading,
        "--include_path",
        type=EXISTING_FOLDER,
        envvar="INCLUDE_PATH",
        show_envvar=True,
        show_default="none",
        help="Folder of further tasks, as lm-eval's.",
    )


dump_option = click.option(
    "--dump_file",
    type=InputPath(),
    multiple=True,
    required=True,
    help="Dump <lang>wiki-<date>-*.xml.bz2; of a dump in parts each (repeatable), or the folder that holds them.",
)


def wikidata_dump_option(help: str) -> Decorator:
    return click.option("--dump_file", type=InputPath(dir_okay=False), required=True, help=help)


def command(
    function: Callable[..., None], inputs_may_be_missing: bool = False, cls: type[Command] = Command
) -> click.Command:
    """A click command from `function`; see the module's docstring for what it adds."""
    *paragraphs, example = (sys.modules[function.__module__].__doc__ or "\n\n").split("\n\n")

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        signal.signal(signal.SIGTERM, _stop)
        context = click.get_current_context()
        if not inputs_may_be_missing:
            _require_inputs(context)
        try:
            return function(*args, **kwargs)
        except AlreadyComplete as complete:
            return click.echo(complete)
        except InputError as error:
            if isinstance(error, MissingInput):
                _require_inputs(context)
            message, exit_code = str(error), error.exit_code
        except OSError as error:
            if error.errno in (None, errno.EPIPE):  # the reader of a pipe (`| head`) has had enough: click is quiet
                raise
            message, exit_code = describe_os_error(error), 1
        # Only here, where the exception and with it the progress bars of the failed work are gone.
        if exit_code == UsageError.exit_code:
            raise click.UsageError(message, context)
        context.command.fail(message, exit_code)

    return click.command(
        cls=cls,
        help="\n\n".join(paragraphs),
        epilog=indent(dedent(example).strip(), "  "),
        context_settings={"show_default": True, "max_content_width": 120},
    )(run)


step_command = functools.partial(command, inputs_may_be_missing=True)
"""`command` for a step: inputs may be missing where its output is complete, which `open_step` knows."""


def _require_inputs(context: click.Context) -> None:
    """Raise `click.BadParameter` for the first option that names an input which is not there."""
    for parameter in context.command.params:
        value = context.params[parameter.name]
        for given in (value if parameter.multiple else [value]) if value is not None else ():
            is_tuple = isinstance(parameter.type, click.Tuple)
            for kind, path in zip(parameter.type.types, given, strict=True) if is_tuple else [(parameter.type, given)]:
                if isinstance(kind, InputPath):
                    kind.require(path, parameter, context)


def _stop(*_: Any) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # another one would disturb the cleaning
    sys.exit(128 + signal.SIGTERM)


def fail(message: str, exit_code: int = 1) -> NoReturn:
    """Print one line on standard error and exit."""
    click.echo(f"error: {one_line(message)}", err=True)
    sys.exit(exit_code)


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


def progress(description: str, total: int | None, unit: str = "B") -> tqdm:
    """A progress bar on standard error with rate and, where the total is known, time left."""
    return tqdm(desc=description, total=total, unit=unit, unit_scale=True, dynamic_ncols=True, mininterval=0.5)
