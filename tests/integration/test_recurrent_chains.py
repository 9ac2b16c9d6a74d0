"""Chains with states: compiled, proven, gone on with; a state of another step is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import zktally
from support import programs
from support.compared import sqnr
from support.receipts import Prover
from support.recurrent import CACHE, rolled_out, sequence, states_of, tagger, window
from zktally.api import judge
from zktally.circuits import reference
from zktally.cli import main
from zktally.verifier.errors import VerificationFailed, ZktallyError
from zktally.verifier.program.types import Role

BACKENDS = ("rust", "python")
MODELS = {"LSTM": (tagger("LSTM"), states_of("LSTM")), "window": (window(), CACHE)}


@pytest.fixture(scope="module", params=MODELS)
def made(request: pytest.FixtureRequest) -> tuple[onnx.ModelProto, zktally.CompiledModel, dict]:
    model, states = MODELS[request.param]
    data = sequence(model, 80, 1, count=3)
    return model, zktally.compile(model, data, states=states, public=True, force=True), states


@pytest.mark.parametrize("mode", ["fast", "hybrid"])
def test_a_chain_is_proven_and_says_what_the_floats_say(
    made: tuple[onnx.ModelProto, zktally.CompiledModel, dict], mode: str
) -> None:
    model, program, states = made
    x = 0.8 * sequence(model, 6, 5)
    receipt = zktally.prove(program, x, mode)
    for backend in BACKENDS:
        found = receipt.verify(program.model_id, backend=backend)
        assert found.steps == 6
        (shown,) = found.outputs.values()
        assert sqnr(rolled_out(model, x, states), shown) > 22.0


def run_of(made: zktally.CompiledModel, monkeypatch: pytest.MonkeyPatch, steps: int = 4) -> Prover:
    """An honest run of a compiled model that begins as declared, every gate of it checked."""
    program = made.checked.program
    weights = dict(zip(program.of_role(Role.WEIGHT), made.weights, strict=True))
    monkeypatch.setitem(programs.EVERY, "compiled", lambda: (program, weights))
    every = tuple(number for number, op in enumerate(program.ops) if not op.exact)
    return Prover("compiled", steps=steps, declared=True, exact=every)


def verdicts(run: Prover) -> list[str]:
    """What both verifiers say of a run as it stands, honestly hashed and opened."""
    run.commit()
    found = []
    for backend in BACKENDS:
        try:
            judge(run.receipt(), run.expectations(), backend)
            found.append("verified")
        except ZktallyError as error:
            found.append(error.code)
    return found


def test_a_step_must_begin_with_what_the_one_before_left(
    made: tuple[onnx.ModelProto, zktally.CompiledModel, dict], monkeypatch: pytest.MonkeyPatch
) -> None:
    program = made[1].checked.program
    assert verdicts(run_of(made[1], monkeypatch)) == ["verified"] * 2
    exchanged = run_of(made[1], monkeypatch)
    exchanged.trace = [exchanged.trace[step] for step in (0, 2, 1, 3)]
    assert verdicts(exchanged) == ["verify.gate"] * 2
    kept = run_of(made[1], monkeypatch)
    state = {link.state: kept.trace[0][link.value] for link in program.states}
    numbers = program.of_role(Role.INPUT)
    inputs = {t: kept.trace[2][t] for t in numbers}
    kept.trace[2] = reference.run(program, inputs, kept.weights, state)
    assert verdicts(kept) == ["verify.gate"] * 2
    begun = run_of(made[1], monkeypatch)
    begun.initial = {t: array + 1 for t, array in begun.initial.items()}
    assert verdicts(begun) == ["verify.start"] * 2


def test_receipts_of_one_stream_link(tmp_path: Path) -> None:
    model, states = MODELS["LSTM"]
    program = zktally.compile(
        model, sequence(model, 80, 1, count=3), states=states, public=True, force=True
    )
    x, end = sequence(model, 8, 5), tmp_path / "end.zks"
    whole = zktally.prove(program, x, "fast").verify(program.model_id).outputs["tags"]
    first = zktally.prove(program, x[:5], "fast", final_state=end)
    second = zktally.prove(program, x[5:], "fast", state=end)
    for backend in BACKENDS:
        one = first.verify(program.model_id, backend=backend)
        two = second.verify(program.model_id, follows=one, backend=backend)
        assert np.array_equal(np.concatenate([one.outputs["tags"], two.outputs["tags"]]), whole)
        anew = zktally.prove(program, x[5:], "fast")
        with pytest.raises(VerificationFailed):
            anew.verify(program.model_id, follows=one, backend=backend)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tagger("GRU")
    onnx.save(model, tmp_path / "m.onnx")
    np.savez(tmp_path / "data.npz", x=sequence(model, 60, 1, count=2))
    np.savez(tmp_path / "x.npz", x=sequence(model, 5, 2))
    path = {name: str(tmp_path / name) for name in ("m.onnx", "data.npz", "x.npz", "m.zkt", "r")}
    compile_ = ["compile", path["m.onnx"], "--calibrate", path["data.npz"], "--public"]
    chain = ["--state", "h0=hn", "--initial", "h0=0.1"]
    assert main([*compile_, *chain, "--force", "-o", path["m.zkt"]]) == 0
    told = capsys.readouterr().out
    assert 'state      "h0" from "hn", 0.1 before the first step' in told
    assert (
        main(["check-model", path["m.onnx"], path["m.zkt"], "--calibrate", path["data.npz"]]) == 0
    )
    assert '"h0 from hn"' in capsys.readouterr().out
    prove = ["prove", path["m.zkt"], "--input", path["x.npz"], "--mode", "fast", "-o", path["r"]]
    assert main(prove) == 0
    identity = zktally.load(path["m.zkt"]).model_id.hex()
    for backend in BACKENDS:
        assert main(["verify", path["r"], "--model-id", identity, "--backend", backend]) == 0
    for wrong, said in (("h0", "INPUT=OUTPUT"), ("h0=tags", "shapes differ")):
        code = main([*compile_, "--state", wrong, "-o", str(tmp_path / "other.zkt")])
        assert code in (2, 3)
        assert said in capsys.readouterr().err
