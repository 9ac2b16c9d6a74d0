"""Execute, commit, prove: from a compiled model and inputs to the bytes of a receipt."""

from .claims import Claims, InputVisibility
from .run import FastRun

__all__ = ["Claims", "FastRun", "InputVisibility"]
