"""From scores to the paper's tables: which runs a table needs, what is still missing, intervals and tests, cells."""
