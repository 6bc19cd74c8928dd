#!/usr/bin/env bash
# Check and measure this machine's GPU, in less than five minutes; on a CPU the same in a small form.
#
#   bash benchmarks/gpu_check.sh > gpu_check.md
#
# First correctness (tests/training/test_gpu.py), then tokens/s and MFU of training, setting after setting, then
# evaluation. Prints Markdown; progress goes to standard error. What is not installed is named and passed over.
set -uo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/.." || exit
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
failed=0

section() { # TITLE, SECONDS at most, COMMAND...
  local title=$1 seconds=$2 start=$SECONDS
  shift 2
  printf '\n## %s\n\n' "$title"
  timeout --signal INT --kill-after 20 "$seconds" "$@" || { failed=1; printf '\nfailed, exit code %s\n' "$?"; }
  echo "$title: $((SECONDS - start)) s" >&2
}

python3 - <<'PYTHON'
from datetime import date
from importlib.metadata import PackageNotFoundError, version

import torch

gpu = torch.cuda.is_available()
memory = f", {torch.cuda.mem_get_info()[1] / 2**30:.0f} GiB" if gpu else ""
print(f"# {torch.cuda.get_device_name() if gpu else 'CPU (small form)'}{memory}, {date.today()}\n")
for name in ("torch", "transformers", "accelerate", "flash-attn", "deepspeed", "torchao", "peft", "lm-eval"):
    try:
        print(f"- {name} {version(name)}")
    except PackageNotFoundError:
        print(f"- {name}: not installed, passed over")
PYTHON

gib="$(python3 -c 'import torch; print(torch.cuda.mem_get_info()[1] >> 30 if torch.cuda.is_available() else 0)')"
evaluate=(python3 scripts/benchmark.py evaluation)
if ((gib > 0)); then
  shape=(--shape llama2_7b)
  sequences=24
  evaluate+=(--items_per_language 8)
  if ((gib < 130)); then # the states of all 32 layers do not fit; the time of a layer is the same
    shape+=(--num_layers 12)
  fi
else
  shape=(--shape tiny --max_length 64 --micro_batch_size 2)
  sequences=4
  evaluate+=(--shape tiny --items_per_language 1 --rounds 1)
fi
train=(python3 scripts/benchmark.py training "${shape[@]}")

section "Correctness" 120 python3 -m pytest -q -p no:cacheprovider -n 0 -rs tests/training/test_gpu.py
section "Training" 200 "${train[@]}" --sequences "$sequences"
section "Training with adapters, within 24 GB" 60 "${train[@]}" --sequences 4 --lora --memory_gb 24
if python3 -c "import lm_eval" 2> /dev/null; then
  section "Evaluation" 90 "${evaluate[@]}"
fi
exit "$failed"
