"""The command line: `zktally VERB`, one module a verb."""

from .main import main

__all__ = ["main"]
