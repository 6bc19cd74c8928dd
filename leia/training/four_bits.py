"""The weights below adapters in 4 bits (QLoRA, arXiv 2305.14314), by bitsandbytes: 4-bit NormalFloats with their scales
in 8 bits, half a byte a weight. Each product takes them in the precision of the arithmetic.
"""

import os
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.utils import is_bitsandbytes_available

from leia.base.errors import InputError


def check_four_bits(args: TrainingArguments) -> None:
    """Raise `InputError` where weights of 4 bits cannot be had or trained on."""
    sharded = "FSDP" if args.fsdp or os.environ.get("ACCELERATE_USE_FSDP") == "true" else ""
    sharded = "DeepSpeed" if args.deepspeed_plugin is not None else sharded
    if sharded:
        raise InputError(
            f"load_in_4bit: weights of 4 bits are not trained on under {sharded}; "
            "ACCELERATE_CONFIG=configs/accelerate/single_gpu.yaml is for one GPU"
        )
    if not is_bitsandbytes_available():
        raise InputError("load_in_4bit: needs bitsandbytes; pip install bitsandbytes, or leave load_in_4bit out")


def in_four_bits(dtype: torch.dtype) -> Any:
    """How transformers is to load the linear layers, but for the output layer; `dtype`: of the arithmetic."""
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
    )
