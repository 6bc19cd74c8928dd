"""The recipe of docs/corpus.md for a tokenizer of one's own, in its own words: from the articles to a trained model."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import AutoTokenizer

ROOT = Path(__file__).parents[2]


@pytest.mark.thorough
def test_a_tokenizer_of_ones_own_is_trained_checked_built_with_and_trained_on(sample_corpus, tmp_path):
    recipe = (ROOT / "docs/corpus.md").read_text(encoding="utf-8").split("## A tokenizer of your own")[1]
    (python,) = re.findall(r"```python\n(.*?)```", recipe, re.DOTALL)
    (shell,) = re.findall(r"```bash\n(.*?)```", recipe.split("\n## ")[0], re.DOTALL)
    for name in ("scripts", "configs", "leia", "train.sh"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "jawiki-preprocessed").symlink_to(sample_corpus.wikis["ja"].preprocessed)
    (tmp_path / "wikidata").symlink_to(sample_corpus.ids_dir)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    environment["OUTPUT_DIR"] = str(tmp_path / "runs/own")
    for command in ([sys.executable, "-c", python], ["bash", "-euo", "pipefail", "-c", shell]):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout + done.stderr
    assert "own-model: the tokenizer loads; it has 2,000 ids" in done.stdout and "note: own-model" not in done.stderr
    assert "<translate>" in AutoTokenizer.from_pretrained(tmp_path / "runs/own").get_vocab()
