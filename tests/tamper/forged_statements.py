"""Tamperings of the statement, each opened by the prover for what it says then."""

from __future__ import annotations

import struct
from dataclasses import replace

import numpy as np
from anatomy import dissect, join
from forger import committed, receipt_of, reopened, run, victim
from registry import tampering

from support.receipts import Prover, Tree
from zktally.verifier.journal import STRICT, ZERO_DIGEST
from zktally.verifier.policy import Policy
from zktally.verifier.program.types import Role

OTHER = struct.pack("<8I", *range(1, 9))

DIGESTS = {
    "program_id": "verify.program-mismatch",
    "weights_root": "verify.model-mismatch",
    "chain_root": "verify.chain-root",
    "input_root": "verify.input-root",
    "initial_state": "verify.initial-state",
    "final_state": "verify.final-state",
    "prf_seed": "verify.prf-seed",
    "input_key": "verify.input-mismatch",
}
for name, code in DIGESTS.items():
    tampering(f"journal: another {name}", code)(
        lambda name=name: reopened("kinds", **{name: OTHER})
    )

for name in ("initial_state", "final_state", "prf_seed"):
    tampering(f"journal: {name} of a program that has none", "receipt.non-canonical", "dense")(
        lambda name=name: reopened("dense", **{name: OTHER})
    )


def restated(base: str, **fields: object) -> bytes:
    """Other words over the old openings: for statements that no prover could open."""
    journal = replace(committed(base).journal, **fields).encode()
    return dissect(receipt_of(base)).restated(journal)


STRICT_CLAIMS: dict[str, object] = {
    "mode": STRICT, "delta_ppm": 0, "delta_step_ppm": 0, "delta_op_ppm": 0, "bits": 0, "exact": (),
}  # fmt: skip
SAMPLED_CLAIMS: dict[str, object] = {
    "delta_ppm": 50_000, "delta_step_ppm": 50_000, "delta_op_ppm": 50_000, "bits": 100,
    "exact": (0,),
}  # fmt: skip
"""Of which each is too much in a strict statement."""

UNFIT = {
    "one step more": ("dense", {"steps": 3}),
    "one step less": ("dense", {"steps": 1}),
    "more items than slots": ("dense", {"items": 5}),
    "a whole step of padding": ("dense", {"items": 2}),
    "outputs of one step": ("dense", {"outputs": b"\x80" * 8}),
    "one byte of outputs": ("dense", {"outputs": b"\x80"}),
    "one byte of hidden outputs": ("hidden", {"outputs": b"\x80"}),
    "inputs of one step": ("dense", {"inputs": b"\x80" * 12}),
    "no inputs": ("dense", {"inputs": b""}),
    "an exact op that does not exist": ("dense", {"exact": (1,)}),
    "an exact op that is flagged already": ("kinds", {"exact": (2,)}),
    "exact ops out of order": ("kinds", {"exact": (4, 3)}),
    "an exact op twice": ("kinds", {"exact": (3, 3)}),
    "inputs without the key of their salts": ("dense", {"input_key": None}),
    "no steps": ("dense", {"steps": 0}),
    "no items": ("dense", {"items": 0}),
    "too many steps": ("dense", {"steps": 2**20 + 1}),
    "no delta": ("dense", {"delta_ppm": 0}),
    "delta above one half": ("dense", {"delta_ppm": 500_001}),
    "delta per op above one half": ("dense", {"delta_op_ppm": 500_001}),
    "called strict": ("dense", {"mode": STRICT}),
    **{
        f"strict, and {name} claimed": ("dense", {**STRICT_CLAIMS, name: value})
        for name, value in SAMPLED_CLAIMS.items()
    },
    "delta per step above one half": ("dense", {"delta_step_ppm": 500_001}),
    "no bits": ("dense", {"bits": 0}),
    "too many bits": ("dense", {"bits": 257}),
    "an empty audience": ("dense", {"audience": ""}),
    "an audience of 257 bytes": ("dense", {"audience": "a" * 257}),
    "an empty nonce": ("dense", {"nonce": b""}),
    "a nonce of 65 bytes": ("dense", {"nonce": bytes(65)}),
}
for name, (base, changes) in UNFIT.items():
    tampering(f"journal: {name}", "receipt.non-canonical", base)(
        lambda base=base, changes=changes: restated(base, **changes)
    )


@tampering("padding sold as an item", "verify.input-mismatch", "dense")
def _():
    honest = committed("dense")
    return reopened("dense", items=4), victim("dense", inputs=honest.inputs)


@tampering("an item sold as padding", "verify.input-mismatch", "average")
def _():
    """Without a batch axis each step is an item; a run of two is not the run of three."""
    honest = committed("average")
    shorter = run("average")
    shorter.steps = shorter.items = 2
    shorter.trace.pop()
    return shorter.commit().receipt(), victim("average", inputs=honest.inputs)


@tampering("inputs kept private from a caller who has them", "verify.input-mismatch", "checkable")
def _():
    honest = committed("checkable")
    return reopened("checkable", input_key=None), victim("checkable", inputs=honest.inputs)


def _under_the_zero_key(base: str) -> Prover:
    """A run whose inputs are salted with the key of all zeros, which its statement leaves out."""
    forged = run(base).commit()
    for t in forged.program.of_role(Role.INPUT):
        tensor = forged.program.tensors[t]
        for step in range(forged.steps):
            array = forged.trace[step][t]
            forged.trees[step, t] = Tree(tensor, array, np.zeros(8, np.uint64), step, t)
    forged.journal = forged._journal(None)
    return forged


@tampering("inputs under a key of zero, kept private", "verify.input-mismatch", "checkable")
def _():
    inputs = committed("checkable").inputs
    return _under_the_zero_key("checkable").receipt(), victim("checkable", inputs=inputs)


@tampering("published inputs under a key of zero, left out", "receipt.non-canonical")
def _():
    forged = _under_the_zero_key("kinds")
    keyed = forged.journal
    honest = dissect(forged.change(input_key=ZERO_DIGEST).receipt())
    return honest.restated(keyed.encode())


@tampering("inputs of another caller", "verify.input-mismatch", "dense")
def _():
    inputs = {"x": committed("dense").inputs["x"] + 0.05}
    return receipt_of("dense"), victim("dense", inputs=inputs)


@tampering("inputs with another root", "verify.input-mismatch", "dense")
def _():
    return receipt_of("dense"), victim("dense", input_root=OTHER)


@tampering("another initial state than the caller's", "verify.state-mismatch", "average")
def _():
    return receipt_of("average"), victim("average", initial_state=OTHER)


@tampering("published inputs that are not the committed ones", "verify.input-mismatch", "dense")
def _():
    inputs = bytearray(committed("dense").journal.inputs)
    inputs[7] ^= 1
    return reopened("dense", inputs=bytes(inputs))


@tampering("published inputs out of range", "verify.range")
def _():
    inputs = bytearray(committed("kinds").journal.inputs)
    inputs[-1] = 0x80 + 7  # a word of [0, 6]
    return reopened("kinds", inputs=bytes(inputs))


def _spoiled_outputs(at: int) -> bytes:
    outputs = bytearray(committed("kinds").journal.outputs)
    outputs[at] ^= 1
    return reopened("kinds", outputs=bytes(outputs))


_at = 0
for port in committed("kinds").program.outputs:
    tampering(f"journal: another output {port.name}", "verify.outputs")(
        lambda at=_at: _spoiled_outputs(at)
    )
    tensor = committed("kinds").program.tensors[port.tensor]
    _at += tensor.size * tensor.width


@tampering("journal: outputs of two steps exchanged", "verify.outputs")
def _():
    outputs = committed("kinds").journal.outputs
    half = len(outputs) // 2
    return reopened("kinds", outputs=outputs[half:] + outputs[:half])


@tampering("journal: an output of a padded item", "verify.outputs", "dense")
def _():
    """Padding is cut off for the caller, and checked all the same."""
    outputs = bytearray(committed("dense").journal.outputs)
    outputs[-1] ^= 1
    return reopened("dense", outputs=bytes(outputs))


# Claims, opened for what they say: refused by policy.

POLICY = {
    "an audience that ends otherwise": (
        "verify.audience-mismatch",
        "long names",
        {"audience": "x" * 255 + "y"},
    ),
    "a nonce that ends otherwise": (
        "verify.nonce-mismatch",
        "long names",
        {"nonce": bytes(63) + b"\1"},
    ),
    "fewer bits": ("policy.bits", "sampled", {"bits": 7}),
    "a larger delta": ("policy.delta", "sampled", {"delta_ppm": 400_001}),
    "a larger delta per step": ("policy.delta-step", "demanding", {"delta_step_ppm": 500_000}),
    "no delta per step": ("policy.delta-step", "sampled", {"delta_step_ppm": 0}),
    "a larger delta per op": ("policy.delta-op", "demanding", {"delta_op_ppm": 450_001}),
    "no delta per op": ("policy.delta-op", "demanding", {"delta_op_ppm": 0}),
    "no exact ops": ("policy.exact", "exact", {"exact": ()}),
    "another audience": ("verify.audience-mismatch", "dense", {"audience": "the auditors"}),
    "no audience": ("verify.audience-mismatch", "dense", {"audience": None}),
    "an audience nobody asked for": ("verify.audience-mismatch", "kinds", {"audience": "you"}),
    "another nonce": ("verify.nonce-mismatch", "dense", {"nonce": b"\x01\x02\x00"}),
    "no nonce": ("verify.nonce-mismatch", "dense", {"nonce": None}),
    "a nonce nobody asked for": ("verify.nonce-mismatch", "kinds", {"nonce": b"\0"}),
}
for name, (code, base, changes) in POLICY.items():
    tampering(f"claims: {name}", code, base)(
        lambda base=base, changes=changes: reopened(base, **changes)
    )


@tampering("claims: a mode that the caller refuses", "policy.mode", "dense")
def _():
    policy = Policy(max_delta=0.5, min_bits=1, modes=("strict",))
    return receipt_of("dense"), victim("dense", policy=policy)


@tampering("claims: more samples than anyone can draw", "verify.too-large", "dense")
def _():
    return restated("dense", delta_ppm=1, bits=256)


@tampering("claims: a few more samples than anyone draws", "verify.too-large", "dense")
def _():
    policy = Policy(max_delta=0.5, min_bits=1)
    return restated("dense", delta_ppm=1, bits=25), victim("dense", policy=policy)


@tampering("replay to another audience", "verify.audience-mismatch", "dense")
def _():
    return receipt_of("dense"), victim("dense", audience="somebody else")


@tampering("replay of an answer to another challenge", "verify.nonce-mismatch", "dense")
def _():
    return receipt_of("dense"), victim("dense", nonce=b"\x01\x03")


# Better claims over old openings: the samples follow from the claims.

STALE = {
    "more bits": ("receipt.truncated", {"bits": 12}),
    "a smaller delta": ("receipt.truncated", {"delta_ppm": 300_000}),
    "a smaller delta per op": ("receipt.truncated", {"delta_op_ppm": 100_000}),
    "a smaller delta per step": ("receipt.truncated", {"delta_step_ppm": 300_000}),
    "an exact op": ("receipt.truncated", {"exact": (0,)}),
    "a fresh nonce": ("receipt.truncated", {"nonce": b"\0"}),
}
for name, (code, changes) in STALE.items():

    @tampering(f"old openings under new claims: {name}", code, "sampled")
    def _(changes=changes):
        nonce = changes.get("nonce")
        return restated("sampled", **changes), victim("sampled", nonce=nonce)


@tampering("old openings under new claims: their own seed", "verify.journal-mismatch", "sampled")
def _():
    parts = dissect(receipt_of("sampled"))
    journal = replace(committed("sampled").journal, delta_ppm=300_000).encode()
    return join(parts.program, journal, parts.sections[2])


@tampering("openings for the seed of all zeros", "verify.journal-mismatch", "dense")
def _():
    program, journal, proof = dissect(receipt_of("dense")).sections
    return join(program, journal, bytes(32) + proof[32:])
