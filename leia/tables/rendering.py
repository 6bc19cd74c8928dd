"""A filled table as Markdown, LaTeX and CSV."""

import csv
import io
from collections.abc import Iterator, Mapping

from leia.base.text import latex, markdown, one_line
from leia.tables.intervals import Estimate, counts_as_gain
from leia.tables.table import PAPER_ITEMS, Cell, Part, Table

Cells = Mapping[tuple[str, str, str], Cell]

CAPTION = (
    "Accuracy; ±: half width of the 95% t interval over training seeds, where there are several; "
    "n: seeds, where some are still missing. **Bold**: a gain by "
    "the paper's criterion, the lower end above the upper end of the row {baseline!r}."
)
GAIN = (
    "Gain: over the row {baseline!r} on the same items, with its 95% interval by a paired bootstrap over items; "
    "p: the share of bootstrap samples without a gain."
)
CSV_COLUMNS = (
    *("part", "row", "column", "mean", "half_width", "seeds", "items"),
    *("authors_mean", "authors_half_width", "difference_to_authors"),
    *("gain_over_baseline", "gain_low", "gain_high", "gain_p", "counts_as_gain"),
)
NO_RESULTS = "There are no results yet: no number below was measured here."


def to_markdown(table: Table, cells: Cells, note: str = "") -> str:
    """The table with its caption, source and doubts."""
    lines = [f"# {markdown(table.title)}", ""]
    for text in _texts(table, cells, note):
        lines += [text, ""]
    for part in table.parts:
        names = list(map(markdown, part.column_names))
        lines += [f"## {markdown(part.title)}", "", "| | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for label, texts, bold in _lines(table, part, cells):
            shown = [f"**{text}**" if is_bold else text for text, is_bold in zip(texts, bold, strict=True)]
            lines.append(f"| {markdown(label)} | " + " | ".join(shown) + " |")
        lines.append("")
    return "\n".join(lines)


def to_latex(table: Table, cells: Cells, note: str = "") -> str:
    """One `table` environment a part; needs the package booktabs."""
    blocks = ["".join(f"% {one_line(text)}\n" for text in _texts(table, cells, note)).replace("**", "")]
    for part in table.parts:
        names = part.column_names
        rows = []
        for label, texts, bold in _lines(table, part, cells):
            shown = [
                rf"\textbf{{{_tex(text)}}}" if is_bold else _tex(text)
                for text, is_bold in zip(texts, bold, strict=True)
            ]
            rows.append(" & ".join([_tex(label), *shown]) + r" \\")
        caption = " ".join(filter(None, [note, f"{table.title}: {part.title}.", fewer_items(table, cells)]))
        blocks.append(
            "\n".join(
                [
                    r"\begin{table}",
                    r"\centering\small",
                    rf"\begin{{tabular}}{{l{'r' * len(names)}}}",
                    r"\toprule",
                    " & ".join(["", *map(_tex, names)]) + r" \\",
                    r"\midrule",
                    *rows,
                    r"\bottomrule",
                    r"\end{tabular}",
                    rf"\caption{{{_tex(caption)}}}",
                    r"\end{table}",
                    "",
                ]
            )
        )
    return "\n".join(blocks)


def to_csv(table: Table, cells: Cells) -> str:
    """One line a cell, in long form, numbers unrounded; an empty field is a number that is not known."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for (part, row, column), cell in cells.items():
        ours, authors, gain = cell.ours, cell.authors, cell.gain
        writer.writerow(
            [part, row, column]
            + ([ours.mean, ours.half_width, cell.seeds, cell.items or None] if ours else [None] * 4)
            + ([authors.mean, authors.half_width] if authors else [None, None])
            + [cell.difference]
            + ([gain.difference, gain.low, gain.high, gain.p_value] if gain else [None] * 4)
            + [cell.counts]
        )
    return buffer.getvalue()


def _texts(table: Table, cells: Cells, note: str) -> list[str]:
    baseline = next(row.label for row in table.rows if row.name == table.baseline)
    measured = any(cell.ours for cell in cells.values())
    texts = [f"**{text}**" for text in (note, fewer_items(table, cells)) if text]
    if not measured:
        texts.append(NO_RESULTS)
    texts.append(CAPTION.format(baseline=baseline))
    if any(cell.gain for cell in cells.values()):
        texts.append(GAIN.format(baseline=baseline))
    if table.source:
        texts += [f"Authors' numbers: {table.source} Doubts: {table.doubt}"]
    return texts


def fewer_items(table: Table, cells: Cells) -> str:
    """What was measured on fewer items than in the paper, and what one item is worth there; "" if nothing was."""
    found: dict[tuple[str, int], list[str]] = {}
    for part in table.parts:
        for column in part.columns:
            for cell in (cells[part.name, row.name, column.name] for row in table.rows):
                if not cell.complete:
                    found.setdefault((column.benchmark, cell.items), []).append(column.language)
    groups = [
        f"{benchmark} ({', '.join(dict.fromkeys(languages))}) {items} instead of {PAPER_ITEMS[benchmark]:,}, "
        f"one item is worth {1 / items:.3f}"
        for (benchmark, items), languages in found.items()
    ]
    return f"Fewer items than in the paper, so no comparison with its numbers: {'; '.join(groups)}." if groups else ""


def _lines(table: Table, part: Part, cells: Cells) -> Iterator[tuple[str, list[str], list[bool]]]:
    """Label, texts and boldness of each line: a row's own numbers, the authors', the difference, the gain."""
    for row in table.rows:
        own = [cells[part.name, row.name, column] for column in part.column_names]
        measured, published = any(cell.ours for cell in own), any(cell.authors for cell in own)
        if measured or not published:
            wanted = len(row.runs(part.columns[0], table.seeds))
            yield (
                row.label,
                [_estimate(cell.ours) + _seeds(cell, wanted) for cell in own],
                [bool(cell.counts) for cell in own],
            )
        if published:
            label = "· authors" if measured else f"{row.label}, authors"
            yield (
                label,
                [_estimate(cell.authors) for cell in own],
                [
                    _published_gain(table, part, cell, column, cells)
                    for cell, column in zip(own, part.column_names, strict=True)
                ],
            )
        if any(cell.difference is not None for cell in own):
            differences = ["–" if cell.difference is None else f"{cell.difference:+.3f}" for cell in own]
            yield "· difference", differences, [False] * len(own)
        if any(cell.gain for cell in own):
            yield "· gain", [_gain(cell) for cell in own], [False] * len(own)
            yield "· p", [_p_value(cell) for cell in own], [False] * len(own)


def _published_gain(table: Table, part: Part, cell: Cell, column: str, cells: Cells) -> bool:
    baseline = cells[part.name, table.baseline, column].authors
    return bool(cell.authors and baseline and counts_as_gain(cell.authors, baseline))


def _estimate(value: Estimate | None) -> str:
    if value is None:
        return "–"
    return f"{value.mean:.3f}" + (f" ±{value.half_width:.3f}" if value.half_width is not None else "")


def _seeds(cell: Cell, wanted: int) -> str:
    return f" (n={cell.seeds})" if cell.ours and cell.seeds < wanted else ""


def _gain(cell: Cell) -> str:
    if cell.gain is None:
        return "–"
    gain = cell.gain
    return f"{gain.difference:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"


def _p_value(cell: Cell) -> str:
    if cell.gain is None:
        return "–"
    return f"{cell.gain.p_value:.3f}" if cell.gain.p_value >= 0.001 else "<0.001"


def _tex(text: str) -> str:
    """`latex`, and our own signs in its notation."""
    return latex(text).replace("±", r"$\pm$").replace("·", r"\quad ").replace("–", "--")
