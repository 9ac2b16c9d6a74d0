"""What a receipt brings along cannot steer the terminal of whoever inspects it."""

from __future__ import annotations

from dataclasses import replace

from support.receipts import Prover
from zktally.prover.receipt import encode_receipt
from zktally.verifier.describe import describe_receipt
from zktally.verifier.journal import Journal
from zktally.verifier.receipt import split_receipt


def test_control_characters_of_the_audience_are_escaped() -> None:
    sections = split_receipt(Prover("dense").commit().receipt())
    journal = replace(Journal.decode(sections.journal), audience="\x1b[2J\nOK run.receipt")
    data = encode_receipt(bytes(sections.program), journal.encode(), bytes(sections.proof))
    _, text = describe_receipt(data)
    assert "\x1b" not in text
    assert "\nOK" not in text


def test_a_training_run_is_told_as_it_is_claimed() -> None:
    prover = Prover("learner", steps=2, declared=True).commit()
    described, text = describe_receipt(prover.receipt())
    journal = prover.journal
    assert "run        step 0 to 1, start: declared, seed: derived" in text
    assert f"data set   {journal.dataset_root.hex()}" in text
    assert f"exports    {journal.exported_root.hex()}" in text
    assert 'data "x" [7, 2, 4], "label" [7, 1], of which a step reads 3 records' in text
    assert 'starts "w" drawn from [-400, 500], "momentum" -2' in text
    assert 'exports "w", "scale"' in text
    assert described["program"]["records_a_step"] == 3
    assert (described["first"], described["seed"], described["start"]) == (0, 1, 1)


def test_what_is_no_training_run_says_nothing_of_one() -> None:
    _, text = describe_receipt(Prover("dense").commit().receipt())
    for word in ("\nrun ", "\ndata ", "\nexports", "\nstarts"):
        assert word not in text
