"""Tiny models of many architectures: the settings of each, by the name that its config gives it."""

from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
HEADS = {"num_key_value_heads": 2, "head_dim": 8}
FALCON = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
OPT = {"hidden_size": 32, "ffn_dim": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
STATES = {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4}
PLAIN = {"rope_type": "default", "rope_theta": 30000.0}
LLAMA3 = {"rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 16}  # fmt: skip
YARN = {"rope_type": "yarn", "rope_theta": 2e4, "factor": 4.0, "original_max_position_embeddings": 16}
TWO = {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 7e5}, "sliding_attention": PLAIN}
MODELS: dict[str, dict[str, Any]] = {
    "llama": SIZES | {"rope_parameters": PLAIN},
    "llama tied": SIZES | {"tie_word_embeddings": True, "rope_parameters": PLAIN},
    "llama 3": SIZES | {"rope_parameters": LLAMA3},
    "mistral": SIZES | HEADS | {"sliding_window": 16, "rope_parameters": YARN},
    "mixtral": SIZES | {"num_key_value_heads": 2, "num_local_experts": 4, "rope_parameters": PLAIN},
    "qwen2": SIZES | {"num_key_value_heads": 2, "rope_parameters": PLAIN},
    "qwen3": SIZES | HEADS | {"rope_parameters": PLAIN},
    "gemma": SIZES | HEADS,
    "gemma2": SIZES | HEADS | {"sliding_window": 16, "rope_parameters": PLAIN},
    "gemma3_text": SIZES | HEADS | {"num_hidden_layers": 6, "sliding_window": 16, "rope_parameters": TWO},
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "gpt_neox": SIZES | {"rope_parameters": PLAIN | {"partial_rotary_factor": 0.5}},
    "phi": SIZES | {"rope_parameters": PLAIN | {"partial_rotary_factor": 0.25}},
    "stablelm": SIZES | {"num_key_value_heads": 4, "rope_parameters": PLAIN | {"partial_rotary_factor": 0.5}},
    "falcon": FALCON | {"rope_parameters": PLAIN},
    "falcon alibi": FALCON | {"alibi": True},
    "olmo2": SIZES | {"rope_parameters": PLAIN},
    "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 4},
    "opt": OPT | {"word_embed_proj_dim": 32},
    "opt projected": OPT | {"word_embed_proj_dim": 16},
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4},
    "cohere": SIZES,
    "granite": SIZES,
    "phi3": SIZES,
    "qwen3_moe": SIZES | HEADS | {"num_experts": 4, "moe_intermediate_size": 16, "num_experts_per_tok": 2},
    "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_head": 4},
    "mamba2": {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "state_size": 4,
        "num_heads": 4,
        "head_dim": 16,
        "n_groups": 1,
    },
    "mamba": {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
}


def make(kind: str, vocabulary: int, **more: Any) -> PreTrainedModel:
    """A model with random weights, in 32 bits and without dropout; 0 is BOS, 1 EOS and padding."""
    ids = {"bos_token_id": 0, "eos_token_id": 1}
    kind, settings = kind.partition(" ")[0], MODELS[kind]
    config = AutoConfig.for_model(kind, **{"vocab_size": vocabulary, "initializer_range": 0.3} | ids | settings | more)
    if getattr(config, "pad_token_id", None) is not None:
        config.pad_token_id = 1
    return AutoModelForCausalLM.from_config(config).float().eval()
