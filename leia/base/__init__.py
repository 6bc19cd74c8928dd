"""What all rooms stand on: one-line errors, command lines, outputs, steps, datasets, worker processes, text."""
