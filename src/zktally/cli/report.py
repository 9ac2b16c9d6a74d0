"""zktally report: judge receipts, and write the verdict as a page for people."""

from __future__ import annotations

from typing import Any

from ..verifier import cli
from .verify import add_backend, run


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "report",
        help="judge a receipt and write the verdict as a page",
        description="Judge a receipt, or the receipts of one run, as `zktally verify` does, and "
        "write the verdict as one HTML file that needs no network: what was run, what is promised "
        "and what is not, how much could be wrong, the outputs. A refused receipt gives no page, "
        "unless --even-refused.",
    )
    cli.add_verify_arguments(verb)
    verb.add_argument("-o", "--output", dest="report", required=True, help="HTML file to write")
    add_backend(verb)
    verb.set_defaults(run=run, format=cli.FORMAT)
