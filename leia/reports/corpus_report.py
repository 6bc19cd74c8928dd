"""Several corpora side by side: the table of sizes in Markdown and LaTeX, the way from links to names, a figure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from leia.base.errors import DropReason, InputError
from leia.base.text import latex, latex_table, markdown, markdown_table, read_json
from leia.reports.figures import COLOURS, tidy

COLUMNS = ("articles", "tokens", "entities", "tokens / article", "entities / article", "names / 1,000 tokens")
REPORT_FILES = ("corpus.md", "corpus.tex", "corpus.svg", "corpus.pdf")
_DATASET_KEYS = ("articles", "tokens", "entities", "per_article", "names_per_1000_tokens", "article_length", "anchors")
_LINK_KEYS = ("language", "links", "anchors", "top_names")


@dataclass(frozen=True, slots=True)
class Corpus:
    """One language. `links` of the articles, of which `names` became entities; `drops[reason]` did not. `top_names` are
    pairs of name and count, of the entities or (`top_names_are_of_links`) of all links with a name."""

    language: str
    dataset: Mapping[str, Any]
    links: int
    names: int
    drops: Mapping[str, int]
    top_names: Sequence[tuple[str, int]]
    top_names_are_of_links: bool

    def cells(self) -> list[str]:
        """The cells of the table, in the order of `COLUMNS`."""
        counts = [f"{self.dataset[unit]:,}" for unit in ("articles", "tokens", "entities")]
        per_article = [f"{self.dataset['per_article'][unit]:,.1f}" for unit in ("tokens", "entities")]
        return [*counts, *per_article, f"{self.dataset['names_per_1000_tokens']:.1f}"]


def read_corpus(dataset_stats_file: str, link_stats_file: str) -> Corpus:
    """One language from the files of compute_dataset_stats.py and compute_link_stats.py.

    Raises `InputError` for other files, and for two of different corpora.
    """
    dataset = _read(dataset_stats_file, _DATASET_KEYS, "scripts/compute_dataset_stats.py --json")
    links = _read(link_stats_file, _LINK_KEYS, "scripts/compute_link_stats.py --json")
    build, anchors = dataset["anchors"], links["anchors"]
    if build is not None and build["read"] != anchors["read"]:
        raise InputError(
            f"{dataset_stats_file} is of {build['read']:,} anchors, {link_stats_file} of {anchors['read']:,}; "
            "expected two files of one corpus"
        )
    if build is None:  # a dataset without a manifest: what the name rule left is known, and what came of it
        not_aligned = anchors["kept"] - dataset["entities"]
        build = {"dropped": {**anchors["dropped"], DropReason.NOT_ON_BOUNDARIES: not_aligned}}
    before = links["links"] or {"read": anchors["read"], "dropped": {}}
    return Corpus(
        language=links["language"],
        dataset=dataset,
        links=before["read"],
        names=dataset["entities"],
        drops={**before["dropped"], **build["dropped"]},
        top_names=(dataset.get("top_names") or links["top_names"])[:10],
        top_names_are_of_links=not dataset.get("top_names"),
    )


def _read(path: str, keys: Sequence[str], made_by: str) -> dict[str, Any]:
    content = read_json(Path(path), f"{made_by} makes it")
    if missing := [key for key in keys if key not in content]:
        raise InputError(f"{path}: lacks {', '.join(missing)}; expected a file that {made_by} makes")
    return content


def reasons_of(corpora: Sequence[Corpus]) -> list[str]:
    """All reasons why links gave no name, the most frequent first."""
    totals: Counter[str] = Counter()
    for corpus in corpora:
        totals.update(corpus.drops)
    return sorted(totals, key=lambda reason: (-totals[reason], reason))


def to_markdown(corpora: Sequence[Corpus]) -> str:
    """The tables of sizes, of the way from links to names, and of the most frequent names."""
    languages = [markdown(corpus.language) for corpus in corpora]
    sizes = [[language, *corpus.cells()] for language, corpus in zip(languages, corpora, strict=True)]
    ways = [["links", *(f"{corpus.links:,}" for corpus in corpora)]]
    for reason in reasons_of(corpora):
        counts = [_share(corpus.drops.get(reason, 0), corpus.links) for corpus in corpora]
        ways.append([f"dropped: {markdown(reason)}", *counts])
    ways.append(["names inserted at p = 1", *(_share(corpus.names, corpus.links) for corpus in corpora)])
    names = []
    for language, corpus in zip(languages, corpora, strict=True):
        label = language + " (before token boundaries)" * corpus.top_names_are_of_links
        names.append([label, ", ".join(f"{markdown(name)} ({count:,})" for name, count in corpus.top_names)])
    parts = [
        "# Corpora",
        markdown_table(["language", *COLUMNS], sizes, numbers=True),
        "## From links to names",
        markdown_table(["", *languages], ways, numbers=True),
        "## Most frequent names",
        markdown_table(["language", "names"], names),
        "![The same as a figure](corpus.svg)",
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _share(count: int, total: int) -> str:
    return f"{count:,} ({100 * count / total if total else 0:.1f}%)"


def to_latex(corpora: Sequence[Corpus]) -> str:
    """The table of sizes; needs the package booktabs."""
    return latex_table(["language", *COLUMNS], [[latex(corpus.language), *corpus.cells()] for corpus in corpora]) + "\n"


def draw_corpora(corpora: Sequence[Corpus]) -> Figure:
    """What became of the links, the density of names and the lengths of articles."""
    figure = Figure(figsize=(11, 2.6 + 0.35 * len(corpora)), layout="constrained")
    funnel, density, lengths = figure.subplots(1, 3, width_ratios=[2, 1, 1.5])
    _draw_funnel(funnel, corpora)
    languages = [corpus.language for corpus in corpora]
    bars = density.barh(languages, [corpus.dataset["names_per_1000_tokens"] for corpus in corpora], color=COLOURS[0])
    density.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
    density.margins(x=0.25)
    density.set_xlabel("names per 1,000 tokens")
    _draw_lengths(lengths, corpora)
    for panel in (funnel, density, lengths):
        tidy(panel)
        panel.yaxis.set_inverted(panel is not lengths)
    return figure


def _draw_funnel(panel: Axes, corpora: Sequence[Corpus]) -> None:
    languages = [corpus.language for corpus in corpora]
    reasons = reasons_of(corpora)
    named = reasons if len(reasons) < len(COLOURS) else reasons[: len(COLOURS) - 2]
    parts = {"names": [corpus.names for corpus in corpora]}
    parts |= {reason: [corpus.drops.get(reason, 0) for corpus in corpora] for reason in named}
    if rare := reasons[len(named) :]:
        parts[f"{len(rare)} rarer reasons"] = [sum(corpus.drops.get(key, 0) for key in rare) for corpus in corpora]
    left = [0.0] * len(corpora)
    for color, (label, counts) in zip(COLOURS, parts.items(), strict=False):
        shares = [100 * count / max(corpus.links, 1) for count, corpus in zip(counts, corpora, strict=True)]
        panel.barh(languages, shares, left=left, color=color, edgecolor="white", linewidth=0.4, label=label)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    panel.set_xlim(0, 100)
    panel.set_xlabel("% of links")
    panel.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=7, frameon=False)


def _draw_lengths(panel: Axes, corpora: Sequence[Corpus]) -> None:
    for number, corpus in enumerate(corpora):
        bins = corpus.dataset["article_length"].get("histogram", [])
        middles = [(least + greatest + 1) / 2 for least, greatest, _ in bins]
        shares = [100 * count / max(corpus.dataset["articles"], 1) for _, _, count in bins]
        colour = COLOURS[number % len(COLOURS)]
        panel.plot(middles, shares, marker="o", markersize=3, color=colour, label=corpus.language)
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_formatter("{x:,.0f}")
    panel.set_xlabel("tokens of an article (each doubling)")
    panel.set_ylabel("% of articles")
    panel.legend(fontsize=8, frameon=False)
