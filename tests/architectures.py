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

MIXED = SIZES | HEADS | {"num_experts_per_tok": 2}
LATENT = {"num_key_value_heads": 4, "kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8,
          "v_head_dim": 8, "n_shared_experts": 1, "first_k_dense_replace": 1, "n_group": 1,
          "topk_group": 1}  # fmt: skip
BY_TOKEN = {"num_hash_layers": 1, "q_lora_rank": 8, "o_lora_rank": 8, "o_groups": 2}
ALT_UP = {"laurel_rank": 4, "altup_num_inputs": 2, "num_kv_shared_layers": 0, "activation_sparsity_pattern": [0.0, 0.0],
          "intermediate_size": [48, 48], "layer_types": ["sliding_attention", "full_attention"]}  # fmt: skip
JAMBA = {"num_experts": 2, "mamba_d_state": 4, "mamba_dt_rank": 4, "attn_layer_period": 2, "attn_layer_offset": 1,
         "expert_layer_period": 2, "expert_layer_offset": 1}  # fmt: skip
MARIAN = {"d_model": 32, "decoder_layers": 2, "encoder_layers": 1, "decoder_attention_heads": 4, "decoder_ffn_dim": 48,
          "encoder_attention_heads": 4, "encoder_ffn_dim": 48, "is_decoder": True, "max_position_embeddings": 128,
          "decoder_start_token_id": 0}  # fmt: skip
FURTHER: dict[str, dict[str, Any]] = {
    "falcon new": FALCON | {"new_decoder_architecture": True, "num_kv_heads": 2},
    "gemma3n_text": SIZES | HEADS | {"sliding_window": 16, "hidden_size_per_layer_input": 8} | ALT_UP,
    "gemma4_text": SIZES | HEADS | {"sliding_window": 16, "hidden_size_per_layer_input": 8, "global_head_dim": 8},
    "gpt_oss": MIXED | {"num_local_experts": 4, "sliding_window": 16, "rope_parameters": PLAIN},
    "deepseek_v3": SIZES | LATENT | {"n_routed_experts": 4, "moe_intermediate_size": 16, "num_experts_per_tok": 2},
    "deepseek_v4": MIXED | BY_TOKEN | {"n_routed_experts": 4, "moe_intermediate_size": 16},
    "jamba": MIXED | JAMBA,
    "rwkv": {"hidden_size": 32, "attention_hidden_size": 32, "num_hidden_layers": 2},
    "moshi": SIZES | {"ffn_dim": 96},
    "marian": MARIAN,
    "bert": SIZES | {"is_decoder": True},
    "recurrent_gemma": SIZES | {"num_hidden_layers": 3, "lru_width": 32, "attention_window_size": 16},
    "gpt_neo": {"hidden_size": 32, "num_layers": 2, "num_heads": 4, "attention_types": [[["global", "local"], 1]]},
    "codegen": {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4},
    "starcoder2": SIZES | {"num_key_value_heads": 2},
    "cohere2": SIZES | {"sliding_window": 16},
    "glm4": SIZES | HEADS,
    "exaone4": SIZES | HEADS | {"sliding_window": 16},
    "smollm3": SIZES,
    "lfm2": SIZES | {"num_key_value_heads": 4},
    "olmoe": MIXED | {"num_experts": 4},
    "nemotron": SIZES | {"num_key_value_heads": 4},
    "persimmon": SIZES,
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 2, "attention_heads": 4},
    "granitemoe": MIXED | {"num_local_experts": 4},
}
"""Kinds that an older transformers may lack, or that have something in a way of their own: tables by layer (Gemma 3n
and 4), experts by token (DeepSeek V4), products changed in place (GPT-OSS), one row more than tokens (Moshi), a second
length of the vocabulary (Marian), weights that kernels read (Jamba)."""


def make(kind: str, vocabulary: int, **more: Any) -> PreTrainedModel:
    """A model with random weights, in 32 bits and without dropout; 0 is BOS, 1 EOS and padding."""
    ids = {"bos_token_id": 0, "eos_token_id": 1}
    kind, settings = kind.partition(" ")[0], (MODELS | FURTHER)[kind]
    if "hidden_size_per_layer_input" in settings:
        ids["vocab_size_per_layer_input"] = vocabulary
    config = AutoConfig.for_model(kind, **{"vocab_size": vocabulary, "initializer_range": 0.3} | ids | settings | more)
    if getattr(config, "pad_token_id", None) is not None:
        config.pad_token_id = 1
    return AutoModelForCausalLM.from_config(config).float().eval()
