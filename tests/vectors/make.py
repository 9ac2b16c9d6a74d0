"""Write the golden receipts of formats 3 and 4 and `vectors.json`; see README.md.

    python tests/vectors/make.py

Everything is fixed: programs come from the `.program` files, arrays and keys from formulas. So the
same bytes come out, unless the format, the protocol or the prover has changed. Only the proofs of
hybrid receipts are random: one that is there is kept if it is about the same statement.
"""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from zktally import _core
from zktally.native import verify
from zktally.prover import USUAL_DELTA, Claims, FastRun, Job, prove_job
from zktally.prover.receipt import encode_receipt
from zktally.verifier.errors import ZktallyError
from zktally.verifier.facts import Facts
from zktally.verifier.inputs import DTYPES
from zktally.verifier.journal import FAST, HYBRID, Journal, model_id
from zktally.verifier.policy import Expectations, Policy
from zktally.verifier.program.checked import Checked, load
from zktally.verifier.program.codec import program_id
from zktally.verifier.program.types import Role, Tensor
from zktally.verifier.receipt import split_receipt
from zktally.verifier.sampling import sample_seed
from zktally.verifier.shown import judge_shown

FOLDER = Path(__file__).parent
ACCEPTED = "accepted"
RUN_KEY = struct.pack("<8I", *range(1, 9))
PRF_SEED = struct.pack("<8I", *range(11, 19))
LATER_KEY = struct.pack("<8I", *range(21, 29))
DATA_KEY = struct.pack("<8I", *range(31, 39))
PUBLIC_KEY = bytes(32)
CHALLENGE = b"\x04\x05\x06"
MODE = 2
"""Offset of the mode in a journal."""

FIRST_STEP = 8 + 32 + 4
"""Offset of the number of the first step in a showing."""

SEED = 32
ROOT = 32

AVERAGE = Claims("fast", visibility="checkable")
GOLDEN = {
    "dense": (
        2, 3, Claims("fast", visibility="public", audience="the auditor", nonce=b"\x01\x02")
    ),
    "average": (3, 3, AVERAGE),
    "kinds": (2, 2, Claims("fast", delta=0.04, delta_step=0.5, visibility="private")),
    "trained": (3, 3, Claims("fast", visibility="public", nonce=CHALLENGE)),
    "trained-on": (2, 2, Claims("fast", visibility="checkable", nonce=CHALLENGE)),
    "hidden-dense": (3, 5, Claims("fast", visibility="checkable", outputs="hidden")),
    "hidden-average": (4, 4, replace(AVERAGE, outputs="hidden")),
}  # fmt: skip
"""Steps, items and claims of each golden receipt."""

PROVEN = {
    "hybrid-dense": ("dense", 0, replace(GOLDEN["dense"][2], mode="hybrid")),
    "hybrid-average": ("average", 1, Claims("hybrid", visibility="private")),
    "strict-dense": ("dense", 0, Claims("strict", visibility="private", nonce=b"\x03")),
    "hybrid-trained-on": ("trained-on", 1, replace(GOLDEN["trained-on"][2], mode="hybrid")),
    "foldable-dense": ("dense", 2, Claims("strict", visibility="private", nonce=b"\x05")),
    "hybrid-hidden-average": (
        "hidden-average",
        1,
        Claims("hybrid", visibility="private", outputs="hidden"),
    ),
}
"""Run, profile and claims of each golden receipt whose openings are proven."""

SHOWN = {
    "hidden-dense": ("hidden-dense", (0, 2)),
    "hidden-average": ("hidden-average", (1, 3)),
    "hybrid-hidden-average": ("hidden-average", (1, 3)),
}
"""Receipts whose outputs are shown: the run that has them, and the steps."""

EARLIER = ("version-1", "version-2", "hybrid-version-3")
"""Golden receipts of earlier formats, accepted then: refused by their version, not misread."""


@dataclass(frozen=True)
class Golden:
    """A golden receipt: the run behind it, its bytes, and what a caller of it expects."""

    run: FastRun | None
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
        parts["proof"] = answering(parts["journal"]) + parts["proof"][SEED:]
        return encode_receipt(**parts)


def array(tensor: Tensor, salt: int) -> np.ndarray:
    """Values all over the declared range, by a formula."""
    i = np.arange(tensor.size, dtype=np.int64) + salt
    values = tensor.lo + (i * i * 7919 + i * 104729 + salt) % (tensor.hi - tensor.lo + 1)
    return values.astype(DTYPES[tensor.width]).reshape(tensor.shape)


def arrays(checked: Checked, role: Role, salt: int) -> list[np.ndarray]:
    """One array per tensor of a role."""
    numbers = checked.program.of_role(role)
    tensors = [checked.program.tensors[t] for t in numbers]
    return [
        array(replace(tensor, shape=tensor.tree_shape), 31 * salt + t)
        for t, tensor in zip(numbers, tensors, strict=True)
    ]


def start(name: str) -> tuple[_core.Model, Checked, FastRun]:
    """The model of a golden receipt, and a run of no steps yet."""
    program = name.removeprefix("hidden-").removesuffix("-on")
    checked = load((FOLDER / f"{program}.program").read_bytes())
    model = _core.Model(checked.data, arrays(checked, Role.WEIGHT, 1), PUBLIC_KEY)
    if name.startswith("trained"):
        return model, checked, training(name, model, checked)
    state = arrays(checked, Role.STATE, 2)
    return model, checked, FastRun(model, checked, state, run_key=RUN_KEY, prf_seed=PRF_SEED)


def training(name: str, model: _core.Model, checked: Checked) -> FastRun:
    """A run on a data set: from what its program declares, or where another one has ended."""
    data = _core.Dataset(model, arrays(checked, Role.DATA, 9), DATA_KEY)
    if name == "trained":
        return FastRun(model, checked, None, run_key=RUN_KEY, nonce=CHALLENGE, data=data)
    state = executed("trained")[2].final_state()
    return FastRun(model, checked, state, run_key=LATER_KEY, nonce=CHALLENGE, data=data)


def data_root(model: _core.Model, checked: Checked) -> str | None:
    """The root of the data set that a program reads, in hexadecimal."""
    if not checked.program.data:
        return None
    return bytes(_core.Dataset(model, arrays(checked, Role.DATA, 9), DATA_KEY).root).hex()


def executed(name: str) -> tuple[_core.Model, Checked, FastRun]:
    """The run of a golden receipt."""
    model, checked, run = start(name)
    for step in range(GOLDEN[name][0]):
        run.execute(arrays(checked, Role.INPUT, 3 + step))
    return model, checked, run


def expected(model: _core.Model, checked: Checked, claims: Claims) -> dict[str, Any]:
    """What a caller expects who demands exactly what is claimed."""
    return {
        "model_id": bytes(model.model_id).hex(),
        "max_delta": USUAL_DELTA if claims.delta is None else claims.delta,
        "max_delta_step": claims.delta_step,
        "max_delta_op": None,
        "min_bits": 100,
        "outputs_exact": True,
        "audience": claims.audience,
        "nonce": None if claims.nonce is None else claims.nonce.hex(),
        "initial_state": None,
        "input_root": None,
        "dataset_root": data_root(model, checked),
    }


def golden(name: str) -> Golden:
    """Execute and prove."""
    _, items, claims = GOLDEN[name]
    model, checked, run = executed(name)
    expect = expected(model, checked, claims)
    return Golden(run, model, checked, run.prove(claims, items), expect)


def hybrid_job(name: str) -> tuple[_core.Model, Checked, Job]:
    """What a golden hybrid receipt is made from."""
    base, profile, claims = PROVEN[name]
    model, checked, run = executed(base)
    return model, checked, run.job(claims, GOLDEN[base][1], profile)


def before_the_proofs(receipt: bytes, job: Job) -> bool:
    """Whether a receipt is that of a job, up to its proofs: program, statement, head."""
    parts = split_receipt(receipt)
    head = hashlib.sha256(job.journal).digest() + bytes([job.profile])
    same = (bytes(parts.program), bytes(parts.journal)) == (job.program, job.journal)
    return same and bytes(parts.proof[: len(head)]) == head


@cache
def hybrid(name: str) -> Golden:
    """The hybrid receipt that is there, or a new one where there is no good one of that job."""
    model, checked, job = hybrid_job(name)
    expect = expected(model, checked, PROVEN[name][2])
    path = FOLDER / f"{name}.receipt"
    receipt = path.read_bytes() if path.exists() else b""
    if not is_good(receipt, job, expect):
        receipt = prove_job(job)
    return Golden(None, model, checked, receipt, expect)


def is_good(receipt: bytes, job: Job, expect: dict[str, Any]) -> bool:
    """Whether a receipt is about a job, and accepted."""
    try:
        same = before_the_proofs(receipt, job)
        verify(receipt, expectations(expect))
    except ZktallyError:
        return False
    return same


def showing(name: str) -> bytes:
    """The showing that goes with a golden receipt; one of a run serves all receipts of it."""
    base, steps = SHOWN[name]
    made = golden(base)
    held = made.run.held_outputs(made.journal.chain_root)
    return held.show(made.receipt, steps)


def refused_showings() -> list[tuple[str, str, str, bytes]]:
    """Name, code, receipt and showing of every showing that is refused."""
    dense, average = showing("hidden-dense"), showing("hidden-average")
    other_step = average[:FIRST_STEP] + b"\0" + average[FIRST_STEP + 1 :]
    twice = average[:FIRST_STEP] + b"\3" + average[FIRST_STEP + 1 :]
    return [
        ("shown-value", "shown.mismatch", "hidden-dense", flip(dense, -33)),
        ("shown-sibling", "shown.mismatch", "hidden-average", flip(average, -1)),
        ("shown-of-another", "shown.mismatch", "hidden-dense", average),
        ("shown-another-step", "shown.mismatch", "hybrid-hidden-average", other_step),
        ("shown-twice", "shown.malformed", "hidden-average", twice),
        ("shown-cut-short", "shown.malformed", "hidden-average", average[:-1]),
        ("shown-byte-more", "shown.malformed", "hidden-dense", dense + b"\0"),
        ("shown-version-2", "shown.malformed", "hidden-dense", dense[:7] + b"\2" + dense[8:]),
    ]


def judged_showing(receipt: bytes, data: bytes) -> tuple[list[int], dict[str, Any]]:
    """The steps that a showing shows of a receipt that was found good, and the outputs."""
    parts = split_receipt(receipt)
    program = load(bytes(parts.program)).program
    found = judge_shown(data, program, Journal.decode(parts.journal))
    return list(found.steps), {port: values.tolist() for port, values in found.outputs.items()}


def listed_showings(files: dict[str, bytes]) -> list[dict[str, Any]]:
    """What `vectors.json` says of showings, whose files are added."""
    vectors = []
    for name in SHOWN:
        data = files[f"{SHOWN[name][0]}.shown"] = showing(name)
        steps, outputs = judged_showing(files[f"{name}.receipt"], data)
        vectors.append({
            "name": f"{name}-shown",
            "receipt": f"{name}.receipt",
            "showing": f"{SHOWN[name][0]}.shown",
            "verdict": ACCEPTED,
            "steps": steps,
            "outputs": outputs,
        })  # fmt: skip
    by_bytes = {data: name for name, data in files.items()}
    for name, code, receipt, data in refused_showings():
        file = by_bytes.setdefault(data, f"refused-{name}.shown")
        files[file] = data
        vectors.append({
            "name": name, "receipt": f"{receipt}.receipt", "showing": file, "verdict": code,
        })  # fmt: skip
    return vectors


def answering(journal: bytes) -> bytes:
    """What a proof begins with that names this statement."""
    is_fast = journal[MODE] == FAST
    return sample_seed(journal) if is_fast else hashlib.sha256(journal).digest()


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


def chosen_start() -> bytes:
    """A run from a state of the prover's choice that claims to start as declared."""
    steps, items, claims = GOLDEN["trained"]
    model, checked, _ = start("trained")
    data = _core.Dataset(model, arrays(checked, Role.DATA, 9), DATA_KEY)
    state = arrays(checked, Role.STATE, 2)
    run = FastRun(
        model, checked, state, run_key=RUN_KEY, seed="derived", nonce=CHALLENGE, data=data
    )
    for step in range(steps):
        run.execute(arrays(checked, Role.INPUT, 3 + step))
    rooted = Golden(run, model, checked, run.prove(claims, items), {})
    return rooted.restated(start=1)


def flip(data: bytes, at: int) -> bytes:
    """One bit flipped."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def over_p(digest: bytes) -> bytes:
    """The same digest, its first element written as itself plus p."""
    return struct.pack("<I", int.from_bytes(digest[:4], "little") + 2**31 - 2**24 + 1) + digest[4:]


def refused_hybrids() -> list[tuple[str, str, Golden, bytes, dict[str, Any]]]:
    """The refused ones of hybrid receipts."""
    dense, average = hybrid("hybrid-dense"), hybrid("hybrid-average")
    fast, kinds = golden("dense"), golden("kinds")
    journal = replace(kinds.journal, mode=HYBRID).encode()
    uncovered = encode_receipt(
        kinds.checked.data, journal, answering(journal) + b"\0" + bytes(1 << 16)
    )
    called_hybrid = replace(fast.journal, mode=HYBRID).encode()
    parts = split_receipt(fast.receipt)
    called = encode_receipt(bytes(parts.program), called_hybrid, bytes(parts.proof))
    cut = bytes(split_receipt(dense.receipt).proof[: SEED + 1])
    outer = cut[:SEED] + b"\3" + cut[SEED + 1 :]
    return [
        ("hybrid-other-claims", "verify.stark", average, average.restated(bits=103), {}),
        ("hybrid-no-segments", "receipt.truncated", dense, dense.joined(proof=cut), {}),
        ("hybrid-profile-3", "receipt.non-canonical", dense, dense.joined(proof=outer), {}),
        ("hybrid-not-covered", "hybrid.unsupported", kinds, uncovered, {}),
        ("hybrid-of-openings", "verify.journal-mismatch", fast, called, {}),
        ("hybrid-stricter-bits", "policy.bits", dense, dense.receipt, {"min_bits": 101}),
    ]


def refused() -> list[tuple[str, str, bytes, dict[str, Any]]]:
    """Name, code, receipt and expectations of every vector that is refused."""
    dense, average, kinds, trained, later, hidden, _ = (golden(name) for name in GOLDEN)
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
        ("version-4", "receipt.unsupported-version", dense,
         dense.receipt[:7] + b"\4" + dense.receipt[8:], {}),
        *((name, "receipt.unsupported-version", dense, kept(name), {}) for name in EARLIER),
        ("cut-short", "receipt.truncated", dense, dense.receipt[:-1], {}),
        ("one-byte-more", "receipt.trailing-bytes", dense, dense.receipt + b"\0", {}),
        ("mode-3", "receipt.unsupported-mode", dense, dense.restated(mode=3), {}),
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
        ("hidden-in-part", "receipt.non-canonical", hidden, hidden.restated(outputs=b"\0"), {}),
        ("own-seed", "receipt.non-canonical", later, later.restated(seed=0), {}),
        ("no-data-set", "receipt.non-canonical", later,
         later.restated(dataset_root=bytes(32)), {}),
        ("declared-later", "receipt.non-canonical", later, later.restated(start=1), {}),
        ("beyond-the-last-step", "receipt.non-canonical", later,
         later.restated(first=2**30 - 1), {}),
        ("stricter-bits", "policy.bits", dense, dense.receipt, {"min_bits": 129}),
        ("stricter-delta", "policy.delta", dense, dense.receipt, {"max_delta": 0.049999}),
        ("stricter-delta-step", "policy.delta-step", average, average.receipt,
         {"max_delta_step": 0.5}),
        ("stricter-delta-op", "policy.delta-op", average, average.receipt,
         {"max_delta_op": 0.009999}),
        ("other-audience", "verify.audience-mismatch", dense, dense.receipt, {"audience": "me"}),
        ("other-nonce", "verify.nonce-mismatch", dense, dense.receipt, {"nonce": "0103"}),
        ("other-initial-state", "verify.state-mismatch", average, average.receipt,
         {"initial_state": other.hex()}),
        ("other-input-root", "verify.input-mismatch", dense, dense.receipt,
         {"input_root": other.hex()}),
        ("other-data-set", "verify.dataset-mismatch", trained, trained.receipt,
         {"dataset_root": other.hex()}),
        ("unnamed-data-set", "verify.dataset-mismatch", trained, trained.receipt,
         {"dataset_root": None}),
        ("data-set-of-none", "verify.dataset-mismatch", average, average.receipt,
         {"dataset_root": other.hex()}),
        ("too-many-samples", "verify.too-large", dense, dense.restated(delta_ppm=1), {}),
        ("stale-openings", "verify.journal-mismatch", dense,
         flip(dense.receipt, 8 + 3 * 4 + len(dense.checked.data) + len(journal)), {}),
        ("weights-root", "verify.weights-root", dense, root(dense, 0), {}),
        ("dataset-root", "verify.dataset-root", trained, root(trained, 1), {}),
        ("derived-seed", "verify.prf-seed", trained,
         trained.restated(prf_seed=flip(trained.journal.prf_seed, 0)), {}),
        ("start", "verify.start", trained, chosen_start(), {}),
        ("exported-root", "verify.exported-root", later,
         later.restated(exported_root=trained.journal.exported_root), {}),
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
        *refused_hybrids(),
    ]  # fmt: skip
    return [(name, code, data, {**of.expect, **changes}) for name, code, of, data, changes in rows]


def expectations(expect: dict[str, Any]) -> Expectations:
    """From the JSON of a vector."""
    names = ("max_delta", "max_delta_step", "max_delta_op", "min_bits", "outputs_exact")
    nonce = expect["nonce"]
    return Expectations.of(
        model_id=expect["model_id"],
        policy=Policy(**{name: expect[name] for name in names}),
        audience=expect["audience"],
        nonce=None if nonce is None else bytes.fromhex(nonce),
        initial_state=expect["initial_state"],
        input_root=expect["input_root"],
        dataset_root=expect["dataset_root"],
    )


def recorded(facts: Facts) -> dict[str, Any]:
    """The facts as vectors have them: flat, in the order of the names, λ by its Greek name."""
    flat = facts.flat()
    flat["lambda"] = flat.pop("bits")
    if facts.stark is None:
        del flat["profile"], flat["segments"], flat["stark_bits"]
    return json.loads(json.dumps(flat, sort_keys=True))


def kept(name: str) -> bytes:
    """The bytes of a receipt that this release does not make any more."""
    return (FOLDER / f"refused-{name}.receipt").read_bytes()


def build() -> dict[str, bytes]:
    """All files that belong here, by name."""
    files: dict[str, bytes] = {}
    vectors = []
    for name in (*GOLDEN, *PROVEN):
        made = golden(name) if name in GOLDEN else hybrid(name)
        facts, outputs = verify(made.receipt, expectations(made.expect))
        files[f"{name}.receipt"] = made.receipt
        vectors.append({
            "name": name,
            "receipt": f"{name}.receipt",
            "expect": made.expect,
            "verdict": ACCEPTED,
            "facts": recorded(facts),
            "outputs": {port: values.tolist() for port, values in outputs.items()},
        })  # fmt: skip
    by_bytes = {data: name for name, data in files.items()}
    for name, code, data, expect in refused():
        file = by_bytes.setdefault(data, f"refused-{name}.receipt")
        files[file] = data
        vectors.append({"name": name, "receipt": file, "expect": expect, "verdict": code})
    listed = {
        "format": "zktally.vectors/1",
        "receipt_version": 4,
        "vectors": vectors,
        "showings": listed_showings(files),
    }
    files["vectors.json"] = (json.dumps(listed, indent=1) + "\n").encode()
    return files


if __name__ == "__main__":
    for file, data in build().items():
        (FOLDER / file).write_bytes(data)
        print(f"{len(data):8,} {file}")
