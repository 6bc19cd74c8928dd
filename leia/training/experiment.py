"""What is trained, from what and how: the settings that are ours, not those of transformers."""

from dataclasses import dataclass

import click

from leia.base.cli import setting
from leia.base.errors import UsageError
from leia.training.sources import ListedSource, Source, read_sources

DTYPES = ("auto", "float32", "bfloat16", "float16")
RECOMPUTED = ("none", "selective", "full")
"""What backward computes again."""


@dataclass(frozen=True, kw_only=True)
class Experiment(Source):
    """The settings that transformers does not know. Each is an option of scripts/train.py. Those of a `Source` are of
    the one dataset, or of all `sources` that do not say otherwise."""

    model_name_or_path: str = setting(
        "Model", "The model to fine-tune, with its tokenizer: a folder or a name on the hub."
    )
    sources: str = setting("Data", "Several sources in place of one dataset: a YAML list (docs/experiments.md).", "")
    max_length: int = setting("Data", "Tokens of a sequence.", 2048)
    validation_articles: int = setting(
        "Evaluation", "Articles that training never reads; their loss is logged each --eval_steps (the save_steps).", 0
    )
    tasks: str = setting(
        "Evaluation", "Tasks of evaluate.py to score each --eval_steps, with commas between. Empty: none.", ""
    )
    num_fewshot_samples: str = setting("Evaluation", "Solved examples in front of an item, one number a task.", "")
    include_path: str = setting("Evaluation", "Folder of further tasks, as lm-eval's.", "")
    disable_entity_name_token_loss: bool = setting("Names", "Train without the loss on the inserted names.", False)
    separate_articles: bool = setting("Data", "Put EOS after each article (not in the paper).", False)
    separate_attention: bool = setting(
        "Data", "Let attention and positions begin anew at each article of a block (not in the paper).", False
    )
    separate_epochs: bool = setting(
        "Data", "Leave out the last tokens of an epoch, too few for a block, so that no block crosses epochs.", False
    )
    global_batch_size: int = setting("Data", "Sequences of one optimizer step, over all processes.", 2048)
    attn_implementation: str = setting(
        "Model", "auto: flash attention where it is installed and the GPU can, else sdpa.", "auto"
    )
    use_flash_attention_2: bool = setting("Model", "The same as --attn_implementation flash_attention_2.", False)
    trust_remote_code: bool = setting("Model", "Run code that comes with the model.", False)
    lora_rank: int = setting(
        "Model", "Train LoRA adapters of this rank instead of all weights (not in the paper). 0: off.", 0
    )
    save_dtype: str = setting(
        "Model", f"Precision of the finished model: {', '.join(DTYPES)}; auto is that of the base.", "auto"
    )
    load_in_4bit: bool = setting(
        "Model", "Keep the weights below the adapters in 4 bits while they train; needs lora_rank, bitsandbytes.", False
    )
    activation_checkpointing: str = setting(
        "Machine",
        "What backward computes again to save memory: none, selective (all but matrix products and attention), full.",
        "none",
    )
    torch_compile: bool = setting("Machine", "Compile the layers; it needs a C compiler.", False)
    fp8: bool = setting(
        "Machine",
        "Multiply in 8 bits, not in the paper; needs torchao and a GPU that can, best with compiling.",
        False,
    )
    offload_optimizer_device: str = setting(
        "Machine", "Where DeepSpeed keeps the optimizer's states: none or cpu. Empty: as its file says.", ""
    )
    peak_tflops: float = setting("Machine", "bf16 TFLOP/s of the GPU, for the MFU. 0: known GPUs only.", 0.0)
    keep_checkpoints: int | None = setting(
        "Machine",
        "Checkpoints that stay once the final model is there; not given: all that save_total_limit has left.",
        None,
        type=click.IntRange(0),
    )
    try_steps: int = setting(
        "Machine", "Only try so many steps, cut to 2 micro batches, for speed and memory; write nothing. 0: train.", 0
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if bool(self.wikipedia_dataset_dir) == bool(self.sources):
            what = "are both given" if self.sources else "are both missing"
            raise UsageError(
                f"wikipedia_dataset_dir (train.sh: WIKIPEDIA_DATASET_DIR) and sources {what}; give one of them, the "
                "folder of build_wikipedia_dataset.py or a list of sources"
            )
        self.listed_sources()
        for name in ("max_length", "global_batch_size"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 1")
        if self.activation_checkpointing not in RECOMPUTED:
            raise UsageError(
                f"activation_checkpointing is {self.activation_checkpointing}; expected one of {', '.join(RECOMPUTED)}"
            )
        if self.save_dtype not in DTYPES:
            raise UsageError(f"save_dtype is {self.save_dtype}; expected one of {', '.join(DTYPES)}")
        if self.load_in_4bit and not self.lora_rank:
            raise UsageError("load_in_4bit is for adapters, below which weights do not change; give lora_rank, 16 say")
        if self.fp8 and self.lora_rank:
            raise UsageError("fp8 is for training all weights; leave it or lora_rank out")
        if self.offload_optimizer_device not in ("", "none", "cpu"):
            raise UsageError(f"offload_optimizer_device is {self.offload_optimizer_device}; expected none or cpu")
        for name in ("validation_articles", "try_steps", "keep_checkpoints"):
            if (getattr(self, name) or 0) < 0:
                raise UsageError(f"{name} is {getattr(self, name)}; expected at least 0")

    def listed_sources(self) -> list[ListedSource]:
        """`sources`, or the one source without a name that the experiment is by itself."""
        return read_sources(self.sources, self)
