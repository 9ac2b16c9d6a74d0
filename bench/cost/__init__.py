"""What receipts cost, for models of one's own: docs/bench.md."""
