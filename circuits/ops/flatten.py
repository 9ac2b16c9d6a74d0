"""Flatten: all axes before `axis` merged, all from it on merged."""

from __future__ import annotations

from .view import view

OPERATOR = view("Flatten")
