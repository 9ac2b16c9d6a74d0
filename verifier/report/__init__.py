"""A verdict as a page for people: one HTML file without scripts, fonts or addresses."""

from __future__ import annotations

from .page import Evidence, refusal, report

__all__ = ["Evidence", "refusal", "report"]
