"""Runs: the Rust executor, commitments and prover against the plain Python ones."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from drawn import CHECKED, FEW, SETTINGS, arrays, keys, names, seeds
from hypothesis import given
from hypothesis import strategies as st

from support.receipts import PRF_SEED, RUN_KEY, Prover
from support.showings import held_of
from zktally import _core
from zktally.circuits import reference
from zktally.native import verify as verify_natively
from zktally.prover import FastRun
from zktally.verifier.judge import verify as verify_plainly
from zktally.verifier.keys import prf_values
from zktally.verifier.program.types import Role
from zktally.verifier.roots import digest_bytes, digest_elements

PUBLIC_KEY = bytes(32)


@SETTINGS
@given(name=names, first=seeds, steps=st.integers(1, 3), prf_seed=keys())
def test_every_value_is_the_reference_executors(name, first, steps, prf_seed):
    checked, _ = CHECKED[name]
    program, rng = checked.program, np.random.default_rng(first)
    weights = arrays(checked, Role.WEIGHT, rng)
    state = arrays(checked, Role.STATE, rng)
    model = _core.Model(checked.data, weights, PUBLIC_KEY, threads=1 + first % 2)
    run = FastRun(model, checked, state, prf_seed=prf_seed)
    before = dict(zip(program.of_role(Role.STATE), state, strict=True))
    for step in range(steps):
        inputs = arrays(checked, Role.INPUT, rng)
        run.execute(inputs)
        plain = reference.run(
            checked,
            dict(zip(program.of_role(Role.INPUT), inputs, strict=True)),
            dict(zip(program.of_role(Role.WEIGHT), weights, strict=True)),
            before,
            lambda t, step=step: _prf(prf_seed, step, t),
        )
        for t in program.of_role(Role.VALUE):
            found = run.values(step, t)
            assert found.dtype == plain[t].dtype
            assert (found == plain[t]).all(), program.tensors[t].name
        before = {link.state: plain[link.value] for link in program.states}


def _prf(seed, step, tensor):
    offsets = np.arange(tensor.size).reshape(tensor.shape)
    return prf_values(digest_elements(seed), step, tensor.domain, offsets, tensor.lo, tensor.hi)


def natively(prover: Prover, journal: bytes | None, threads: int, keep_bytes: int, push: bool):
    """The Rust run behind a plain prover's one."""
    program = prover.program
    weights = [prover.weights[t] for t in program.of_role(Role.WEIGHT)]
    initial = [prover.initial[t] for t in program.of_role(Role.STATE)]
    model = _core.Model(prover.checked.data, weights, PUBLIC_KEY, threads)
    seed = digest_bytes(PRF_SEED) if prover.has_prf else None
    run = _core.Run(model, digest_bytes(RUN_KEY), seed, initial, keep_bytes)
    for trace in prover.trace:
        inputs = [trace[t] for t in program.of_role(Role.INPUT)]
        if push:
            run.push(inputs, [trace[t] for t in program.of_role(Role.VALUE)])
        else:
            run.execute(inputs)
    return run


@st.composite
def claims(draw: st.DrawFn) -> dict[str, object]:
    """Few samples or many, a bound per step or none, outputs or none, and who it is for."""
    return {
        "delta_ppm": draw(st.sampled_from([30_000, 250_000, 499_999, 500_000])),
        "delta_step_ppm": draw(st.sampled_from([0, 0, 400_000])),
        "bits": draw(st.sampled_from([2, 3, 20, 102])),
        "hidden": draw(st.booleans()),
        "audience": draw(st.none() | st.text(min_size=1, max_size=9).filter(_encodes)),
        "nonce": draw(st.none() | st.binary(min_size=1, max_size=9)),
    }


def _encodes(text: str) -> bool:
    return all(not 0xD800 <= ord(letter) < 0xE000 for letter in text)


@FEW
@given(name=names, steps=st.integers(1, 4), padding=st.integers(0, 1), claimed=claims())
def test_receipts_are_the_plain_provers_byte_by_byte(name, steps, padding, claimed):
    """So both agree on commitments, seed, samples, openings; and both verifiers on the facts."""
    batch = CHECKED[name][0].program.batch
    items = steps * batch - (padding if batch > 1 else 0)
    prover = Prover(name, steps=steps, items=items, **claimed).commit()
    exact = tuple(
        c for c, op in enumerate(prover.program.ops) if not op.exact and c % 3 == steps % 3
    )
    prover.change(exact=exact)
    journal, receipt = prover.journal.encode(), prover.receipt()
    for threads, keep_bytes, push in ((1, 1 << 20, False), (2, 0, False), (2, 1 << 20, True)):
        run = natively(prover, journal, threads, keep_bytes, push)
        statement = run.statement()
        for field in ("chain_root", "input_root", "initial_state", "final_state", "prf_seed"):
            assert statement[field] == getattr(prover.journal, field), field
        assert run.held_outputs() == held_of(prover).body
        assert receipt.endswith(journal + len(run.open(journal)).to_bytes(4, "little") +
                                run.open(journal))  # fmt: skip
    expectations = prover.expectations(inputs=prover.inputs)
    facts, outputs = verify_plainly(receipt, expectations)
    for threads in (1, 2):
        found, values = verify_natively(receipt, expectations, threads)
        assert found == facts
        assert values.keys() == outputs.keys()
        for port in outputs:
            assert values[port].dtype == outputs[port].dtype
            assert (values[port] == outputs[port]).all()


@pytest.mark.parametrize("name", sorted(CHECKED))
def test_two_runs_never_share_a_salt(name):
    """Fresh keys: the same inputs twice, and no root is the same twice."""
    prover = Prover(name, steps=2)
    for arrays_of_step in prover.trace[1:]:
        arrays_of_step.update(copy.deepcopy(prover.trace[0]))
    program = prover.program
    weights = [prover.weights[t] for t in program.of_role(Role.WEIGHT)]
    model = _core.Model(prover.checked.data, weights, PUBLIC_KEY)
    initial = [prover.initial[t] for t in program.of_role(Role.STATE)]
    roots = set()
    for _ in range(2):
        run = FastRun(model, prover.checked, initial)
        run.execute([prover.trace[0][t] for t in program.of_role(Role.INPUT)])
        statement = run._run.statement()
        roots |= {statement[field] for field in ("chain_root", "input_root", "input_key")}
    assert len(roots) == 6
