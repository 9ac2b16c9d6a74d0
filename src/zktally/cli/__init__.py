"""The command line: `zktally compile | prove | verify | inspect | check-model | bench`."""

from .main import main

__all__ = ["main"]
