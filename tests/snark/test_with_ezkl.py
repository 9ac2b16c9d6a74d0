"""With ezkl itself: set up, prove, both checks, forgeries; skipped where it is not installed."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zktally import Policy, SnarkModel, prove, verify
from zktally.bench import ezkl_peer
from zktally.bench.models import _Chain
from zktally.cli.main import main
from zktally.prover.errors import ProveError
from zktally.prover.snark import native
from zktally.prover.snark.child import FILES
from zktally.prover.snark.setup import SnarkSetUp, snark_setup
from zktally.verifier.errors import VerificationFailed, ZktallyError
from zktally.verifier.snark import plonk
from zktally.verifier.snark.key import canonical
from zktally.verifier.snark.receipt import SnarkReceipt

pytestmark = pytest.mark.skipif(
    None in (find_spec("ezkl"), find_spec("py_ecc")),
    reason="ezkl or py_ecc is not installed: the extra `peers` (make peers)",
)

SMALL = {"decomp_base": 128, "decomp_legs": 4}
SNARK = Policy(modes=("snark",))


def activation(op: str) -> onnx.ModelProto:
    weight = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["input", "weight"], ["product"]),
        helper.make_node(op, ["product"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        op,
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(weight, "weight")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)


MODELS = {
    "dense": (_Chain("d", [4]).dense(3).model(), (4,)),
    "convolution": (_Chain("c", [1, 6, 6]).conv(2, 3).relu().pool().flatten().dense(3).model(),
                    (1, 6, 6)),
    "sigmoid": (activation("Sigmoid"), (4,)),
}  # fmt: skip


def data(shape: tuple[int, ...], items: int = 3) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(1).uniform(-1, 1, (items, *shape))
    return {"input": drawn.astype(np.float32)}


@pytest.fixture(scope="module", params=MODELS)
def made(request, tmp_path_factory):
    """A model, its receipt, the input."""
    network, shape = MODELS[request.param]
    folder = tmp_path_factory.mktemp("snark")
    onnx.save(network, str(folder / "model.onnx"))
    samples = data(shape)
    options = SnarkSetUp("public", run_args=SMALL)
    model, _ = snark_setup(folder / "model.onnx", samples, folder / "model.snark", options)
    x = {"input": samples["input"][:1]}
    receipt = prove(model, x, "snark", audience="me", nonce=b"n")
    return folder, model, receipt, x


def judged(model: SnarkModel, receipt: bytes, backend: str, **given):
    told = {"audience": "me", "nonce": b"n", "srs": model.srs, "backend": backend, **given}
    return verify(receipt, model.model_id, SNARK, **told)


@pytest.mark.parametrize("backend", ["rust", "python"])
def test_both_checkers_accept_what_was_proven(made, backend):
    folder, model, receipt, x = made
    found = judged(model, receipt.data, backend, inputs=x)
    floats = onnxruntime.InferenceSession(str(folder / "model.onnx")).run(None, x)[0]
    np.testing.assert_allclose(found.outputs["logits"], floats, atol=0.01)
    assert found.backend == backend


def forgeries(receipt: SnarkReceipt) -> dict[str, SnarkReceipt]:
    """One for each region of the proof and each kind of public value."""
    circuit, statement = receipt.key.circuit, receipt.statement
    rng = np.random.default_rng(0)
    ends = [0, 64 * circuit.points, circuit.proof_bytes - 128, circuit.proof_bytes]
    found = {}
    for number, (start, end) in enumerate(pairwise(ends)):
        proof = bytearray(receipt.proof)
        proof[int(rng.integers(start, end))] ^= 1 << int(rng.integers(8))
        found[f"region {number}"] = replace(receipt, proof=bytes(proof))
    outputs = (statement.outputs[0] ^ 1, *statement.outputs[1:])
    inputs = (statement.inputs[0] ^ 1, *statement.inputs[1:])
    for name, change in {"output": {"outputs": outputs}, "input": {"inputs": inputs},
                         "label": {"audience": "you"}}.items():  # fmt: skip
        found[name] = replace(receipt, statement=replace(statement, **change))
    return found


def test_both_checkers_refuse_the_same(made):
    _, _, receipt, _ = made
    for name, forged in forgeries(SnarkReceipt.decode(receipt.data)).items():
        for check in (native.check, lambda key, *of: plonk.check(key.circuit, *of)):
            with pytest.raises(VerificationFailed) as error:
                check(forged.key, forged.statement.instances(), forged.proof)
            assert error.value.code == "verify.snark", name


def test_ezkls_own_key_stands_in_the_receipt(made):
    _, model, receipt, _ = made
    assert SnarkReceipt.decode(receipt.data).key == model.key
    assert native.as_ezkl(model.key) == (model.folder / FILES["vk"]).read_bytes()


def test_setting_up_again_with_the_same_string_gives_the_same_model(made, tmp_path):
    folder, model, *_ = made
    network = next(each for each, _ in MODELS.values() if each == onnx.load(folder / "model.onnx"))
    shape = [d.dim_value for d in network.graph.input[0].type.tensor_type.shape.dim][1:]
    options = SnarkSetUp("public", srs=model.folder / FILES["srs"], run_args=SMALL)
    again, _ = snark_setup(folder / "model.onnx", data(tuple(shape)), tmp_path / "again", options)
    assert again.model_id == model.model_id
    assert again.srs == model.srs
    assert model.made_here
    assert not again.made_here


def test_the_whole_way_on_the_command_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network, shape = MODELS["dense"]
    onnx.save(network, "m.onnx")
    samples = data(shape)
    np.savez("data.npz", **samples)
    np.savez("x.npz", input=samples["input"][:1])
    small = [f"--run-arg={name}={value}" for name, value in SMALL.items()]
    setup = ["snark-setup", "m.onnx", "--calibrate", "data.npz", "-o", "m.snark", *small, "--json"]
    assert main(setup) == 0
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert "convince nobody but you" in said.err
    assert main(setup) == 2
    capsys.readouterr()
    proving = ["prove", "m.snark", "--mode", "snark", "--input", "x.npz", "-o", "r.receipt"]
    assert main(proving) == 0
    printed = capsys.readouterr().out.splitlines()[-1]
    command = printed.removeprefix("check it with: zktally ").split(" ")
    assert "--any-srs" in command
    assert main(command) == 0
    assert "you did NOT name" in capsys.readouterr().out
    named = [*command[:-1], "--srs", told["srs"], "--json"]
    assert main(named) == 0
    verdict = json.loads(capsys.readouterr().out)
    assert verdict["verified"]
    assert verdict["guarantee"]["srs_pinned"]
    assert main(["inspect", "m.snark"]) == 0
    assert told["model_id"] in capsys.readouterr().out
    assert main(["prove", "m.snark", "--input", "x.npz", "-o", "s.receipt"]) == 2
    assert "--mode snark" in capsys.readouterr().err
    # What does not hold for the key in the folder is never written.
    key = SnarkModel.load("m.snark").key
    first, second, *rest = key.circuit.fixed
    circuit = replace(key.circuit, fixed=(second, first, *rest))
    Path("m.snark/snark.key").write_bytes(replace(key, circuit=circuit).encode())
    assert main([*proving[:-1], "t.receipt"]) == 3
    assert "snark.ezkl" in capsys.readouterr().err
    assert not Path("t.receipt").exists()


def test_a_memory_limit_ends_the_set_up_and_leaves_nothing(tmp_path):
    network, shape = MODELS["dense"]
    onnx.save(network, str(tmp_path / "m.onnx"))
    with pytest.raises(ProveError) as error:
        snark_setup(
            tmp_path / "m.onnx", data(shape), tmp_path / "s", SnarkSetUp(memory_limit=30_000_000)
        )
    assert error.value.code == "snark.ezkl"
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_settings_that_ask_for_all_memory_end_the_check(made, monkeypatch):
    _, model, receipt, _ = made
    monkeypatch.setattr(native, "MEMORY", 500_000_000)
    told = {**model.key.told, "required_range_checks": [[-(1 << 40), 1 << 40]]}
    key = replace(model.key, settings=canonical(told), told=told)
    found = SnarkReceipt.decode(receipt.data)
    with pytest.raises(ZktallyError) as error:
        native.check(key, found.statement.instances(), found.proof)
    assert error.value.code == "snark.no-checker"
    assert "more than the limit of 500 MB" in str(error.value.received)


def test_a_circuit_without_ranges_is_not_set_up(tmp_path):
    """Its prover can solve for inputs, modulo the field, that give any outputs."""
    network, shape = MODELS["dense"]
    onnx.save(network, str(tmp_path / "m.onnx"))
    options = SnarkSetUp(run_args={**SMALL, "ignore_range_check_inputs_outputs": True})
    with pytest.raises(ProveError) as error:
        snark_setup(tmp_path / "m.onnx", data(shape), tmp_path / "s", options)
    assert error.value.code == "snark.ezkl"
    assert "without a range" in str(error.value.received)


def test_a_folder_is_its_owners_alone(made):
    _, model, *_ = made
    assert model.folder.stat().st_mode & 0o077 == 0


def test_what_ezkl_does_not_know_is_its_refusal(tmp_path):
    graph = helper.make_graph(
        [helper.make_node("Det", ["input"], ["y"])],
        "d",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 2, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "m.onnx"))
    with pytest.raises(ZktallyError) as error:
        snark_setup(tmp_path / "m.onnx", data((2, 2)), tmp_path / "s")
    assert error.value.code == "snark.ezkl"
    row = ezkl_peer.measure(tmp_path / "m.onnx", data((2, 2), 1), work=tmp_path / "work")
    assert (row.ended, row.why.split(":")[0]) == ("failed", "settings")
    assert Path(tmp_path / "work").exists()
