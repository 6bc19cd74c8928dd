"""From a model to the paper's tables.

`model` scores (the harness model), on `shared_context`; `run` takes a model through tasks and writes `results`;
`statistics` and `tables` make the paper's tables from them, `figures` the picture, `plan` the commands still missing.
"""
