"""What `scripts/benchmark.py` measures; each module is one of its subcommands."""
