"""What several files of the evaluation tests share."""

from pathlib import Path

import pytest
from japanese_sample import lay_out


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The sample of the Japanese benchmarks, where the tasks look for it."""
    folder = lay_out(tmp_path / "japanese")
    monkeypatch.setenv("JAPANESE_DIR", str(folder))
    return folder
