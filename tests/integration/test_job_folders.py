"""Job folders for the example `engine` of the core."""

from __future__ import annotations

from pathlib import Path

from zktally.bench.jobs import main
from zktally.prover.work import Work
from zktally.verifier.receipt import split_receipt


def test_a_folder_has_a_job_and_the_receipt_that_was_made_of_it(tmp_path: Path) -> None:
    main(str(tmp_path), "perceptron1k")
    folder = tmp_path / "perceptron1k"
    assert {path.name for path in folder.iterdir()} == {"job", "receipt"}
    job = Work(folder).job()
    receipt = split_receipt((folder / "receipt").read_bytes())
    assert (job.program, job.journal) == (bytes(receipt.program), bytes(receipt.journal))
