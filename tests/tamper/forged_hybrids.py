"""Tamperings of hybrid receipts: statement, head, chain, segments, binding, encoding."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import replace

import forged_chains
import forged_models
import forged_statements
import hybrids
from anatomy import dissect as dissect_fast
from anatomy import join
from forged_openings import flipped
from forger import committed, receipt_of, rechained, reopened, run, victim
from hybrids import Hybrid, dissect, head_of, hybrid_of, long, parts_of, proven, spliced
from registry import tampering

from zktally.verifier.hybrid.segments import LEAST_PROOF
from zktally.verifier.journal import FAST, HYBRID
from zktally.verifier.policy import Policy
from zktally.verifier.sampling import sample_seed

OTHER = struct.pack("<8I", *range(1, 9))
LAX = Policy(max_delta=0.5, min_bits=1, outputs_exact=False)


# The statement: each field, under the proof of the honest one.

STATED = {
    "program_id": ("verify.program-mismatch", OTHER),
    "weights_root": ("verify.model-mismatch", OTHER),
    "chain_root": ("verify.stark", OTHER),
    "input_root": ("verify.input-mismatch", OTHER),
    "initial_state": ("verify.stark", OTHER),
    "final_state": ("verify.stark", OTHER),
    "prf_seed": ("receipt.non-canonical", OTHER),
    "input_key": ("verify.input-mismatch", OTHER),
    "steps": ("receipt.non-canonical", 4),
    "items": ("receipt.non-canonical", 4),
    "delta_ppm": ("verify.stark", 50_001),
    "delta_step_ppm": ("verify.stark", 50_000),
    "delta_op_ppm": ("verify.stark", 500_000),
    "bits": ("verify.stark", 101),
    "exact": ("verify.stark", (0,)),
    "inputs": ("verify.input-mismatch", None),
    "outputs": ("verify.stark", None),
    "audience": ("verify.stark", "somebody"),
    "nonce": ("verify.stark", b"\1"),
}
for _name, (_code, _value) in STATED.items():

    def _changed(name=_name, value=_value) -> dict[str, object]:
        honest = getattr(committed("average").journal, name)
        return {name: flipped(honest) if value is None else value}

    def _expected(name=_name, value=_value) -> object:
        asked = {name: value} if name in ("audience", "nonce") else {}
        return victim("average", policy=LAX, **asked)

    @tampering(f"hybrid: another {_name}, the proof names it", _code, "average")
    def _(changed=_changed, expected=_expected):
        return parts_of("average").restated(**changed()).encode(), expected()

    if _code.startswith("verify.") and _name not in ("program_id", "weights_root"):

        @tampering(f"hybrid: another {_name}", "verify.journal-mismatch", "average")
        def _(changed=_changed, expected=_expected):
            parts = parts_of("average")
            answered = hashlib.sha256(parts.journal).digest()
            return replace(parts.restated(**changed()), answered=answered).encode(), expected()


@tampering("hybrid: weights of a better model", "verify.stark", "average")
def _():
    """The caller's model id stands for a program and weights; the proof is about others."""
    named = "dense"
    parts = dissect(proven(forged_models.other_weights(named).commit().receipt()))
    return parts.restated(weights_root=committed(named).journal.weights_root).encode(), victim(
        named
    )


@tampering("hybrid: fewer items than were run", "verify.stark", "dense")
def _():
    return parts_of("dense").restated(items=4).encode()


@tampering("hybrid: the output of a padded item", "verify.stark", "dense")
def _():
    outputs = committed("dense").journal.outputs
    return parts_of("dense").restated(outputs=flipped(outputs, len(outputs) - 1)).encode()


@tampering("hybrid: outputs of two steps exchanged", "verify.stark", "dense")
def _():
    outputs = committed("dense").journal.outputs
    half = len(outputs) // 2
    return parts_of("dense").restated(outputs=outputs[half:] + outputs[:half]).encode()


@tampering("hybrid: outputs out of their range", "verify.range", "dense")
def _():
    outputs = committed("dense").journal.outputs
    return parts_of("dense").restated(outputs=outputs[:-1] + b"\0").encode()


@tampering("hybrid: audience of another receipt", "verify.audience-mismatch", "dense")
def _():
    return parts_of("dense").restated(audience="the auditors").encode()


@tampering("hybrid: replay to another audience", "verify.audience-mismatch", "dense")
def _():
    return hybrid_of("dense"), victim("dense", audience="somebody else")


@tampering("hybrid: replay to another audience, renamed", "verify.stark", "dense")
def _():
    renamed = parts_of("dense").restated(audience="somebody else")
    return renamed.encode(), victim("dense", audience="somebody else")


@tampering("hybrid: replay of an answer to another challenge", "verify.nonce-mismatch", "dense")
def _():
    return hybrid_of("dense"), victim("dense", nonce=b"\1\3")


@tampering("hybrid: replay of an answer to another challenge, renamed", "verify.stark", "dense")
def _():
    return parts_of("dense").restated(nonce=b"\1\3").encode(), victim("dense", nonce=b"\1\3")


# What the caller demands.


@tampering("hybrid: a caller who wants openings", "policy.mode", "dense")
def _():
    policy = Policy(max_delta=0.5, min_bits=1, modes=("fast",))
    return hybrid_of("dense"), victim("dense", policy=policy)


@tampering("hybrid: a caller who wants zero knowledge", "policy.mode", "dense")
def _():
    policy = Policy(max_delta=0.5, min_bits=1, modes=("hybrid",))
    return receipt_of("dense"), victim("dense", policy=policy)


@tampering("hybrid: more bits than its proofs show", "policy.bits", "dense")
def _():
    """λ is 128, honestly sampled, but no proof is worth that: its target is 109 bits at most."""
    policy = Policy(max_delta=0.5, min_bits=110)
    return proven(reopened("dense", bits=128)), victim("dense", policy=policy)


@tampering("hybrid: fewer bits than demanded", "policy.bits", "sampled")
def _():
    return proven(reopened("sampled", bits=7))


@tampering("hybrid: a larger delta than demanded", "policy.delta", "sampled")
def _():
    return proven(reopened("sampled", delta_ppm=400_001))


@tampering("hybrid: fewer exact ops than demanded", "policy.exact", "exact")
def _():
    return proven(reopened("exact", exact=()))


@tampering("hybrid: inputs of another caller", "verify.input-mismatch", "dense")
def _():
    return hybrid_of("dense"), victim("dense", inputs=committed("dense").inputs["x"] + 0.05)


@tampering("hybrid: inputs with another root", "verify.input-mismatch", "dense")
def _():
    return hybrid_of("dense"), victim("dense", input_root=OTHER)


@tampering("hybrid: another first state than the caller's", "verify.state-mismatch", "average")
def _():
    return hybrid_of("average"), victim("average", initial_state=OTHER)


# The samples follow from the claims: a proof of weaker ones shows too little.

WEAKER = {
    "fewer bits": {"bits": 7},
    "a larger delta": {"delta_ppm": 450_000},
    "a larger delta per step": {"delta_step_ppm": 0},
    "another challenge": {"nonce": b"\0"},
    "an exact op more": {"exact": (0,)},
}
for _name, _claims in WEAKER.items():

    @tampering(f"hybrid: a proof of other claims: {_name}", "verify.stark", "sampled")
    def _(claims=_claims):
        proof = dissect(proven(reopened("sampled", **claims))).segments
        return replace(parts_of("sampled"), segments=proof).encode()


@tampering("hybrid: the samples of another seed", "verify.stark", "sampled")
def _():
    """The same run under a nonce that gives better samples, which the caller never sent."""
    ground = dissect(proven(reopened("sampled", nonce=b"better")))
    return ground.restated(nonce=None).encode()


@tampering("hybrid: more samples than anyone can draw", "verify.too-large", "dense")
def _():
    return parts_of("dense").restated(delta_ppm=1, bits=256).encode()


# The chain.

CHAINS = {
    "two steps exchanged": [0, 2, 1],
    "a step repeated": [0, 1, 1, 2],
    "a step left out": [0, 2],
    "the first step left out": [1, 2],
}
for _name, _order in CHAINS.items():

    @tampering(f"hybrid: chain: {_name}, honestly hashed", "verify.stark", "average")
    def _(order=_order):
        return spliced(forged_chains.reordered("average", order).receipt(), "average")


@tampering("hybrid: chain: one step less", "receipt.non-canonical", "average")
def _():
    """Its outputs do not fit any more."""
    return parts_of("average").restated(steps=2, items=2).encode()


@tampering("hybrid: chain: cut after two steps", "verify.stark", "average")
def _():
    shorter = run("average")
    shorter.steps = shorter.items = 2
    shorter.trace.pop()
    return spliced(shorter.commit().receipt(), "average")


@tampering("hybrid: chain: cut after two steps, the old chain root", "verify.stark", "average")
def _():
    shorter = run("average")
    shorter.steps = shorter.items = 2
    shorter.trace.pop()
    cut = shorter.commit().journal
    own = ("steps", "items", "inputs", "outputs", "input_root")
    return parts_of("average").restated(**{name: getattr(cut, name) for name in own}).encode()


@tampering("hybrid: chain: forked at a step", "verify.stark", "average")
def _():
    """The first step of one honest run, then the steps of another."""
    return spliced(forged_chains.another_run("average").receipt(), "average")


@tampering(
    "hybrid: chain: another first state, honestly proven", "verify.state-mismatch", "average"
)
def _():
    forged = run("average")
    forged.initial = {t: forged_models.poke(a, 7) for t, a in forged.initial.items()}
    expected = victim("average", initial_state=committed("average").journal.initial_state)
    return proven(forged_chains.execute(forged).commit().receipt()), expected


@tampering("hybrid: chain: another first state under the caller's", "verify.stark", "average")
def _():
    forged = run("average")
    forged.initial = {t: forged_models.poke(a, 7) for t, a in forged.initial.items()}
    honest = committed("average").journal.initial_state
    proof = dissect(proven(forged_chains.execute(forged).commit().receipt()))
    return proof.restated(initial_state=honest).encode(), victim("average", initial_state=honest)


# Binding: model, inputs, runs.


@tampering("hybrid: other weights, honestly proven", "verify.model-mismatch", "dense")
def _():
    return proven(forged_models.other_weights().commit().receipt())


@tampering("hybrid: other weights, their roots exchanged in the end", "verify.stark", "dense")
def _():
    """Everything public is the victim's; the proof is about other weights."""
    forged = forged_models.other_weights().commit()
    proof = dissect(proven(forged.receipt()))
    for tree in [name for name in forged.trees if name[0] == "weight"]:
        forged.trees[tree].root = committed("dense").trees[tree].root
    root = committed("dense").journal.weights_root
    head = head_of(rechained(forged, weights_root=root).receipt())
    return replace(head, segments=proof.segments).encode()


@tampering("hybrid: the proof of other weights", "verify.stark", "dense")
def _():
    proof = dissect(proven(forged_models.other_weights().commit().receipt()))
    return replace(parts_of("dense"), segments=proof.segments).encode()


@tampering("hybrid: another program, honestly proven", "verify.model-mismatch", "dense")
def _():
    return hybrid_of("average")


@tampering("hybrid: one constant of the program, honestly proven", "verify.model-mismatch", "dense")
def _():
    return proven(forged_models.another_shift().commit().receipt())


@tampering("hybrid: the proof of a program with another constant", "verify.stark", "dense")
def _():
    proof = dissect(proven(forged_models.another_shift().commit().receipt()))
    return replace(parts_of("dense"), segments=proof.segments).encode()


@tampering("hybrid: another program under the same statement", "verify.program-mismatch", "dense")
def _():
    return replace(parts_of("dense"), program=committed("average").checked.data).encode()


def _other(base: str = "dense") -> Hybrid:
    return dissect(proven(forged_chains.another_run(base).receipt()))


@tampering("hybrid: two runs: the proof of the other one", "verify.journal-mismatch", "dense")
def _():
    return parts_of("dense").with_proof(_other().proof)


@tampering("hybrid: two runs: the segments of the other one", "verify.stark", "dense")
def _():
    return replace(parts_of("dense"), segments=_other().segments).encode()


@tampering("hybrid: two runs: head and segments of the other one", "verify.stark", "dense")
def _():
    return replace(_other(), journal=parts_of("dense").journal).encode()


@tampering("hybrid: two runs: outputs of the other one", "verify.stark", "dense")
def _():
    outputs = forged_chains.another_run("dense").journal.outputs
    return parts_of("dense").restated(outputs=outputs).encode()


@tampering("hybrid: two runs: inputs of the other one", "verify.input-mismatch", "dense")
def _():
    inputs = forged_chains.another_run("dense").journal.inputs
    return parts_of("dense").restated(inputs=inputs).encode()


@tampering("hybrid: padding sold as an item", "verify.input-mismatch", "dense")
def _():
    forged = proven(reopened("dense", items=4))
    return forged, victim("dense", inputs=committed("dense").inputs)


@tampering("hybrid: inputs under a key of zero, kept private", "verify.input-mismatch", "dense")
def _():
    forged = forged_statements._under_the_zero_key("dense").change(inputs=None)
    return proven(forged.receipt()), victim("dense", inputs=committed("dense").inputs)


# The mode.


@tampering("hybrid: a fast receipt called hybrid", "verify.journal-mismatch", "dense")
def _():
    parts = dissect_fast(receipt_of("dense"))
    journal = parts.journal[:2] + bytes([HYBRID]) + parts.journal[3:]
    return join(parts.program, journal, parts.sections[2])


@tampering("hybrid: a fast receipt called hybrid, the digest to fit", "receipt.truncated", "dense")
def _():
    """Where the profile is expected stands a byte of the first root, here 0 or 1."""
    parts = dissect_fast(receipt_of("dense"))
    journal = parts.journal[:2] + bytes([HYBRID]) + parts.journal[3:]
    answered = hashlib.sha256(journal).digest()
    return join(parts.program, journal, answered + parts.sections[2][len(answered) :])


for _profile in (0, 1):

    @tampering(f"hybrid: openings for a proof, profile {_profile}", "receipt.truncated", "dense")
    def _(profile=_profile):
        fast = dissect_fast(receipt_of("dense")).sections[2]
        head = replace(head_of(receipt_of("dense")), profile=profile)
        opened = fast[hybrids.KNOWN :]
        return replace(head, segments=[opened]).encode()


@tampering("hybrid: called fast", "verify.journal-mismatch", "dense")
def _():
    parts = parts_of("dense")
    return replace(
        parts.restated(mode=FAST), answered=hashlib.sha256(parts.journal).digest()
    ).encode()


@tampering("hybrid: called fast, the seed to fit", "receipt.trailing-bytes", "dense")
def _():
    parts = parts_of("dense").restated(mode=FAST)
    seed = sample_seed(parts.journal)
    return parts.with_proof(seed + parts.proof[len(seed) :])


@tampering("hybrid: called fast, head as of a fast one", "receipt.trailing-bytes", "dense")
def _():
    parts = parts_of("dense").restated(mode=FAST)
    seed = sample_seed(parts.journal)
    return parts.with_proof(seed + parts.proof[len(seed) + 1 :])


@tampering(
    "hybrid: roots of a fast one, openings cut to its length", "receipt.non-canonical", "dense"
)
def _():
    parts = parts_of("dense").restated(mode=FAST)
    seed = sample_seed(parts.journal)
    length = len(dissect_fast(receipt_of("dense")).sections[2])
    return parts.with_proof((seed + parts.proof[len(seed) + 1 :])[:length])


# The head.


@tampering("hybrid: head: another digest", "verify.journal-mismatch", "dense")
def _():
    parts = parts_of("dense")
    return parts.with_proof(flipped(parts.proof))


@tampering("hybrid: head: the seed of the samples", "verify.journal-mismatch", "dense")
def _():
    parts = parts_of("dense")
    return replace(parts, answered=sample_seed(parts.journal)).encode()


for _from, _to, _code in (
    (hybrids.STANDARD, hybrids.SMALL, "verify.stark"),
    (hybrids.SMALL, hybrids.STANDARD, "verify.stark"),
    (hybrids.FOLDABLE, hybrids.SMALL, "verify.stark"),
    (hybrids.SMALL, hybrids.FOLDABLE, "receipt.non-canonical"),
):

    @tampering(f"hybrid: head: profile {_from} called {_to}", _code, "dense")
    def _(of=_from, to=_to):
        return replace(parts_of("dense", of), profile=to).encode()


for _profile in (3, 128, 255):

    @tampering(f"hybrid: head: profile {_profile}", "receipt.non-canonical", "dense")
    def _(profile=_profile):
        return replace(parts_of("dense"), profile=profile).encode()


# Programs that hybrid receipts do not cover.


@tampering("hybrid: a program that they do not cover", "hybrid.unsupported")
def _():
    return replace(head_of(receipt_of("kinds")), segments=[bytes(LEAST_PROOF)]).encode()


@tampering("hybrid: a program that they do not cover, no proof", "hybrid.unsupported")
def _():
    return head_of(receipt_of("kinds")).encode()


# Sizes.

_HEAD = len(parts_of("dense").head)
CUTS = {
    "inside the digest": 31,
    "before the profile": 32,
    "before the segments": _HEAD,
    "before the least proof": _HEAD + LEAST_PROOF - 1,
    "after the least proof": _HEAD + LEAST_PROOF,
    "one byte early": -1,
}
for _name, _at in CUTS.items():

    @tampering(f"hybrid: proof ends {_name}", "receipt.truncated", "dense")
    def _(at=_at):
        parts = parts_of("dense")
        return parts.with_proof(parts.proof[:at])


@tampering("hybrid: no proof", "receipt.truncated", "dense")
def _():
    return parts_of("dense").with_proof(b"")


@tampering("hybrid: a byte after the proof", "receipt.trailing-bytes", "dense")
def _():
    parts = parts_of("dense")
    return parts.with_proof(parts.proof + b"\0")


@tampering("hybrid: the proof twice", "receipt.trailing-bytes", "dense")
def _():
    parts = parts_of("dense")
    return replace(parts, segments=parts.segments * 2).encode()


@tampering("hybrid: a proof of zeros", "verify.stark", "dense")
def _():
    parts = parts_of("dense")
    return replace(parts, segments=[bytes(len(parts.segments[0]))]).encode()


@tampering("hybrid: a proof of ones", "receipt.non-canonical", "dense")
def _():
    parts = parts_of("dense")
    return replace(parts, segments=[b"\xff" * len(parts.segments[0])]).encode()


# Segments of a receipt that has two.


def _segments(*order: int, seeds: tuple[int, ...] = ()):
    """The proofs in another order; `seeds` say of which run each is."""
    seeds = seeds or (0,) * len(order)
    proofs = [long(seed).parts.segments[one] for seed, one in zip(seeds, order, strict=True)]
    return replace(long(0).parts, segments=proofs).encode(), long(0).expectations


SEGMENTS = {
    "exchanged": ("verify.stark", (1, 0), ()),
    "the first one twice": ("verify.stark", (0, 0), ()),
    "the second one twice": ("verify.stark", (1, 1), ()),
    "the second one dropped": ("receipt.truncated", (0,), ()),
    "the first one dropped": ("verify.stark", (1,), ()),
    "both dropped": ("receipt.truncated", (), ()),
    "the second one repeated at the end": ("receipt.trailing-bytes", (0, 1, 1), ()),
    "the first one repeated at the end": ("receipt.trailing-bytes", (0, 1, 0), ()),
    "one put between them": ("verify.stark", (0, 0, 1), ()),
    "the first one of another run": ("verify.stark", (0, 1), (1, 0)),
    "the second one of another run": ("verify.stark", (0, 1), (0, 1)),
    "both of another run": ("verify.stark", (0, 1), (1, 1)),
}
for _name, (_code, _order, _seeds) in SEGMENTS.items():
    tampering(f"hybrid: segments: {_name}", _code)(
        lambda order=_order, seeds=_seeds: _segments(*order, seeds=seeds)
    )


@tampering("hybrid: segments: of another model", "receipt.non-canonical")
def _():
    proofs = [long(0).parts.segments[0], parts_of("dense").segments[0]]
    return replace(long(0).parts, segments=proofs).encode(), long(0).expectations


@tampering("hybrid: segments: one for both", "receipt.non-canonical", "dense")
def _():
    """The proof of a whole receipt where a segment of two is expected."""
    one = parts_of("dense").segments * 2
    return replace(long(0).parts, segments=one).encode(), long(0).expectations


@tampering("hybrid: segments: a byte between them", "receipt.non-canonical")
def _():
    parts = long(0).parts
    parts.segments.insert(1, b"\0")
    return parts.encode(), long(0).expectations


@tampering("hybrid: segments: the border moved by a byte", "verify.stark")
def _():
    """The last byte of the first proof is left out, one of zero stands behind the second."""
    parts = long(0).parts
    parts.segments[0] = parts.segments[0][:-1]
    parts.segments.append(b"\0")
    return parts.encode(), long(0).expectations


CLAIMS = {"bits": 103, "delta_ppm": 49_000, "nonce": b"n", "audience": "a"}
for _name, _value in CLAIMS.items():

    @tampering(f"hybrid: segments: under another {_name}", "verify.stark")
    def _(name=_name, value=_value):
        asked = {name: value} if name in ("audience", "nonce") else {}
        expectations = replace(long(0).expectations, **asked)
        return long(0).parts.restated(**{name: value}).encode(), expectations


@tampering("hybrid: outputs hidden after the proof", "verify.stark", "dense")
def _():
    return parts_of("dense").restated(outputs=b"").encode()


@tampering("hybrid: hidden outputs published after the proof", "verify.stark", "hidden")
def _():
    """They are those of the run."""
    outputs = committed("sampled").journal.outputs
    return parts_of("hidden").restated(outputs=outputs).encode()
