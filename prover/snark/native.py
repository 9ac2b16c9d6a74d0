"""The check of a SNARK receipt by ezkl itself, from the key in the receipt and nothing else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...verifier.errors import InvalidProof, UnsupportedReceipt
from ...verifier.snark.curve import GENERATOR, Point, Q
from ...verifier.snark.key import Key
from ..errors import ProveError
from .child import FILES
from .process import can_watch, run, version

SECONDS = 600
"""The longest that a check may take."""
MEMORY = 8 << 30
"""The most that it may hold, in bytes: settings in a hostile key can ask ezkl for any amount."""

_SHIFT = pow(2, 256, Q)


def check(key: Key, instances: Sequence[int], proof: bytes) -> None:
    """Check a proof with ezkl, in a process of its own.

    Raises:
        InvalidProof: `verify.snark`, ezkl refuses it, or panics at it.
        UnsupportedReceipt: `snark.no-checker`, there is no ezkl of the key's release, or it did
            not come to an end.
    """
    _judge_release(key)
    with tempfile.TemporaryDirectory(prefix="zktally-") as name:
        folder = Path(name)
        (folder / FILES["settings"]).write_bytes(key.settings)
        (folder / FILES["vk"]).write_bytes(as_ezkl(key))
        (folder / FILES["srs"]).write_bytes(short_string(key))
        (folder / FILES["proof"]).write_text(json.dumps(_snark(instances, proof)))
        limit = MEMORY if can_watch() else None
        job = {"phases": ["verify"], "reduced": True}
        found = run(job, folder, memory_limit=limit, time_limit=SECONDS)
    if found.how == "failed" and found.refused:
        raise InvalidProof(
            "the SNARK does not hold: ezkl refuses it",
            code="verify.snark",
            received=found.why[:300],
        )
    if found.how != "done":
        raise UnsupportedReceipt(
            "ezkl did not come to a verdict", code="snark.no-checker", received=found.why[:300]
        )


def _judge_release(key: Key) -> None:
    try:
        held = version()
    except ProveError as error:
        raise UnsupportedReceipt(
            "ezkl is not installed, which checks SNARK receipts for this backend",
            code="snark.no-checker",
            expected=f"ezkl {key.version}",
            hint=f"pip install ezkl=={key.version}; or --backend python, with py_ecc",
        ) from error
    if held != key.version:
        raise UnsupportedReceipt(
            "the receipt is of another release of ezkl, whose circuits are others",
            code="snark.no-checker",
            expected=f"ezkl {key.version}",
            received=f"ezkl {held}",
            hint="--backend python, with py_ecc, does not depend on the release",
        )


def as_ezkl(key: Key) -> bytes:
    """The key as ezkl's file has it: a header, points, the bits of selectors."""
    points = b"".join(map(_raw, (*key.circuit.fixed, *key.circuit.sigma)))
    return key.header + points + b"".join(map(_bits, key.selectors))


def short_string(key: Key) -> bytes:
    """A string of two rows: to check an opening takes the generator and τ·G₂."""
    x1, x0, y1, y0 = (
        0x198E9393920D483A7260BFB731FB5D25F1AA493335A9E71297E485B7AEF312C2,
        0x1800DEEF121F1E76426A00665E5C4479674322D4F75EDADD46DEBD5CD992F6ED,
        0x090689D0585FF075EC9E99AD690C3395BC4B313370B38EF355ACDADCD122975B,
        0x12C85EA5DB8C6DEB4AAB71808DCB408FE3D1E7690C43D37B4CE6CC0166FA7DAA,
    )
    second = b"".join(map(_montgomery, (x0, x1, y0, y1)))
    tau = b"".join(map(_montgomery, key.circuit.tau))
    return (1).to_bytes(4, "little") + _raw(GENERATOR) * 4 + second + tau


def _snark(instances: Sequence[int], proof: bytes) -> dict[str, object]:
    return {
        "protocol": None,
        "instances": [[each.to_bytes(32, "little").hex() for each in instances]],
        "proof": list(proof),
        "hex_proof": f"0x{proof.hex()}",
        "split": None,
        "pretty_public_inputs": None,
        "timestamp": None,
        "version": None,
    }


def _montgomery(value: int) -> bytes:
    return (value * _SHIFT % Q).to_bytes(32, "little")


def _raw(point: Point) -> bytes:
    return bytes(64) if point is None else b"".join(map(_montgomery, point))


def from_raw(data: bytes) -> int:
    """A coordinate out of ezkl's files."""
    return int.from_bytes(data, "little") * pow(_SHIFT, -1, Q) % Q


def _bits(runs: Sequence[int]) -> bytes:
    """Bits of a selector, the first the lowest of its byte."""
    values = np.arange(len(runs), dtype=np.uint8) & 1
    return np.packbits(np.repeat(values, runs), bitorder="little").tobytes()
