"""A small convolutional classifier for 8x8 handwritten digits, with its data and training."""
