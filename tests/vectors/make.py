"""Write the golden receipts of format version 1 and `vectors.json`; see README.md.

    python tests/vectors/make.py

Everything is fixed: programs come from the `.program` files, arrays and keys from formulas. So the
same bytes come out, unless the format, the protocol or the prover has changed.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from zktally import _core
from zktally.circuits.reference import DTYPES
from zktally.native import verify
from zktally.prover import Claims, FastRun
from zktally.verifier.journal import Journal, model_id
from zktally.verifier.policy import Expectations, Policy
from zktally.verifier.program.checked import Checked, load
from zktally.verifier.program.codec import program_id
from zktally.verifier.program.types import Role, Tensor
from zktally.verifier.receipt import encode_receipt, split_receipt
from zktally.verifier.sampling import sample_seed

FOLDER = Path(__file__).parent
ACCEPTED = "accepted"
RUN_KEY = struct.pack("<8I", *range(1, 9))
PRF_SEED = struct.pack("<8I", *range(11, 19))
PUBLIC_KEY = bytes(32)
SEED = 32
ROOT = 32

AVERAGE = Claims(inputs="checkable")
GOLDEN = {
    "dense": (2, 3, Claims(inputs="public", audience="the auditor", nonce=b"\x01\x02")),
    "average": (3, 3, AVERAGE),
    "kinds": (2, 4, Claims(delta=0.04, delta_step=0.5, inputs="private")),
}
"""Steps, items and claims of each golden receipt."""


@dataclass(frozen=True)
class Golden:
    """A golden receipt: the run behind it, its bytes, and what a caller of it expects."""

    run: FastRun
    model: _core.Model
    checked: Checked
    receipt: bytes
    expect: dict[str, Any]

    @property
    def journal(self) -> Journal:
        return Journal.decode(split_receipt(self.receipt).journal)

    def restated(self, **fields: object) -> bytes:
        """Another statement over the same openings: in these receipts, every gate is opened."""
        return self.joined(journal=replace(self.journal, **fields).encode())

    def joined(self, **sections: bytes) -> bytes:
        """The receipt with sections exchanged; its openings claim to answer the statement."""
        parts = {name: bytes(part) for name, part in vars(split_receipt(self.receipt)).items()}
        parts |= sections
        parts["proof"] = sample_seed(parts["journal"]) + parts["proof"][SEED:]
        return encode_receipt(**parts)


def array(tensor: Tensor, salt: int) -> np.ndarray:
    """Values all over the declared range, by a formula."""
    i = np.arange(tensor.size, dtype=np.int64) + salt
    values = tensor.lo + (i * i * 7919 + i * 104729 + salt) % (tensor.hi - tensor.lo + 1)
    return values.astype(DTYPES[tensor.width]).reshape(tensor.shape)


def arrays(checked: Checked, role: Role, salt: int) -> list[np.ndarray]:
    """One array per tensor of a role."""
    numbers = checked.program.of_role(role)
    return [array(checked.program.tensors[t], 31 * salt + t) for t in numbers]


def start(name: str) -> tuple[_core.Model, Checked, FastRun]:
    """The model of a golden receipt, and a run of no steps yet."""
    checked = load((FOLDER / f"{name}.program").read_bytes())
    model = _core.Model(checked.data, arrays(checked, Role.WEIGHT, 1), PUBLIC_KEY)
    state = arrays(checked, Role.STATE, 2)
    return model, checked, FastRun(model, checked, state, run_key=RUN_KEY, prf_seed=PRF_SEED)


def golden(name: str) -> Golden:
    """Execute and prove."""
    steps, items, claims = GOLDEN[name]
    model, checked, run = start(name)
    for step in range(steps):
        run.execute(arrays(checked, Role.INPUT, 3 + step))
    expect = {
        "model_id": bytes(model.model_id).hex(),
        "max_delta": claims.delta,
        "max_delta_step": claims.delta_step,
        "min_bits": claims.bits,
        "outputs_exact": True,
        "audience": claims.audience,
        "nonce": None if claims.nonce is None else claims.nonce.hex(),
        "initial_state": None,
        "input_root": None,
    }
    return Golden(run, model, checked, run.prove(claims, items), expect)


def wrong_gate(name: str) -> bytes:
    """The last value of the last step is another; everything is committed as it is."""
    steps, items, claims = GOLDEN[name]
    honest = golden(name).run
    _, checked, run = start(name)
    values = checked.program.of_role(Role.VALUE)
    for step in range(steps):
        traced = [honest.values(step, t) for t in values]
        if step == steps - 1:
            traced[-1] = traced[-1] ^ 1
        run.push([honest.values(step, t) for t in checked.program.of_role(Role.INPUT)], traced)
    return run.prove(claims, items)


def flip(data: bytes, at: int) -> bytes:
    """One bit flipped."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def over_p(digest: bytes) -> bytes:
    """The same digest, its first element written as itself plus p."""
    return struct.pack("<I", int.from_bytes(digest[:4], "little") + 2**31 - 2**24 + 1) + digest[4:]


def refused() -> list[tuple[str, str, bytes, dict[str, Any]]]:
    """Name, code, receipt and expectations of every vector that is refused."""
    dense, average, kinds = (golden(name) for name in GOLDEN)
    journal = bytes(split_receipt(dense.receipt).journal)
    no_program = b"ZKTPROG\x01"
    other = flip(bytes(32), 0)
    named = model_id(program_id(no_program), dense.journal.weights_root).hex()
    empty = replace(dense.journal, program_id=program_id(no_program)).encode()

    def proof(of: Golden, at: int) -> bytes:
        return of.joined(proof=flip(bytes(split_receipt(of.receipt).proof), at))

    def root(of: Golden, tree: int) -> bytes:
        return proof(of, SEED + tree * ROOT)

    rows = [
        ("empty", "receipt.truncated", dense, b"", {}),
        ("bad-magic", "receipt.bad-magic", dense, flip(dense.receipt, 0), {}),
        ("version-0", "receipt.unsupported-version", dense, flip(dense.receipt, 7), {}),
        ("cut-short", "receipt.truncated", dense, dense.receipt[:-1], {}),
        ("one-byte-more", "receipt.trailing-bytes", dense, dense.receipt + b"\0", {}),
        ("mode-2", "receipt.unsupported-mode", dense, dense.restated(mode=2), {}),
        ("root-plus-p", "receipt.non-canonical", dense,
         dense.restated(chain_root=over_p(dense.journal.chain_root)), {}),
        ("journal-byte-more", "receipt.trailing-bytes", dense,
         dense.joined(journal=journal + b"\0"), {}),
        ("other-program", "verify.program-mismatch", dense,
         dense.joined(program=average.checked.data), {}),
        ("other-model", "verify.model-mismatch", average, dense.receipt, {}),
        ("program-cut-short", "program.malformed", dense,
         dense.joined(program=no_program, journal=empty), {"model_id": named}),
        ("too-many-items", "receipt.non-canonical", dense, dense.restated(items=5), {}),
        ("stricter-bits", "policy.bits", dense, dense.receipt, {"min_bits": 129}),
        ("stricter-delta", "policy.delta", dense, dense.receipt, {"max_delta": 0.049999}),
        ("stricter-delta-step", "policy.delta-step", average, average.receipt,
         {"max_delta_step": 0.5}),
        ("other-audience", "verify.audience-mismatch", dense, dense.receipt, {"audience": "me"}),
        ("other-nonce", "verify.nonce-mismatch", dense, dense.receipt, {"nonce": "0103"}),
        ("other-initial-state", "verify.state-mismatch", average, average.receipt,
         {"initial_state": other.hex()}),
        ("other-input-root", "verify.input-mismatch", dense, dense.receipt,
         {"input_root": other.hex()}),
        ("too-many-samples", "verify.too-large", dense, dense.restated(delta_ppm=1), {}),
        ("stale-openings", "verify.journal-mismatch", dense,
         flip(dense.receipt, 8 + 3 * 4 + len(dense.checked.data) + len(journal)), {}),
        ("weights-root", "verify.weights-root", dense, root(dense, 0), {}),
        ("initial-state", "verify.initial-state", average, root(average, 0), {}),
        ("input-root", "verify.input-root", dense, root(dense, 3), {}),
        ("final-state", "verify.final-state", average, root(average, 8), {}),
        ("chain-root", "verify.chain-root", dense, root(dense, 4), {}),
        ("prf-seed", "verify.prf-seed", kinds,
         kinds.restated(prf_seed=flip(kinds.journal.prf_seed, 0)), {}),
        ("published-input", "verify.input-mismatch", dense,
         dense.restated(inputs=flip(dense.journal.inputs or b"", 0)), {}),
        ("opened-salt", "verify.opening", kinds, proof(kinds, -1), {}),
        ("opened-weight", "verify.opening", dense, root(dense, 7), {}),
        ("wrong-gate", "verify.gate", kinds, wrong_gate("kinds"), {}),
        ("wrong-output", "verify.outputs", kinds,
         kinds.restated(outputs=flip(kinds.journal.outputs, 0)), {}),
    ]  # fmt: skip
    return [(name, code, data, {**of.expect, **changes}) for name, code, of, data, changes in rows]


def expectations(expect: dict[str, Any]) -> Expectations:
    """From the JSON of a vector."""
    names = ("max_delta", "max_delta_step", "min_bits", "outputs_exact")
    nonce = expect["nonce"]
    return Expectations.of(
        model_id=expect["model_id"],
        policy=Policy(**{name: expect[name] for name in names}),
        audience=expect["audience"],
        nonce=None if nonce is None else bytes.fromhex(nonce),
        initial_state=expect["initial_state"],
        input_root=expect["input_root"],
    )


def build() -> dict[str, bytes]:
    """All files that belong here, by name."""
    files: dict[str, bytes] = {}
    vectors = []
    for name in GOLDEN:
        made = golden(name)
        facts, outputs = verify(made.receipt, expectations(made.expect))
        files[f"{name}.receipt"] = made.receipt
        vectors.append({
            "name": name,
            "receipt": f"{name}.receipt",
            "expect": made.expect,
            "verdict": ACCEPTED,
            "facts": facts,
            "outputs": {port: values.tolist() for port, values in outputs.items()},
        })  # fmt: skip
    by_bytes = {data: name for name, data in files.items()}
    for name, code, data, expect in refused():
        file = by_bytes.setdefault(data, f"refused-{name}.receipt")
        files[file] = data
        vectors.append({"name": name, "receipt": file, "expect": expect, "verdict": code})
    listed = {"format": "zktally.vectors/1", "receipt_version": 1, "vectors": vectors}
    files["vectors.json"] = (json.dumps(listed, indent=1) + "\n").encode()
    return files


if __name__ == "__main__":
    for file, data in build().items():
        (FOLDER / file).write_bytes(data)
        print(f"{len(data):8,} {file}")
