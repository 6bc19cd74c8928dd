"""From blocks to a model: arguments, the model with its two new tokens, the Trainer, checkpoints that are whole."""
