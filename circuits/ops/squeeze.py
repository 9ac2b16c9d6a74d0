"""Squeeze: axes of size 1 dropped."""

from __future__ import annotations

from .view import view

OPERATOR = view("Squeeze")
