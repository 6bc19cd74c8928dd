"""The measures of a demonstration as JSON and as tables, and what its arms have over those that are to show nothing."""

import math
from collections.abc import Mapping
from typing import Any

from leia.base.text import markdown, markdown_table
from leia.demonstration.measures import QUESTIONS, Arms, Measure, differences
from leia.tables.intervals import Estimate
from leia.tables.rendering import format_estimate

TITLES = {
    "held_out": "Facts that English alone states",
    "trained": "Facts that both languages state",
    "unknown": "Facts that nothing states",
    "bridge": "Facts of bridges that English alone states",
}
"""By the statuses that are asked."""

BASELINES = ("none", "shuffled")
"""Arms that the others are to gain over: names that are not there, names that are another's."""

CLAIMS = ("held_out_bare", "held_out_given", "held_out_written", "held_out_english")
"""Measures whose differences to these are told."""


def summarise(arms: Arms) -> dict[str, dict[str, dict[str, Any]]]:
    """Arm -> measure -> its mean over seeds, `low` and `high` of the 95% t interval over seeds (None: one seed),
    `items_low` and `items_high` of the bootstrap over items within seeds, `chance`, the number of `seeds`. NaN is
    None."""
    return {arm: {name: _as_dict(measure) for name, measure in measures.items()} for arm, measures in arms.items()}


def _as_dict(measure: Measure) -> dict[str, Any]:
    numbers = {
        **as_numbers(measure.over_seeds),
        "items_low": measure.items_low,
        "items_high": measure.items_high,
        "chance": measure.chance,
    }
    return {name: None if value is None or math.isnan(value) else value for name, value in numbers.items()} | {
        "seeds": len(measure.by_seed)
    }


def as_numbers(value: Estimate) -> dict[str, float | None]:
    """The mean and the ends of its interval, None where there is none."""
    if value.half_width is None:
        return {"mean": value.mean, "low": None, "high": None}
    return {"mean": value.mean, "low": value.mean - value.half_width, "high": value.mean + value.half_width}


def summarise_differences(arms: Arms) -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """Arm -> claim -> baseline -> the difference, paired by seed, and its 95% t interval over seeds."""
    found: dict[str, dict[str, dict[str, dict[str, float | None]]]] = {}
    for other in BASELINES:
        for claim in CLAIMS:
            for arm, value in differences(arms, other, claim).items():
                found.setdefault(arm, {}).setdefault(claim, {})[other] = as_numbers(value)
    return found


def to_markdown(arms: Arms, labels: Mapping[str, str]) -> str:
    """A table for each status, then the differences of the claims to each of the `BASELINES`."""
    chance = {name: measure.chance for measures in arms.values() for name, measure in measures.items()}
    blocks = []
    for status, title in TITLES.items():
        names = [name for question in QUESTIONS if (name := f"{status}_{question}") in chance]
        head = ["chance", *(f"{name.removeprefix(f'{status}_')} ({chance[name]:.3f})" for name in names)]
        rows = [
            [markdown(labels[arm]), *(_cell(measures[name].over_seeds if name in measures else None) for name in names)]
            for arm, measures in arms.items()
        ]
        blocks.append(f"**{title}**, mean over seeds and 95% t interval:\n\n{markdown_table(head, rows)}")
    for other in BASELINES:
        columns = {claim: differences(arms, other, claim) for claim in CLAIMS}
        head = ["", *(claim.removeprefix("held_out_") for claim in CLAIMS)]
        rows = [
            [markdown(labels[arm]), *(_cell(found.get(arm), "+") for found in columns.values())]
            for arm in arms
            if any(arm in found for found in columns.values())
        ]
        if rows:
            title = f"**{TITLES['held_out']}**, less {labels[other]!r}, paired by seed"
            blocks.append(f"{title}:\n\n{markdown_table(head, rows)}")
    return "\n".join(blocks)


def _cell(value: Estimate | None, sign: str = "") -> str:
    if value is None or math.isnan(value.mean):
        return "–"
    return format_estimate(value, sign)
