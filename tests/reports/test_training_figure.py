"""The figure of training runs: every panel shows the numbers of the log, for any number of runs; other folders are
refused. (test_training_run.py compares it with the logs of real runs, one of them continued.)"""

import json

import pytest

from leia.base.errors import InputError
from leia.reports.figures import draw_runs, read_log


def write_run(folder, steps, planned=None, **figures):
    """A run that logged `figures` (functions of the step) at each of `steps`, and the summary that ends every log."""
    entries = [{"step": step, **{key: value(step) for key, value in figures.items()}} for step in steps]
    state = {"max_steps": planned or steps[-1], "log_history": [*entries, {"step": steps[-1], "train_loss": 99.0}]}
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps(state))
    return folder


def lines_of(figure):
    """`{title of a panel: [the (x, y) of each run's line]}`."""
    panels = [panel for part in figure.subfigs for panel in part.axes]
    return {p.get_title(loc="left"): [[list(xy) for xy in line.get_data()] for line in p.get_lines()] for p in panels}


def test_every_panel_shows_the_log(tmp_path):
    steps = [1, 11, 21, 30]
    plain = write_run(tmp_path / "plain", steps, loss=lambda s: 9 / s, loss_text=lambda s: 9 / s, mfu=lambda s: 0.4)
    more = {
        "loss_names": lambda s: 7.0 - s,
        "learning_rate": lambda s: 1e-6 * s,
        "tokens_per_second": lambda s: 9e4 + s,
    }
    names = write_run(
        tmp_path / "_a$b$ c", steps[:2], planned=30, loss=lambda s: 1.0, tokens_seen=lambda s: 4096 * s, **more
    )
    runs = [read_log(plain), read_log(names)]
    assert [run.describe() for run in runs] == ["plain: step 30 of 30", "_a$b$ c: step 11 of 30, 45,056 tokens"]
    figure = draw_runs(runs)
    assert lines_of(figure) == {
        "loss": [[steps, [9 / step for step in steps]], [[1, 11], [1.0, 1.0]]],
        "loss on text": [[steps, [9 / step for step in steps]], [[], []]],
        "loss on inserted names": [[[], []], [[1, 11], [6.0, -4.0]]],
        "learning rate": [[[], []], [[1, 11], [1e-6, 1.1e-5]]],
        "tokens / second, all processes": [[[], []], [[1, 11], [90001, 90011]]],
        "model FLOPs utilisation": [[steps, [0.4] * 4], [[], []]],
    }
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [run.describe().replace("$", r"\$") for run in runs]


def test_more_runs_than_colours_still_differ(tmp_path):
    runs = [read_log(write_run(tmp_path / str(k), [1, 2], loss=lambda s: s)) for k in range(14)]
    panel = draw_runs(runs).subfigs[0].axes[0]
    assert len({(line.get_color(), line.get_linestyle()) for line in panel.get_lines()}) == 14


@pytest.mark.parametrize("suffix", ["svg", "png", "pdf"])
def test_the_script_writes_the_same_bytes_each_time(tmp_path, run_script, suffix):
    run = write_run(tmp_path / "a run é", [1], loss=lambda s: 1.0)
    files = [tmp_path / f"{name}.{suffix}" for name in ("one", "two")]
    for file in files:
        printed = run_script("make_training_report.py", "--run_dir", run, "--output_file", file).stdout
        assert printed == f"a run é: step 1 of 1\nwritten: {file}\n"
    assert files[0].read_bytes() == files[1].read_bytes() and files[0].stat().st_size > 5_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "holds neither trainer_state.json nor a checkpoint; expected the OUTPUT_DIR of a run"),
        ("{", "trainer_state.json: is not valid JSON"),
        ("[]", "expected a JSON object, found a list"),
        ('{"max_steps": 5, "log_history": [{"step": 5, "train_loss": 1}]}', "no step was logged; logging_steps"),
    ],
)
def test_a_folder_that_is_no_run_is_named(tmp_path, content, message):
    folder = tmp_path / "run"
    folder.mkdir()
    if content is not None:
        (folder / "trainer_state.json").write_text(content)
    with pytest.raises(InputError, match=f"{folder}.*{message}"):
        read_log(folder)


def test_another_kind_of_file_is_wrong_use(tmp_path, run_script):
    run = write_run(tmp_path / "run", [1], loss=lambda s: 1.0)
    failed = run_script("make_training_report.py", "--run_dir", run, "--output_file", tmp_path / "x.html", check=False)
    assert failed.returncode == 2 and "does not end in .svg, .png, .pdf" in failed.stderr
