"""From a model to scores, one line an item: `jobs` finds the tasks, `run_tasks` takes a model through them."""
