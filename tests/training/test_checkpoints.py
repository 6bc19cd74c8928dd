"""Checkpoints appear complete, are kept by number, and belong to one run."""

from pathlib import Path

import pytest

from leia.base.errors import InputError
from leia.training import checkpoints


def write_checkpoint(output_dir, step):
    folder = checkpoints.partial_folder(output_dir) / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "model.safetensors").chmod(0o600)


def test_a_checkpoint_being_written_is_not_seen(tmp_path):
    write_checkpoint(tmp_path, 3)
    assert checkpoints.newest_checkpoint(tmp_path) is None
    checkpoints.publish_checkpoint(tmp_path, 3, {"run.json": {"seed": 1}}, keep=2)
    write_checkpoint(tmp_path, 5)
    assert checkpoints.newest_checkpoint(tmp_path) == tmp_path / "checkpoint-3"
    checkpoints.remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]
    assert (tmp_path / "checkpoint-3" / "model.safetensors").stat().st_mode & 0o044, "as readable as other files"


def test_the_newest_is_by_number_and_only_so_many_are_kept(tmp_path):
    for step in (8, 9, 10, 11):
        write_checkpoint(tmp_path, step)
        checkpoints.publish_checkpoint(tmp_path, step, {}, keep=3)
    assert checkpoints.steps_saved(tmp_path) == [9, 10, 11]
    write_checkpoint(tmp_path, 10)
    checkpoints.publish_checkpoint(tmp_path, 10, {"run.json": {}}, keep=None)
    assert checkpoints.steps_saved(tmp_path) == [9, 10, 11]
    assert (tmp_path / "checkpoint-10" / "run.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-10", "checkpoint-11", "checkpoint-9"]


@pytest.mark.parametrize(("number", "left"), [(None, [8, 9, 10]), (5, [8, 9, 10]), (3, [8, 9, 10]), (1, [10]), (0, [])])
def test_so_many_stay_of_a_finished_run(tmp_path, number, left):
    for step in (8, 9, 10):
        write_checkpoint(tmp_path, step)
        checkpoints.publish_checkpoint(tmp_path, step, {}, keep=None)
    checkpoints.keep_newest(tmp_path, number)
    assert checkpoints.steps_saved(tmp_path) == left and not checkpoints.partial_folder(tmp_path).exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", None, r"model\.safetensors: is missing; remove .*checkpoint-3, then RESUME=1"),
        ("model.safetensors", b"weig", r"model\.safetensors: has 4 bytes, was saved with 7;"),
        ("global_step3/rank_1.pt", None, r"global_step3/rank_1\.pt: is missing"),
        ("trainer_state.json", b"{", r"trainer_state\.json: is not valid JSON"),
        ("files.json", b"[]", r"files\.json: expected a JSON object, found a list; expected a checkpoint"),
        ("files.json", None, r"files\.json: there is no such file; expected a checkpoint"),
    ],
)
def test_a_damaged_checkpoint_is_named_by_its_file(tmp_path, name, content, message):
    write_checkpoint(tmp_path, 3)
    partial = checkpoints.partial_folder(tmp_path) / "checkpoint-3"
    (partial / "global_step3").mkdir()
    (partial / "global_step3/rank_1.pt").write_bytes(b"states of another process")
    (partial / "trainer_state.json").write_text('{"global_step": 3}')
    checkpoints.publish_checkpoint(tmp_path, 3, {"run.json": {"seed": 1}}, keep=2)
    checkpoint = tmp_path / "checkpoint-3"
    checkpoints.check_whole(checkpoint)
    (checkpoint / name).unlink()
    if content is not None:
        (checkpoint / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        checkpoints.check_whole(checkpoint)


def test_a_final_model_counts_once_its_last_file_is_there(tmp_path):
    def write() -> Path:
        folder = checkpoints.partial_folder(tmp_path) / "model"
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("config.json", "README.md", "model.safetensors", "tokenizer.json"):
            (folder / name).write_text("{}")
        return folder

    (tmp_path / "tokenizer.json").mkdir()  # what ends the moving in its middle
    with pytest.raises(OSError):
        checkpoints.publish_model(tmp_path, write())
    assert not checkpoints.is_finished(tmp_path)
    (tmp_path / "tokenizer.json").rmdir()
    checkpoints.publish_model(tmp_path, write())
    assert checkpoints.is_finished(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_checkpoint_of_another_run_is_named_with_the_difference(tmp_path):
    run = {"seed": 1, "max_length": 64}
    write_checkpoint(tmp_path, 3)
    checkpoints.publish_checkpoint(tmp_path, 3, {"run.json": run}, keep=2)
    checkpoints.check_same_run(tmp_path / "checkpoint-3", run)
    with pytest.raises(InputError, match=r"checkpoint-3: .*seed 1 \(now 2\)"):
        checkpoints.check_same_run(tmp_path / "checkpoint-3", run | {"seed": 2})
    later = run | {"no_separator_tokens": False, "validation_articles": 0}
    checkpoints.check_same_run(tmp_path / "checkpoint-3", later)  # former versions did not know of them
    with pytest.raises(InputError, match=r"no_separator_tokens None \(now True\)"):
        checkpoints.check_same_run(tmp_path / "checkpoint-3", later | {"no_separator_tokens": True})
    write_checkpoint(tmp_path, 4)
    checkpoints.publish_checkpoint(tmp_path, 4, {"run.json": run | {"separate_articles": True}}, keep=2)
    with pytest.raises(InputError, match=r"separate_articles True \(now None\)"):
        checkpoints.check_same_run(tmp_path / "checkpoint-4", run)
    sources = {"sources": {"es": {"weight": 2, "dataset": "x"}, "en": {"weight": 1, "dataset": "y"}}}
    write_checkpoint(tmp_path, 5)
    checkpoints.publish_checkpoint(tmp_path, 5, {"run.json": run | sources}, keep=3)
    checkpoints.check_same_run(tmp_path / "checkpoint-5", run | sources)
    for other, said in (
        (
            {"es": sources["sources"]["es"], "en": {"weight": 3, "dataset": "y"}},
            r"with sources, en, weight 1 \(now 3\);",
        ),
        (dict(reversed(sources["sources"].items())), r"with sources \['es', 'en'\] \(now \['en', 'es'\]\);"),
    ):
        with pytest.raises(InputError, match=said):
            checkpoints.check_same_run(tmp_path / "checkpoint-5", run | {"sources": other})
    (tmp_path / "checkpoint-3" / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json"):
        checkpoints.check_same_run(tmp_path / "checkpoint-3", run)
