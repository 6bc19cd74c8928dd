"""Settings: a configuration, its base and the command line, which wins; each wrong one a clear line."""

from pathlib import Path

import pytest
import yaml

from leia.base.errors import InputError, UsageError
from leia.training.arguments import accumulation_steps, parse, read_config
from leia.training.launch import processes_here, read_machine

CONFIGS = Path(__file__).parents[2] / "configs" / "train"
PATHS = {"model_name_or_path": "model", "wikipedia_dataset_dir": "dataset"}


def parse_tiny(tmp_path, *more, **options):
    return parse(CONFIGS / "tiny_cpu.yaml", PATHS | options, ["--output_dir", str(tmp_path), *more])


def test_the_papers_configuration_is_the_papers_run():
    settings = read_config(CONFIGS / "llama2_7b.yaml")
    assert (
        settings
        | {
            "max_length": 2048,
            "global_batch_size": 2048,
            "max_steps": 50,
            "learning_rate": 5e-6,
            "adam_beta1": 0.9,
            "adam_beta2": 0.95,
            "adam_epsilon": 1e-6,
            "weight_decay": 0.1,
            "lr_scheduler_type": "cosine",
            "warmup_steps": 0,
            "max_grad_norm": 1.0,
            "bf16": True,
            "seed": 42,
            "entity_name_insertion_strategy": "right",
            "entity_name_insertion_prob": 0.5,
            "disable_entity_name_token_loss": False,
        }
        == settings
    )
    assert accumulation_steps(settings["global_batch_size"], 8, settings["per_device_train_batch_size"]) == 256


@pytest.mark.parametrize(
    ("name", "difference"),
    [
        ("swallow_7b", {"model_name_or_path": "tokyotech-llm/Swallow-7b-hf"}),
        ("ablation_none", {"entity_name_insertion_strategy": "none"}),
        ("ablation_left_p0.5", {"entity_name_insertion_strategy": "left"}),
        ("ablation_left_p1.0", {"entity_name_insertion_strategy": "left", "entity_name_insertion_prob": 1.0}),
        ("ablation_right_p0.5", {}),
        ("ablation_right_p1.0", {"entity_name_insertion_prob": 1.0}),
        ("ablation_right_p0.5_no_name_loss", {"disable_entity_name_token_loss": True}),
        ("ablation_right_p0.5_no_tags", {"no_separator_tokens": True}),
        ("ablation_replace_p0.5", {"entity_name_insertion_strategy": "replace"}),
        ("ablation_replace_p1.0", {"entity_name_insertion_strategy": "replace", "entity_name_insertion_prob": 1.0}),
    ],
)
def test_each_row_of_the_tables_differs_from_the_paper_by_its_name_only(name, difference):
    assert read_config(CONFIGS / f"{name}.yaml") == read_config(CONFIGS / "llama2_7b.yaml") | difference


def test_every_row_of_the_ablation_table_has_a_configuration():
    table = yaml.safe_load((CONFIGS.parent / "tables/ablations.yaml").read_text(encoding="utf-8"))
    rows = {f"ablation_{row['name']}" for row in table["rows"]}
    assert rows == {path.stem for path in CONFIGS.glob("ablation_*.yaml")}


def test_every_configuration_is_understood(tmp_path):
    for path in CONFIGS.glob("*.yaml"):
        names_its_data = {"sources", "wikipedia_dataset_dir"} & read_config(path).keys()
        experiment, args = parse(
            path, {} if names_its_data else PATHS, ["--output_dir", str(tmp_path), "--use_cpu", "--bf16", "false"]
        )
        assert args.gradient_accumulation_steps * args.per_device_train_batch_size == experiment.global_batch_size


def test_the_command_line_wins_over_the_configuration(tmp_path):
    experiment, args = parse_tiny(tmp_path, "--learning_rate", "1e-5", entity_name_insertion_prob=1.0)
    assert (experiment.entity_name_insertion_prob, args.learning_rate) == (1.0, 1e-5)
    assert (experiment.max_length, args.max_steps) == (128, 40)


def test_accumulation_follows_from_the_number_of_processes():
    assert accumulation_steps(2048, 8, 1) == 256
    assert accumulation_steps(2048, 16, 2) == 64
    with pytest.raises(UsageError, match=r"2048 .* 3 processes x 4"):
        accumulation_steps(2048, 3, 4)


@pytest.mark.parametrize(
    ("options", "more", "message"),
    [
        ({"entity_name_insertion_strategy": "middle"}, [], "middle.*left, right, replace, none"),
        ({"entity_name_insertion_prob": 1.1}, [], "1.1.*0 to 1"),
        ({"global_batch_size": 7}, [], "7 sequences does not divide by 1 process x 8"),
        ({}, ["--gradient_accumulation_steps", "4"], "gradient_accumulation_steps is not to be given"),
        ({}, ["--dataloader_num_workers", "2"], "dataloader_num_workers is not to be given"),
        ({}, ["--learning_rat", "1"], "learning_rat"),
        ({}, ["--learning_rate", "fast"], "learning_rate"),
        ({}, ["--max_steps", "-1"], "max_steps is -1"),
        ({}, ["--save_strategy", "no"], "save_strategy"),
        ({}, ["--eval_strategy", "steps"], "eval_strategy is not to be given"),
        ({}, ["--eval_on_start", "true"], "eval_on_start is not to be given"),
        ({}, ["--report_to", "bogus"], "report_to: bogus is not supported, only .*tensorboard"),
        ({}, ["--learning_rate", "nan"], "learning_rate is nan; expected a finite number of at least 0"),
        ({}, ["--weight_decay", "inf"], "weight_decay is inf"),
        ({}, ["--max_grad_norm", "-1"], "max_grad_norm is -1"),
        ({}, ["--save_total_limit", "-1"], "save_total_limit is -1"),
        ({}, ["--adam_beta1", "1.5"], "adam_beta1 is 1.5; expected at least 0 and less than 1"),
        ({}, ["--seed", "99999999999"], "seed is 99999999999"),
        ({}, ["--hub_token", "hf_secret"], "hub_token is not to be given"),
        ({}, ["--gradient_checkpointing", "true"], "gradient_checkpointing is not to be given"),
        ({}, ["--torch_compile_mode", "default"], "torch_compile_mode is not to be given"),
        ({}, ["--torch_compile_backend", "inductor"], "torch_compile_backend is not to be given"),
        ({}, ["--label_smoothing_factor", "0.1"], "label_smoothing_factor is not to be given"),
        ({"disable_entity_name_token_loss": "never"}, [], "loss.*: Truthy value expected: got never"),
        ({"max_length": 64.5}, [], "max_length.*: invalid int value: '64.5'"),
        ({"entity_name_insertion_prob": "half"}, [], "prob.*: invalid float value: 'half'"),
        ({"lora_rank": -1}, [], "lora_rank is -1"),
        ({"peak_tflops": float("nan")}, [], "peak_tflops is nan"),
    ],
)
def test_wrong_settings_are_named(tmp_path, options, more, message):
    with pytest.raises(UsageError, match=message):
        parse_tiny(tmp_path, *more, **options)


def test_a_missing_setting_is_named():
    with pytest.raises(UsageError, match="wikipedia_dataset_dir"):
        parse(CONFIGS / "tiny_cpu.yaml", {"model_name_or_path": "model"}, [])
    with pytest.raises(UsageError, match="--output_dir"):
        parse(CONFIGS / "tiny_cpu.yaml", PATHS, [])


@pytest.mark.parametrize("text", ["- a\n- list", "a: [", "max_length: {nested: 1}", "", "# all lines are comments\n"])
def test_a_file_that_is_no_configuration_is_named(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(InputError, match=r"bad\.yaml"):
        read_config(tmp_path / "bad.yaml")


@pytest.mark.parametrize("path", sorted((CONFIGS.parent / "accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_accelerate_understands_every_machine(path):
    from accelerate.commands.config.config_args import load_config_from_file

    machine = load_config_from_file(str(path))
    assert machine.num_processes == (16 if "multinode" in path.stem else 8 if "8gpu" in path.stem else 1)
    assert machine.use_cpu == (path.stem == "cpu")
    if path.stem.startswith("zero"):
        assert machine.deepspeed_config["zero_stage"] == int(path.stem[4])
        assert machine.deepspeed_config["offload_optimizer_device"] == "none"


@pytest.mark.parametrize("kind", ["MULTI_CPU", '"NO"', "NO"])
def test_a_machine_that_would_start_fewer_processes_than_it_asks_for_is_refused(tmp_path, kind):
    machine = tmp_path / "machine.yaml"
    machine.write_text(f"distributed_type: {kind}\nuse_cpu: true\nnum_processes: 2\n")
    with pytest.raises(InputError, match=r"machine\.yaml: asks for 2 processes, .*MULTI_GPU .*use_cpu: true"):
        processes_here(str(machine), read_machine(str(machine)))
    assert processes_here(str(machine), read_machine(str(machine)) | {"num_processes": 1}) == 1
    machine.write_text("distributed_type: MULTI_GPU\nuse_cpu: true\nnum_processes: 2\n")
    assert processes_here(str(machine), read_machine(str(machine))) == 2
