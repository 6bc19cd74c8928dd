"""What all figures share: colours, and files whose bytes depend on nothing but what is drawn."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#444444")
"""Told apart by colour-blind readers too (after Okabe and Ito, without their yellow, which white paper swallows)."""

IMAGE_FORMATS = ("svg", "png", "pdf")


def save_figure(figure: "Figure", path: Path, image_format: str) -> None:
    """Write `figure` to `path` in one of the `IMAGE_FORMATS`, the same bytes for the same figure."""
    from matplotlib import rc_context

    undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
    with rc_context({"svg.hashsalt": "leia"}):
        figure.savefig(path, format=image_format, metadata=undated[image_format], dpi=160)
