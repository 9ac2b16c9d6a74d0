"""Reshape: the same elements in another shape."""

from __future__ import annotations

from .view import view

OPERATOR = view("Reshape")
