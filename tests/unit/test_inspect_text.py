"""What a receipt brings along cannot steer the terminal of whoever inspects it."""

from __future__ import annotations

from dataclasses import replace

from support.receipts import Prover
from zktally.cli.inspect import describe_receipt
from zktally.prover.receipt import encode_receipt
from zktally.verifier.journal import Journal
from zktally.verifier.receipt import split_receipt


def test_control_characters_of_the_audience_are_escaped() -> None:
    sections = split_receipt(Prover("dense").commit().receipt())
    journal = replace(Journal.decode(sections.journal), audience="\x1b[2J\nOK run.receipt")
    data = encode_receipt(bytes(sections.program), journal.encode(), bytes(sections.proof))
    _, text = describe_receipt(data)
    assert "\x1b" not in text
    assert "\nOK" not in text
