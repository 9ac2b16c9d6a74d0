"""Unsqueeze: axes of size 1 added."""

from __future__ import annotations

from .view import view

OPERATOR = view("Unsqueeze")
