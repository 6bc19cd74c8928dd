"""The effect of the method, shown on an invented world; docs/demonstration.md tells what came out."""
