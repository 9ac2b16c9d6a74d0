"""Whole receipts: good ones pass, and every defence is met by an attack with its own code."""

from __future__ import annotations

import json
import math
import struct
from dataclasses import replace

import numpy as np
import pytest

from support import programs
from support.receipts import Prover
from zktally.prover.receipt import encode_receipt
from zktally.verifier import cli, openings
from zktally.verifier.errors import UsageError, ZktallyError
from zktally.verifier.fast import verify_fast
from zktally.verifier.gates import operand, reads
from zktally.verifier.inputs import dequantise
from zktally.verifier.journal import ZERO_DIGEST, model_id
from zktally.verifier.openings import Trees
from zktally.verifier.pins import Pins
from zktally.verifier.policy import Policy
from zktally.verifier.quoting import quoted
from zktally.verifier.receipt import split_receipt
from zktally.verifier.sampling import Counts, make_plan, sample_seed
from zktally.verifier.verified import Verified

OTHER = struct.pack("<8I", *range(1, 9))
SPARSE = {"delta_ppm": 500_000, "bits": 2}


def code_of(receipt, expectations):
    with pytest.raises(ZktallyError) as refused:
        verify_fast(receipt, expectations)
    return refused.value.code


def make_plan_of(prover):
    return make_plan(Counts(prover.checked, prover.journal), sample_seed(prover.journal.encode()))


def judge(prover, **expected):
    return code_of(prover.receipt(), prover.expectations(**expected))


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"steps": 3, **SPARSE},
        {"steps": 9, "delta_step_ppm": 500_000, **SPARSE},
        {"steps": 2, "exact": (0,), **SPARSE, "audience": "me", "nonce": b"\0"},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", programs.EVERY)
def test_good_receipts_pass(name, claims):
    prover = Prover(name, **claims).commit()
    data = prover.receipt()
    facts, outputs = verify_fast(data, prover.expectations(inputs=prover.inputs))
    assert facts.receipt_bytes == len(data)
    for port in prover.program.outputs:
        values = np.array([arrays[port.tensor] for arrays in prover.trace])
        if port.batch == 0:
            values = values.reshape(-1, *values.shape[2:])
        assert (outputs[port.name] == dequantise(port, values)).all()


def test_padding_is_cut_off_and_raises_the_samples():
    full, padded = (Prover("conv", 2, items).commit() for items in (4, 3))
    good, _ = verify_fast(full.receipt(), full.expectations())
    facts, outputs = verify_fast(padded.receipt(), padded.expectations(inputs=padded.inputs))
    assert outputs["p"].shape[0] == 3
    assert facts.samples > good.samples


@pytest.mark.parametrize("number", range(14))
def test_one_wrong_gate_of_an_enumerated_op_is_seen(number):
    prover = Prover("every_kind", steps=2)
    out = prover.program.ops[number].out
    tensor, arrays = prover.program.tensors[out], prover.trace[1]
    changed = arrays[out].copy()
    flat = changed.reshape(-1)
    flat[-1] += 1 if flat[-1] < tensor.hi else -1
    arrays[out] = changed
    assert judge(prover.commit()) == "verify.gate"


def test_the_one_gate_attack_passes_where_only_samples_are_taken():
    """Why the guarantee speaks of compute and not of correctness: it is as the formula says."""
    verdicts = []
    for nonce in range(12):
        prover = Prover("dense", steps=10, nonce=bytes([nonce]), **SPARSE)
        prover.trace[7][4][0, 0] ^= 1
        prover.commit()
        try:
            verify_fast(prover.receipt(), prover.expectations())
            verdicts.append("passed")
        except ZktallyError as error:
            verdicts.append(error.code)
    assert set(verdicts) <= {"passed", "verify.gate"}
    assert verdicts.count("passed") >= 8


@pytest.mark.parametrize(
    ("field", "code"),
    [
        ("chain_root", "verify.chain-root"),
        ("input_root", "verify.input-root"),
        ("initial_state", "verify.initial-state"),
        ("final_state", "verify.final-state"),
        ("prf_seed", "verify.prf-seed"),
        ("weights_root", "verify.weights-root"),
        ("program_id", "verify.program-mismatch"),
        ("input_key", "verify.input-mismatch"),
    ],
)
def test_every_digest_of_the_statement_is_bound(field, code):
    prover = Prover("every_kind", steps=2).commit().change(**{field: OTHER})
    assert judge(prover) == code


def test_statements_that_do_not_fit_the_program():
    for name, changes in {
        "dense": [
            {"items": 3}, {"items": 0xFFFF}, {"outputs": b"\0"}, {"inputs": b""}, {"exact": (1,)},
            {"initial_state": OTHER}, {"final_state": OTHER}, {"prf_seed": OTHER},
        ],
        "every_kind": [{"exact": (2,)}],
    }.items():  # fmt: skip
        for fields in changes:
            prover = Prover(name).commit()
            data = encode_receipt(
                prover.checked.data, replace(prover.journal, **fields).encode(), b""
            )
            assert code_of(data, prover.expectations()) == "receipt.non-canonical", fields


def test_a_program_without_prf_or_state_has_zero_digests():
    journal = Prover("dense").commit().journal
    assert journal.prf_seed == journal.initial_state == journal.final_state == ZERO_DIGEST


def test_another_model_is_refused_before_its_program_is_read():
    prover = Prover("dense").commit()
    data = prover.receipt()
    assert code_of(data, prover.expectations(model_id=bytes(32))) == "verify.model-mismatch"
    sections = split_receipt(data)
    other = encode_receipt(b"ZKTPROG", bytes(sections.journal), bytes(sections.proof))
    assert code_of(other, prover.expectations()) == "verify.program-mismatch"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ({"modes": ("strict",)}, "policy.mode"),
        ({"min_bits": 102}, "policy.bits"),
        ({"max_delta": 0.049999}, "policy.delta"),
        ({"max_delta_step": 0.3}, "policy.delta-step"),
        ({"max_delta_step": 0.099999}, "policy.delta-step"),
    ],
)
def test_policies(policy, code):
    step = 0 if policy.get("max_delta_step") == 0.3 else 100_000
    prover = Prover("dense", delta_step_ppm=step).commit()
    assert judge(prover, policy=Policy(**policy)) == code


def test_sampled_outputs_need_consent():
    prover = Prover("conv", steps=2, **SPARSE).commit()
    assert judge(prover, outputs_exact=True) == "policy.exact"
    facts, _ = verify_fast(prover.receipt(), prover.expectations(outputs_exact=False))
    assert [output.status for output in facts.outputs] == ["sampled"]
    prover = Prover("conv", steps=4, exact=(1,), **SPARSE).commit()
    facts, _ = verify_fast(prover.receipt(), prover.expectations(outputs_exact=True))
    assert [output.status for output in facts.outputs] == ["consistent"]


def test_certified_needs_the_ops_before_the_state_too():
    prover = Prover("running_average", steps=9, exact=(1,), **SPARSE).commit()
    facts, _ = verify_fast(prover.receipt(), prover.expectations())
    assert [output.status for output in facts.outputs] == ["consistent"]
    prover = Prover("running_average", steps=9, exact=(0, 1), **SPARSE).commit()
    facts, _ = verify_fast(prover.receipt(), prover.expectations())
    assert [output.status for output in facts.outputs] == ["certified"]


@pytest.mark.parametrize(
    ("claimed", "expected", "code"),
    [
        ({"audience": "a"}, {"audience": "b"}, "verify.audience-mismatch"),
        ({"audience": "a"}, {"audience": None}, "verify.audience-mismatch"),
        ({}, {"audience": "b"}, "verify.audience-mismatch"),
        ({"nonce": b"a"}, {"nonce": None}, "verify.nonce-mismatch"),
        ({}, {"nonce": b"a"}, "verify.nonce-mismatch"),
        ({}, {"initial_state": OTHER}, "verify.state-mismatch"),
        ({}, {"input_root": OTHER}, "verify.input-mismatch"),
    ],
)
def test_the_receipt_is_for_whom_and_what_the_caller_says(claimed, expected, code):
    assert judge(Prover("dense", **claimed).commit(), **expected) == code


def test_inputs_of_the_caller():
    prover = Prover("conv", steps=2).commit()
    other = prover.inputs["x"].copy()
    other[-1, 0, 0, 0] ^= 1
    assert judge(prover, inputs={"x": other}) == "verify.input-mismatch"
    assert judge(prover, inputs=prover.inputs["x"][:3]) == "verify.input-mismatch"
    assert judge(prover, inputs=other.astype(float)) == "usage.input"
    private = Prover("conv", public=False).commit().change(input_key=None)
    assert judge(private, inputs=private.inputs) == "verify.input-mismatch"
    verify_fast(private.receipt(), private.expectations())


def test_published_inputs_are_the_committed_ones():
    prover = Prover("dense", steps=2).commit()
    spoiled = bytearray(prover.journal.inputs)
    spoiled[15] ^= 1
    assert judge(prover.change(inputs=bytes(spoiled))) == "verify.input-mismatch"
    prover = Prover("every_kind").commit()
    spoiled = bytearray(prover.journal.inputs)
    spoiled[-1] = 0x80 + 7  # a word of [0, 6]
    assert judge(prover.change(inputs=bytes(spoiled))) == "verify.range"


def test_outputs_are_the_opened_ones():
    prover = Prover("dense", steps=2).commit()
    for at in range(len(prover.journal.outputs)):
        spoiled = bytearray(prover.journal.outputs)
        spoiled[at] ^= 1
        assert judge(Prover("dense", steps=2).commit().change(outputs=bytes(spoiled))) == (
            "verify.outputs"
        )


def test_values_out_of_the_declared_range_are_refused():
    prover = Prover("dense")
    prover.trace[0][4] = np.full((2, 4), -1, np.int8)  # declared [0, 127]
    assert judge(prover.commit()) == "verify.range"


@pytest.mark.parametrize("part", ["packed", "salts", "levels"])
def test_openings_that_are_not_of_the_root_are_refused(part):
    prover = Prover("conv", steps=6, **SPARSE).commit()
    for tree in prover.trees.values():
        if part == "packed":
            tree.packed = [bytes([data[0] ^ 1]) + data[1:] for data in tree.packed]
        elif part == "salts":
            tree.salts = tree.salts ^ np.uint64(1)
        else:
            tree.levels[0] = [digest ^ np.uint64(1) for digest in tree.levels[0]]
    assert judge(prover) == "verify.opening"


def test_every_changed_byte_is_refused():
    """Claims aside: where every gate is checked anyway, another δ or λ is a true claim too."""
    prover = Prover("running_average", steps=2).commit()
    data, expectations = prover.receipt(), prover.expectations()
    verify_fast(data, expectations)
    claims = data.index(prover.journal.encode()) + 75
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        if claims <= at < claims + 10:
            continue
        code_of(bytes(changed), expectations)
    for end in range(0, len(data), 5):
        assert code_of(data[:end], expectations) == "receipt.truncated"
    assert code_of(data + b"\0", expectations) == "receipt.trailing-bytes"


def test_the_size_of_the_proof_is_derived():
    prover = Prover("every_kind").commit()
    sections = [bytes(part) for part in vars(split_receipt(prover.receipt())).values()]

    def with_proof(proof):
        return code_of(encode_receipt(*sections[:2], proof), prover.expectations())

    assert with_proof(sections[2][:-1]) == "receipt.truncated"
    assert with_proof(b"") == "receipt.truncated"
    assert with_proof(sections[2] + b"\0") == "receipt.trailing-bytes"
    assert with_proof(sections[2][:31]) == "receipt.truncated"
    assert with_proof(b"\0" * 32 + sections[2][32:]) == "verify.journal-mismatch"
    high = sections[2][:32] + b"\xff" * 4 + sections[2][36:]
    assert with_proof(high) == "receipt.non-canonical"


def verified_of(prover):
    receipt, expectations = prover.receipt(), prover.expectations()
    facts, outputs = verify_fast(receipt, expectations)
    return Verified.of(facts, outputs, "python", Pins.of(receipt, expectations))


def test_the_words_of_the_guarantee():
    prover = Prover("conv", steps=4, exact=(1,), delta_ppm=500_000, bits=2).commit()
    guarantee = verified_of(prover).guarantee
    assert guarantee.sentence() == (
        "wrong live multiply-accumulates ≤ 50 % of those of all items and what they share, "
        "no bound claimed for single ops (1 bit), outputs consistent, not certified, nothing hidden"
    )
    assert "2 whole steps of 4 may be wrong" in guarantee.text()
    assert "samples need not hit it" in guarantee.text()
    conv, pool = guarantee.ops
    assert pool.bound == 0
    assert conv.bound == pytest.approx(2 * math.log(2) * conv.gates / (conv.draws * conv.live))
    strong = verified_of(Prover("dense", bits=200, delta_op_ppm=0).commit())
    assert strong.bits == 200
    assert strong.guarantee.bits <= 124


def test_what_the_caller_did_not_pin_is_always_said():
    for name, chosen in {
        "dense": "the inputs, the number of items",
        "running_average": "the inputs, the initial state, the number of steps",
        "every_kind": "the inputs, the initial state, the seed of the noise, the number of steps",
    }.items():
        guarantee = verified_of(Prover(name).commit()).guarantee
        assert guarantee.complete
        assert f"chosen     by the prover: {chosen}\n" in guarantee.text()
        assert "sampl" not in guarantee.text()


def test_a_claim_of_many_samples_is_refused_before_reads_are_derived(monkeypatch):
    """Where the outputs of sampled gates alone do not fit; then, as soon as reads do not."""
    prover = Prover("conv", steps=9, delta_ppm=500_000, bits=30).commit()
    data, expectations = prover.receipt(), prover.expectations()
    sections = [bytes(part) for part in vars(split_receipt(data)).values()]
    roots = 32 + 32 * len(prover.trees)
    short = encode_receipt(*sections[:2], sections[2][:roots])
    with monkeypatch.context() as patch:
        patch.setattr(openings, "reads", None)
        assert code_of(short, expectations) == "receipt.truncated"
    derived = []

    def watched(program, op, gates):
        for read in reads(program, op, gates):
            derived.append(read)
            yield read

    monkeypatch.setattr(openings, "reads", watched)
    monkeypatch.setattr(operand, "CHUNK", 1)
    verify_fast(data, expectations)
    every = len(derived)
    derived.clear()
    monkeypatch.setattr(openings, "_FEW", 4)
    # Room for all outputs and the sampled gates' own leaves, of 24 bytes, not for what they read.
    outputs = sum(
        sum(map(len, tree.packed)) + 20 * len(tree.packed)
        for (_, number), tree in prover.trees.items()
        if number == prover.program.outputs[0].tensor
    )
    room = roots + outputs + 24 * len(make_plan_of(prover).sampled[0])
    tight = encode_receipt(*sections[:2], sections[2][:room])
    assert code_of(tight, expectations) == "receipt.truncated"
    assert 0 < len(derived) < every / 2


def test_found_leaves_take_memory_by_the_proof():
    prover = Prover("dense").commit()
    trees = Trees(prover.program, 1)
    found = openings._Leaves(trees, 2 * 4 * (4 + 20))
    every = np.arange(4)
    for _ in range(2**18):
        found.add(trees.number(0, 0), every[:2])
        assert found._pending + len(found._found) <= openings._FEW + 8
    _, leaf = found.merged()
    assert leaf.tolist() == [0, 1]
    found.add(1, np.arange(8))
    with pytest.raises(ZktallyError) as refused:
        found.merged()
    assert refused.value.code == "receipt.truncated"


def test_a_receipt_may_be_any_bytes():
    prover = Prover("dense").commit()
    data, expectations = prover.receipt(), prover.expectations()
    expected, _ = verify_fast(data, expectations)
    for kind in (bytearray, memoryview):
        assert verify_fast(kind(data), expectations)[0] == expected
    assert code_of("text", expectations) == "usage"


def test_what_a_receipt_says_cannot_steer_a_terminal(tmp_path, capsys):
    evil = "\x1b[2J\u202e\x9b\nOK"
    prover = Prover("dense", audience=evil).commit()
    path = tmp_path / "evil\x1b.receipt"
    path.write_bytes(prover.receipt())
    identity = model_id(prover.journal.program_id, prover.journal.weights_root).hex()
    for more in ([], ["--json"], ["--audience", evil], ["--audience", evil, "--json"]):
        code = cli.main([str(path), "--model-id", identity, *more])
        assert code == (0 if "--audience" in more else 1)
        shown = "".join(capsys.readouterr())
        assert all(line.isprintable() for line in shown.split("\n"))
        assert not shown.count("\nOK")
        if "--json" in more:
            found = json.loads(shown)
            assert found.get("audience") == evil or found.get("received") == quoted(evil)
    cli.print_error(UsageError("all of:\n  a\x1b\nOK", hint="\x07"))
    assert capsys.readouterr().err == ("error: all of:\n  a\\x1b\\nOK [usage]\n  hint:     \\x07\n")


def test_the_command(tmp_path, capsys):
    prover = Prover("dense", steps=2, nonce=b"\1\2").commit()
    path, arrays = tmp_path / "run.receipt", tmp_path / "x.npz"
    path.write_bytes(prover.receipt())
    np.savez(arrays, **prover.inputs)
    identity = model_id(prover.journal.program_id, prover.journal.weights_root).hex()
    call = [str(path), "--model-id", identity, "--input", str(arrays), "--nonce", "0x0102"]
    assert cli.main(call) == 0
    assert capsys.readouterr().out.startswith(
        f'OK "{path}": 2 steps, 4 items, model {identity[:8]}'
    )
    assert cli.main([*call, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["format"], shown["verified"]) == ("zktally.verify/1", True)
    assert shown["outputs"][0]["shape"] == [4, 4]
    assert cli.main([*call, "--max-delta", "0.01", "--json"]) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["verified"], shown["code"]) == (False, "policy.delta")
    assert cli.main([*call, "--max-delta", "7"]) == 2
    assert cli.main([*call, "--max-size", "10"]) == 3
    assert "receipt.too-large" in capsys.readouterr().err
    assert cli.main([*call[:-1], "1"]) == 1
    assert cli.main([*call[:3], "--input", str(path)]) == 2
