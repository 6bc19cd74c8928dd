"""A small Llama from scratch and its tokenizer, for tries of the pipeline where no real model is at hand.

It shows that the steps work; it says nothing about quality.
"""

import json
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from leia.base.errors import UsageError
from leia.base.outputs import new_folder
from leia.training.launch import without_gpu

SPECIAL_TOKENS = ("<unk>", "<s>", "</s>")
MODEL_FILES = ("config.json", "generation_config.json", "model*.safetensors*", "tokenizer*.json", "*.jinja")


def make_tiny_model(
    texts: Sequence[str],
    output_dir: str | Path,
    vocabulary_size: int,
    seed: int,
    hidden_size: int = 128,
    num_layers: int = 2,
    num_heads: int = 4,
    tie_embeddings: bool = False,
) -> int:
    """Train a tokenizer on `texts`, draw a Llama for it, save both; return the number of parameters.

    `tie_embeddings`: one matrix for the tokens read and those foreseen. Raises `UsageError` for a width that the heads
    cannot share out.
    """
    if hidden_size % (2 * num_heads):
        raise UsageError(
            f"--hidden_size is {hidden_size}; expected a multiple of {2 * num_heads}, twice the number of heads"
        )
    with new_folder(output_dir, replaceable=MODEL_FILES) as folder:
        tokenizer = train_tokenizer(texts, vocabulary_size)
        torch.manual_seed(seed)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=hidden_size,
                intermediate_size=hidden_size * 11 // 4,
                num_hidden_layers=num_layers,
                num_attention_heads=num_heads,
                tie_word_embeddings=tie_embeddings,
                max_position_embeddings=2048,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
        disable_progress_bar()
        without_gpu()
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    return model.num_parameters()


def train_tokenizer(texts: Sequence[str], vocabulary_size: int) -> PreTrainedTokenizerFast:
    """A BPE tokenizer of Llama's kind with at most `vocabulary_size` tokens: words begin with `▁`, a character that
    is rare in `texts` becomes its UTF-8 bytes, BOS is put in front."""
    byte_tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    learnt_size = vocabulary_size - len(byte_tokens)
    counts = Counter(chain.from_iterable(texts))
    # Of characters that are equally frequent the trainer would keep any; the order of code points decides here.
    alphabet = ["▁", *sorted(counts, key=lambda letter: (-counts[letter], letter))[: learnt_size // 2]]
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    # Punctuation apart, as a vocabulary learnt from more text has it: else "Asia," is one token and no link ends in it.
    metaspace = pre_tokenizers.Metaspace(prepend_scheme="first")
    backend.pre_tokenizer = pre_tokenizers.Sequence([metaspace, pre_tokenizers.Punctuation()])
    backend.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=learnt_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=alphabet,
            limit_alphabet=len(alphabet),
            show_progress=False,
        ),
    )
    # The bytes take the ids after the special tokens, as in Llama's vocabulary; special ones would match in texts.
    learnt = json.loads(backend.to_str())["model"]
    tokens = sorted(learnt["vocab"], key=learnt["vocab"].get)[len(SPECIAL_TOKENS) :]
    vocabulary = {token: index for index, token in enumerate([*SPECIAL_TOKENS, *byte_tokens, *tokens])}
    merges = [tuple(merge) for merge in learnt["merges"]]
    backend.model = models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", vocabulary["<s>"])])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )
