"""The weights below adapters in 4 bits (QLoRA, arXiv 2305.14314), by bitsandbytes: 4-bit NormalFloats with their scales
in 8 bits, half a byte a weight. Each product takes them in the precision of the arithmetic.
"""

from typing import Any

import torch
from transformers.utils import is_bitsandbytes_available

from leia.base.errors import InputError
from leia.training.machine import Machine


def check_four_bits(machine: Machine) -> None:
    """Raise `InputError` where weights of 4 bits cannot be had or trained on."""
    if machine.sharding != "none":
        raise InputError(
            f"load_in_4bit: weights of 4 bits are not trained on under {machine.sharding}; "
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
