"""From a model to the paper's tables.

`model` scores (the harness model), on `shared_context`; `jobs` finds the tasks and their data, `run` takes a model
through them and writes `results`; `statistics` and `tables` make the paper's tables from them, `rendering` writes
these, `figures` draws the picture, and `plan` says which commands are still missing.
"""
