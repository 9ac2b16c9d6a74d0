"""Programs: their words, bytes, validity, bounds and weights (docs/protocol.md 1 to 3)."""
