"""SNARK receipts: one run of a model that was set up, proven by ezkl."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...verifier.errors import UsageError, VerificationFailed
from ...verifier.policy import Inputs
from ...verifier.snark.curve import R
from ...verifier.snark.judge import arranged, plainly
from ...verifier.snark.key import PARTS
from ...verifier.snark.receipt import SnarkReceipt, Statement, quantised
from ..errors import ProveError
from . import native
from .child import FILES
from .model import SnarkModel
from .process import run
from .setup import KEPT, judged

_I64 = 1 << 63


def prove_snark(
    model: SnarkModel,
    inputs: Inputs,
    *,
    audience: str | None = None,
    nonce: bytes | None = None,
    memory_limit: int | None = None,
    time_limit: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> bytes:
    """Run the model once and make a receipt.

    Args:
        model: that was set up.
        inputs: arrays by input name, or one array, of the shapes that were set up.
        audience: bind the receipt to a verifier, by a public value of the proof.
        nonce: bind it to a challenge, likewise.
        memory_limit: bytes of resident memory at which ezkl is stopped.
        time_limit: seconds after which it is.
        progress: called with the name of each phase as it begins.

    Raises:
        UsageError: the inputs are not the model's, or a label cannot be one.
        ProveError: `snark.unavailable`, `snark.ezkl`.
    """
    key = model.key
    arrays = arranged(key, inputs)
    blank = Statement(model_id=key.id, inputs=(), outputs=(), audience=audience, nonce=nonce)
    blank.judge_labels()
    with tempfile.TemporaryDirectory(prefix="zktally-") as name:
        folder = Path(name)
        for kept in KEPT:
            (folder / FILES[kept]).symlink_to((model.folder / FILES[kept]).resolve())

        def work(phases: list[str], label: list[int]) -> list[int]:
            """Run phases with this digest in the circuit; the whole numbers that come out."""
            data = [array.ravel().tolist() for _, array in arrays]
            (folder / FILES["input"]).write_text(json.dumps({"input_data": [*data, label]}))
            judged(
                run(
                    {"phases": phases},
                    folder,
                    memory_limit=memory_limit,
                    time_limit=time_limit,
                    progress=progress,
                )
            )
            told = json.loads((folder / FILES["witness"]).read_text())
            return [_signed(each) for port in told["outputs"] for each in port]

        found = work(["witness"], [0] * PARTS)
        published = [each for port, array in arrays for each in quantised(port, array).tolist()]
        statement = replace(
            blank,
            inputs=tuple(published) if key.public else (),
            outputs=tuple(found[:-PARTS]),
        )
        work(["witness", "prove"], statement.parts)
        made: dict[str, Any] = json.loads((folder / FILES["proof"]).read_text())
    _judge_instances(made, statement)
    receipt = SnarkReceipt(key, statement, bytes(made["proof"]))
    if progress is not None:
        progress("verify")
    try:
        native.check(key, statement.instances(), receipt.proof)
        # The constraints as data are another way to the same verdict; peers has what it takes.
        if find_spec("py_ecc") is not None:
            plainly(key, statement.instances(), receipt.proof)
    except VerificationFailed as error:
        raise ProveError(
            "what ezkl proved does not hold for the key of the set-up",
            code="snark.ezkl",
            received=error,
        ) from error
    return receipt.encode()


def _judge_instances(made: dict[str, Any], statement: Statement) -> None:
    """What ezkl proved is what the receipt will say."""
    shown = [int.from_bytes(bytes.fromhex(each), "little") for each in made["instances"][0]]
    if shown != statement.instances():
        raise ProveError(
            "ezkl proved other values than those of the statement",
            code="snark.ezkl",
            expected=str(statement.instances())[:200],
            received=str(shown)[:200],
        )


def _signed(felt: str) -> int:
    """The whole number that a field element stands for.

    Raises:
        UsageError: it is larger than a receipt holds.
    """
    value = int.from_bytes(bytes.fromhex(felt), "little")
    value = value - R if value > R // 2 else value
    if not -_I64 <= value < _I64:
        raise UsageError("an output is larger than 64 bits", received=value)
    return value
