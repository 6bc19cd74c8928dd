"""`--scoring harness` is what `lm_eval run --include_path leia/tasks` gives, for every family of tasks."""

from pathlib import Path

import pytest
from evaluation_sample import TASKS, XCSR
from japanese_sample import lay_out, make_model_with_bos
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from leia.evaluation.jobs import find_tasks
from leia.evaluation.run_tasks import ModelOptions, evaluate

FACTS = Path(__file__).parents[1] / "sample/facts"
ASKED = {
    **{"xcodah_es": 0, "xcsqa_ja": 2, "crosslingual_facts_ja": 0, "jcommonsenseqa": 1, "jcommonsenseqa_llmjp": 1},
    **{"niilc": 1, "jemhopqa": 1, "jaqket_v1": 1, "jaqket_v2": 1, "jsquad": 1},
}


def test_the_values_are_those_of_lm_eval_itself(tmp_path, monkeypatch):
    for variable, folder in {"XCSR_DIR": XCSR, "FACTS_DIR": FACTS, "JAPANESE_DIR": lay_out(tmp_path / "ja")}.items():
        monkeypatch.setenv(variable, str(folder))
    model = str(make_model_with_bos(tmp_path / "model", max_length=8192))
    options = ModelOptions("harness", model, "float32", "auto", trust_remote_code=False)
    jobs = find_tasks(list(ASKED), list(ASKED.values()), model)
    ours = {result.about["task"]: result for result in evaluate(options, jobs, tmp_path / "results", dry_run=False)}
    assert ours.keys() == ASKED.keys()
    for number in set(ASKED.values()):
        names = [name for name, shots in ASKED.items() if shots == number]
        manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"pretrained": model})
        arguments = {"pretrained": model, "dtype": "float32"}
        settings = {"tasks": names, "num_fewshot": number, "task_manager": manager, "device": "cpu"}
        theirs = simple_evaluate(model="hf", model_args=arguments, **settings)["results"]
        for name in names:
            values = {
                metric.partition(",")[0]: value for metric, value in theirs[name].items() if metric.endswith(",none")
            }
            assert ours[name].metrics == pytest.approx({metric: values[metric] for metric in ours[name].metrics})
            assert ours[name].metrics, name
