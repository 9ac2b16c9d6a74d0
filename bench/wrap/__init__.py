"""A study: what a pairing SNARK around a STARK proof would take (docs/adr/0046-no-wrap-yet.md)."""
