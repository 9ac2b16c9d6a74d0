"""Training runs: a model, a data set and a plan in; receipts and a trained model out."""
