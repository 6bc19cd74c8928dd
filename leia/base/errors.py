"""The one exception a user's mistake or bad data ends in; `leia.base.cli.command` prints it as one line and exits 1."""


class InputError(Exception):
    """Bad data: the message says which file, where in it, what was expected and what to do. Exit code 1.

    Wrong use of a command line (an unknown value, a missing file) is a `click.UsageError` instead: exit code 2.
    """
