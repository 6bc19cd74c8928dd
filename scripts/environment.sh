#!/usr/bin/env bash
# Sourced by train.sh and evaluate.sh: answers --help with the head of the file that sources this one, puts .venv and the
# project on the paths, and names the project's folder `here`.
if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[1]}"
  exit 0
fi
here="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)"
if [[ -d "$here/.venv/bin" ]]; then PATH="$here/.venv/bin:$PATH"; fi
export PYTHONPATH="$here${PYTHONPATH:+:$PYTHONPATH}"
if ! command -v accelerate >/dev/null; then
  echo "error: accelerate is not installed; pip install -r requirements.txt" >&2
  exit 2
fi
