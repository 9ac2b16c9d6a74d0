"""From a float model to the model of one training step: forward, loss, backward, optimiser."""
