#!/usr/bin/env bash
# Sourced by quickstart.sh and run_tests.sh: makes .venv in the repository with the pinned packages and `leia` itself
# (some minutes and 2 GB the first time, more where torch comes with CUDA), and puts it first on the PATH. Does nothing
# when .venv is already what requirements.txt says. PYTHON names another interpreter than python3.

repository="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
cd "$repository" || exit 1

python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))'; then
    echo "error: $python is not Python 3.11 to 3.14; name one with PYTHON=/path/to/python3.11" >&2
    exit 1
fi

wanted="$(cat requirements.txt setup.py | sha256sum)"
is_installed() { [ "$(cat .venv/installed 2>/dev/null)" = "$wanted" ]; }
if ! is_installed; then
    exec 8<. # of two at once the second waits, and finds everything installed
    flock 8
fi
if ! is_installed; then
    echo "Installing the pinned packages into $repository/.venv ..."
    [ -x .venv/bin/python ] || "$python" -m venv --clear .venv
    .venv/bin/python -m pip install --quiet --requirement requirements.txt
    .venv/bin/python -m pip install --quiet --no-deps --editable .
    printf '%s\n' "$wanted" >.venv/installed # last, so that an installation that broke off is taken up again
fi
exec 8<&-
export PATH="$repository/.venv/bin:$PATH"
