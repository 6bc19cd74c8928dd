#!/usr/bin/env bash
# Lint and all tests, in an environment that it sets up itself. Further arguments go to pytest.
#
#   bash scripts/run_tests.sh               the short form, as CI runs it
#   bash scripts/run_tests.sh -k corpus     what pytest understands
#   bash scripts/run_tests.sh --thorough    the long form (more cases, more kills, slow settings)
set -euo pipefail
if [[ "${1:-}" == --help || "${1:-}" == -h ]]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 0
fi
# shellcheck source=scripts/set_up.sh
source "$(dirname "${BASH_SOURCE[0]}")/set_up.sh"

ruff check .
ruff format --check .
if command -v shellcheck >/dev/null; then
    shellcheck -x .ci/run ./*.sh scripts/*.sh
else
    echo "shellcheck is not installed: the shell files are not checked"
fi
python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
