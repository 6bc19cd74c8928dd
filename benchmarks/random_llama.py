"""A Llama with random weights, made on the device that measures it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

SHAPES = {  # hidden size, that of the MLP, layers, heads
    "llama2_7b": (4096, 11008, 32, 32),
    "small": (640, 1728, 12, 10),
    "tiny": (32, 64, 4, 2),
}
POSITIONS = 4096


def make_random_llama(
    shape: str,
    vocabulary_size: int,
    device: "torch.device",
    dtype: "torch.dtype",
    attn_implementation: str = "sdpa",
    num_layers: int | None = None,
) -> "PreTrainedModel":
    """`num_layers`: where they are not the shape's own."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig

    torch.manual_seed(0)
    hidden_size, intermediate_size, layers, heads = SHAPES[shape]
    config = LlamaConfig(
        vocab_size=vocabulary_size,
        hidden_size=hidden_size,
        intermediate_size=intermediate_size,
        num_hidden_layers=num_layers or layers,
        num_attention_heads=heads,
        max_position_embeddings=POSITIONS,
    )
    with device:
        return AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attn_implementation)
