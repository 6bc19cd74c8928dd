"""Text in and out: what strangers wrote (titles, names, labels) made harmless where it is shown, and one reader and one
writer for each format: JSON, JSON lines, tab-separated pairs, YAML, tables in Markdown and LaTeX.

Readers raise `InputError` with the file, the place in it and what was expected; a missing file is `FileNotFoundError`.
Writers return the text: `leia.base.outputs` puts it on disk.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from leia.base.errors import InputError

Row = TypeVar("Row")

_STEERING = (
    *range(0x80, 0xA0),  # control characters of eight bits
    *(0x2028, 0x2029),  # line and paragraph separators
    *range(0x202A, 0x202F),  # these two: text set against its own direction
    *range(0x2066, 0x206A),
)
_SYMBOLS = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\u2421",
    **{code: f"\\u{code:04x}" for code in _STEERING},
}
_MARKDOWN = {ord(letter): f"\\{letter}" for letter in "\\`*_[]<>|&#~$"}
_LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "{}$&#%_"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    }
)


def visible(text: str) -> str:
    """`text` with each control character, escape and override of the writing direction as a symbol (`\u241b`)."""
    return text.translate(_SYMBOLS)


def one_line(text: str) -> str:
    """`visible`, in one line."""
    return visible(" ".join(text.split()))


def markdown(text: str) -> str:
    """`text` in one line with nothing in it that Markdown or a table of it would act on."""
    return one_line(text).translate(_MARKDOWN)


def latex(text: str) -> str:
    """`text` in one line with nothing in it that LaTeX would act on."""
    return one_line(text).translate(_LATEX)


def to_json(content: Any, indent: int = 2, default: Callable[[Any], Any] | None = None) -> str:
    """Indented JSON with a line break at the end."""
    return json.dumps(content, ensure_ascii=False, indent=indent, default=default) + "\n"


def read_json(path: Path, advice: str) -> dict[str, Any]:
    """The JSON object in a file; the error ends with `advice`."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one, too
        raise InputError(f"{path}: is not valid JSON, perhaps cut off ({error}); {advice}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected a JSON object, found a {type(content).__name__}; {advice}")
    return content


def to_json_lines(rows: Iterable[Any]) -> str:
    """One JSON value a line."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def read_json_lines(path: Path, make: Callable[[Any], Row], expected: str, advice: str) -> list[Row]:
    """What `make` makes of the JSON value of each line; `expected` is what a line should hold.

    `ValueError`, `KeyError` and `TypeError` of `make` are errors of the line.
    """
    rows: list[Row] = []
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                rows.append(make(json.loads(line)))
            except (ValueError, KeyError, TypeError) as error:
                message = f"{path}:{number}: expected {expected}, found {line[:60]!r} ({error}); {advice}"
                raise InputError(message) from error
    return rows


def read_pairs(
    path: Path, expected: str, advice: str, second: str = "", encoding: str = "utf-8"
) -> Iterator[tuple[str, str]]:
    """The rows of a file of two columns with a tab between; the second starts with `second`."""
    number = 0
    with path.open(encoding=encoding, newline="\n") as file:
        try:
            for number, line in enumerate(file, 1):
                left, tab, right = line.rstrip("\n").partition("\t")
                if not tab or not right.startswith(second):
                    raise InputError(f"{path}:{number}: expected {expected}, found {line[:60]!r}; {advice}")
                yield left, right
        except UnicodeDecodeError as error:
            message = f"{path}: is not UTF-8 after line {number:,}; expected {expected}; {advice}"
            raise InputError(message) from error


def read_written_pairs(path: Path, left: str, right: str, advice: str) -> Iterator[tuple[int, str, str]]:
    """The number of each line and its two columns, of a file that somebody may have written by hand: white space around
    them does not count, nor does the mark that some editors put at the start. `left` and `right` are what the columns
    hold.

    Raises `InputError` for a line of more columns or with an empty one.
    """
    expected = f"{left}<TAB>{right}"
    for number, pair in enumerate(read_pairs(path, expected, advice, encoding="utf-8-sig"), 1):
        one, other = map(str.strip, pair)
        if "\t" in other:
            raise InputError(f"{path}:{number}: expected {expected}, found {other.count(chr(9)) + 1} tabs; {advice}")
        if not one or not other:
            missing = right if one else left
            raise InputError(f"{path}:{number}: expected {expected}, found an empty {missing}; {advice}")
        yield number, one, other


def read_yaml(path: Path, advice: str) -> dict[str, Any]:
    """The mapping in a YAML file; the error ends with `advice`."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not valid YAML ({error}); {advice}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected lines of the form `name: value`; {advice}")
    return content


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: bool = False) -> str:
    """A table of cells that are Markdown already; with `numbers` all columns but the first are set to the right."""
    rule = ["---", *["---:" if numbers else "---"] * (len(head) - 1)]
    return "".join(
        "|" + "".join(f" {cell} |" if cell else " |" for cell in cells) + "\n" for cells in (head, rule, *rows)
    )


def latex_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A `tabular` of cells that are LaTeX already, all columns but the first set to the right; needs booktabs."""
    lines = [
        rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
        *(" & ".join(cells) + r" \\" for cells in rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines)
