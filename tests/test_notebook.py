"""docs/tour.ipynb runs from its first cell to its last, and shows what its text says."""

import ast
import json
import tempfile
from pathlib import Path

import pytest

from leia.reports.preview import Blocks

ROOT = Path(__file__).parents[1]
NOTEBOOK = json.loads((ROOT / "docs/tour.ipynb").read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]


def run_cell(source, names):
    """Run a cell as Jupyter does, in the namespace `names`; return the value of its last line if that is one."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<cell>", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The values that the cells show, after a run of all of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT / "docs")
        patch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("tour")))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("HF_HUB_OFFLINE", "1")
        names = {"__name__": "__main__"}
        return [value for source in CODE if (value := run_cell(source, names)) is not None]


def test_every_strategy_is_shown_in_colour(shown):
    preview, plain, right, left, replaced, few_words = blocks = [value for value in shown if isinstance(value, Blocks)]
    assert all("<span" in part._repr_html_() for part in blocks)
    assert "<translate>" in str(preview) and "<translate>" not in str(plain)
    assert "ドイツ<translate> Germany</translate>で" in str(right)
    assert "<translate> Germany</translate>ドイツ" in str(left)
    assert 1 <= str(replaced).count("<translate>") <= 2
    assert [link.name for link in right.dropped] == ["Albert Einstein"], "as the notebook says"
    assert "アインシュタイン<translate> Albert Einstein</translate>は" in str(few_words) and not few_words.dropped


def test_a_batch_for_a_training_loop_is_the_last_thing_shown(shown):
    assert shown[-1] == {"input_ids": (4, 64), "attention_mask": (4, 64), "labels": (4, 64)}


def test_it_is_stored_without_what_it_showed():
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in NOTEBOOK["cells"])
