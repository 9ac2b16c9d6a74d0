"""Training steps in integers beside the same steps in floats."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from support.learning import (
    Batch,
    Integers,
    alike,
    batches,
    drawn,
    floats,
    learner,
    network,
    node,
    perceptron,
)
from zktally.circuits.training.file import decode, encode
from zktally.circuits.training.integers import MASTER, exponent, power_code, reduced
from zktally.circuits.training.losses import BinaryCrossEntropy, MeanSquaredError
from zktally.circuits.training.optimisers import SGD, Adam
from zktally.circuits.training.program import Form
from zktally.circuits.training.updates import kept_bits
from zktally.verifier.errors import UsageError
from zktally.verifier.program.types import (
    Const,
    ConstantStart,
    Dot,
    DrawnStart,
    Read,
    Role,
    Term,
)

OPTIMISERS = {
    "plain": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.9, nesterov=True),
    "decay": SGD(momentum=0.9, weight_decay=0.05),
    "adam": Adam(beta2=0.99),
    "adam 999": Adam(),
    "adamw": Adam(beta2=0.99, weight_decay=0.1),
}


def moved(model: onnx.ModelProto, states: dict[str, np.ndarray], start: dict[str, np.ndarray]):
    return {name: states[name] - array.reshape(states[name].shape) for name, array in start.items()}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_thirty_steps_move_parameters_as_floats_do(name: str) -> None:
    optimiser = OPTIMISERS[name]
    rate = 0.003 if isinstance(optimiser, Adam) else 0.05
    of = batches(16, (12,), 5)
    made = learner(perceptron(), optimiser, of, rate=rate)
    ours, theirs = Integers(made), floats(made)
    losses = [
        (ours.move(of(100 + n), rate), theirs.run(lambda m: of(100 + m), lambda m: rate, 1))
        for n in range(30)
    ]
    assert abs(losses[0][0] - losses[0][1][0]) < 0.03 * losses[0][1][0]
    start = {state.name: state.start for state in made.step.parameters}
    found = moved(perceptron(), ours.states(), start)
    expected = moved(perceptron(), theirs.states, start)
    for parameter, change in found.items():
        same, share = alike(change, expected[parameter])
        assert same > 0.97, (parameter, same)
        assert 0.9 < share < 1.1, (parameter, share)


def images() -> onnx.ModelProto:
    rng = np.random.default_rng(2)
    constants = {
        "c0": drawn(rng, 6, 2, 3, 3, fan=18),
        "d0": np.zeros(6, np.float32),
        "c1": drawn(rng, 8, 3, 3, 3, fan=27),
        "d1": np.zeros(8, np.float32),
        "w": drawn(rng, 4, 72),
        "b": np.zeros(4, np.float32),
    }
    nodes = [
        node("Conv", "x c0 d0", "z0", pads=[1] * 4),
        node("Relu", "z0", "h0"),
        node("MaxPool", "h0", "p0", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p0 c1 d1", "z1", pads=[1] * 4, group=2),
        node("Sigmoid", "z1", "s1"),
        node("Mul", "z1 s1", "h1"),
        node("AveragePool", "h1", "p1", kernel_shape=[2, 2], strides=[1, 1]),
        node("Flatten", "p1", "f"),
        node("Gemm", "f w b", "y", transB=1),
    ]
    return network(nodes, constants, (2, 8, 8))


def sequences() -> onnx.ModelProto:
    """Embedding, a normalisation, attention, a gate: tokens in, scores of each place out."""
    rng = np.random.default_rng(3)
    width = 16
    names = {"q": width, "k": width, "v": width, "o": width, "u": 32}
    constants: dict[str, np.ndarray] = {
        "embed": rng.normal(0, 1, (11, width)).astype(np.float32),
        "gain": np.ones(width, np.float32),
        "offset": np.zeros(width, np.float32),
        "scale": np.float32(0.25),
        "mask": np.triu(np.full((6, 6), -1e9, np.float32), 1),
        "down": drawn(rng, 32, width, fan=32),
        "last": drawn(rng, width, 11, fan=width),
        **{name: drawn(rng, width, size, fan=width) for name, size in names.items()},
    }
    nodes = [
        node("Gather", "embed x", "e"),
        node("LayerNormalization", "e gain offset", "a"),
        *(node("MatMul", f"a {name}", f"{name}1") for name in "qkv"),
        node("Transpose", "k1", "kt", perm=[0, 2, 1]),
        node("MatMul", "q1 kt", "s0"),
        node("Mul", "s0 scale", "s1"),
        node("Add", "s1 mask", "s2"),
        node("Softmax", "s2", "s3", axis=-1),
        node("MatMul", "s3 v1", "c"),
        node("MatMul", "c o", "o1"),
        node("Add", "e o1", "r"),
        node("MatMul", "r u", "g0"),
        node("Tanh", "g0", "g1"),
        node("MatMul", "g1 down", "g2"),
        node("Add", "r g2", "r2"),
        node("MatMul", "r2 last", "y"),
    ]
    return network(nodes, constants, (6,), TensorProto.INT64)


def tokens(step: int) -> Batch:
    rng = np.random.default_rng((9, step))
    first = rng.integers(0, 11, (16, 1))
    rows = (first + 3 * np.arange(7)) % 11
    return {"x": rows[:, :6]}, rows[:, 1:]


@pytest.mark.parametrize("products", [8, 16])
def test_images(products: int) -> None:
    of = batches(16, (2, 8, 8), 4)
    made = learner(images(), SGD(momentum=0.9), of, form=Form(products=products))
    _slopes_agree(made, of, 0.9 if products == 8 else 0.97)


@pytest.mark.parametrize("products", [8, 16])
def test_sequences(products: int) -> None:
    made = learner(sequences(), SGD(momentum=0.9), tokens, form=Form(products=products))
    _slopes_agree(made, tokens, 0.9 if products == 8 else 0.97)


def _slopes_agree(made, of, least: float) -> None:
    """After one step a velocity is the gradient."""
    ours, theirs = Integers(made), floats(made)
    ours.move(of(200), 0.05)
    theirs.move(*of(200), 0.05)
    for name, array in ours.states().items():
        if name.endswith("/velocity"):
            same, share = alike(array, theirs.states[name])
            assert same > least, (name, same)
            assert 0.85 < share < 1.15, (name, share)


@pytest.mark.parametrize("kind", ["mse", "binary"])
def test_losses_of_numbers(kind: str) -> None:
    loss = MeanSquaredError() if kind == "mse" else BinaryCrossEntropy()

    def of(step: int) -> Batch:
        rng = np.random.default_rng((4, step))
        x = rng.normal(size=(16, 12)).astype(np.float32)
        wanted = np.stack([x[:, n] - x[:, n + 1] for n in range(5)], 1)
        return {"x": x}, (wanted if kind == "mse" else (wanted > 0)).astype(np.float32)

    made = learner(perceptron(), SGD(momentum=0.9), of, loss=loss)
    _slopes_agree(made, of, 0.9)


@pytest.mark.parametrize("limits", [{"clip_value": 0.05}, {"clip_norm": 0.2}], ids=str)
def test_clipped_gradients(limits: dict[str, float]) -> None:
    of = batches(16, (12,), 5)
    _slopes_agree(learner(perceptron(), SGD(momentum=0.9), of, **limits), of, 0.8)


def test_learning_reaches_what_floats_reach() -> None:
    of = batches(16, (12,), 5)
    made = learner(perceptron(), SGD(momentum=0.9), of)
    ours, theirs = Integers(made), floats(made)
    found = [ours.move(of(n), 0.1) for n in range(120)]
    expected = theirs.run(of, lambda n: 0.1, 120)
    assert np.mean(found[:5]) > 3 * np.mean(found[-20:])
    assert abs(np.mean(found[-20:]) - np.mean(expected[-20:])) < 0.05


def test_what_the_loss_does_not_need_is_no_state() -> None:
    rng = np.random.default_rng(0)
    constants = {"w": drawn(rng, 5, 12), "other": drawn(rng, 5, 12)}
    nodes = [node("Gemm", "x w", "y", transB=1), node("Gemm", "x other", "spare", transB=1)]
    model = network(nodes, constants, (12,))
    model.graph.output.append(onnx.helper.make_tensor_value_info("spare", TensorProto.FLOAT, None))
    made = learner(model, SGD(), batches(16, (12,), 5))
    assert [state.name for state in made.step.states] == ["w"]


def test_a_gradient_of_zero_does_no_harm() -> None:
    """A number added to all scores of a row moves no share: its gradient is 0 but for roundings."""
    rng = np.random.default_rng(0)
    constants = {"w": drawn(rng, 5, 12), "s": np.zeros((12, 1), np.float32)}
    nodes = [
        node("Gemm", "x w", "z", transB=1),
        node("MatMul", "x s", "t"),
        node("Add", "z t", "y"),
    ]
    of = batches(16, (12,), 5)
    made = learner(network(nodes, constants, (12,)), SGD(momentum=0.9), of)
    ours = Integers(made)
    losses = [ours.move(of(n), 0.1) for n in range(40)]
    assert losses[-1] < 0.3 * losses[0]


# Data sets, starts, exports


def of_data(start: str = "seed", **form: object):
    of = batches(16, (12,), 5)
    return learner(perceptron(), SGD(momentum=0.9), of, form=Form(records=100, start=start, **form))


def test_a_step_reads_a_data_set_and_declares_its_start() -> None:
    program = of_data().program
    made = program.model.checked.program
    assert [data.name for data in program.data] == ["x", "labels"]
    for number in made.of_role(Role.DATA):
        tensor = made.tensors[number]
        assert tensor.records == 100
        assert tensor.layout is not None
        assert tensor.layout.order[0] == 0
        assert tensor.layout.trailing < len(tensor.shape)
    starts = {made.tensors[link.state].name: link.start for link in made.states}
    assert isinstance(starts["w0"], DrawnStart)
    assert starts["b0"] == starts["w0/velocity"] == ConstantStart(0)
    file = perceptron()
    (w0,) = [onnx.numpy_helper.to_array(t) for t in file.graph.initializer if t.name == "w0"]
    scale = program.codes["w0"].scale
    spread = (starts["w0"].hi - starts["w0"].lo) * scale / np.sqrt(12)
    assert spread == pytest.approx(w0.std(), rel=0.01)
    assert [port.name for port in made.inputs] == ["learning_rate"]


def test_a_start_from_the_file_declares_nothing() -> None:
    program = of_data("file").program
    assert not program.model.checked.program.declares_start
    reals = program.reals(dict(zip(program.codes, program.start, strict=True)))
    (w0,) = [
        onnx.numpy_helper.to_array(t) for t in perceptron().graph.initializer if t.name == "w0"
    ]
    np.testing.assert_allclose(reals["w0"], w0, atol=program.codes["w0"].scale)


def test_exports_have_the_form_of_the_served_weights() -> None:
    program = of_data().program
    assert program.served is not None
    step, served = program.model.checked.program, program.served.model.checked.program
    weights = [served.tensors[number] for number in served.of_role(Role.WEIGHT)]
    exported = [step.tensors[number] for number in step.exports]
    assert step.exports == program.served.exports
    for weight, export in zip(weights, exported, strict=True):
        assert weight.name == export.name
        assert (weight.width, weight.lo, weight.hi, weight.shape, weight.layout) == (
            export.width, export.lo, export.hi, export.shape, export.layout,
        )  # fmt: skip


def test_a_training_program_is_kept_in_a_file() -> None:
    program = of_data().program
    again = decode(encode(program))
    assert again.model.to_bytes() == program.model.to_bytes()
    assert (again.codes, again.data, again.loss) == (program.codes, program.data, program.loss)
    assert again.served is not None
    assert program.served is not None
    assert again.served.exports == program.served.exports
    for mine, its in zip(again.start, program.start, strict=True):
        np.testing.assert_array_equal(mine, its)
    damaged = bytearray(encode(program))
    damaged[200] ^= 1
    with pytest.raises(UsageError, match="damaged"):
        decode(bytes(damaged))


def test_indices_may_name_every_row_of_a_table() -> None:
    """Also one that the rehearsal never saw."""

    def few(step: int) -> Batch:
        data, labels = tokens(step)
        return {"x": np.minimum(data["x"], 4)}, labels

    made = learner(sequences(), SGD(), few, form=Form(records=100, start="seed"))
    (x, _) = made.program.data
    assert (x.tensor.lo, x.tensor.hi) == (0, 10)


def test_data_is_coded_and_what_does_not_fit_is_refused() -> None:
    x, labels = of_data().program.data
    held = x.quantise(np.full((3, 12), 0.5, np.float32))
    assert held.dtype == np.int8
    np.testing.assert_allclose(x.code.dequantise(held), 0.5, atol=x.code.scale)
    assert labels.quantise(np.array([0, 4, 1])).shape == (3, 1)
    for bad in (np.array([0, 5]), np.array([-1]), np.array([0.5])):
        with pytest.raises(UsageError) as caught:
            labels.quantise(bad)
        assert caught.value.code == "usage.input"
    with pytest.raises(UsageError, match="NaN"):
        x.quantise(np.full((2, 12), np.nan))


# The numbers


def test_codes_are_powers_of_two_that_reach_far_enough() -> None:
    for reach in (1e-9, 0.3, 1.0, 100.0):
        code = power_code(-reach, reach, 8)
        assert np.log2(code.scale) == round(np.log2(code.scale))
        assert code.scale * 127 >= reach > code.scale * 63
        assert power_code(0.0, reach, 16).lo == 0
    assert exponent(0.0, 127) == 24


def test_factors_of_momentum_are_near() -> None:
    assert kept_bits(0.5) == 5
    for kept in (0.9, 0.95, 0.8):
        bits = kept_bits(kept)
        assert abs(round(kept * 2**bits) / 2**bits - kept) <= 0.02 * (1 - kept) or bits == 8


def test_powers_of_two_that_all_products_have_are_shifted_less() -> None:
    read = Read(0, (4,), ())
    terms = [Term((), read, Const(12)), Term((), read, Const(-40))]
    assert reduced(terms, Const(6), 9) == (
        [Term((), read, Const(3)), Term((), read, Const(-10))], Const(3), 6,
    )  # fmt: skip
    assert reduced([Term((), read, read)], Const(8), 2) == ([Term((), read, read)], Const(2), 0)


def test_errors_are_rounded_stochastically_and_forward_values_are_not() -> None:
    made = learner(perceptron(), SGD(momentum=0.9), batches(16, (12,), 5))
    program = made.program.model.checked.program
    noisy = {op.name for op in program.ops if isinstance(op, Dot) and op.rounding is not None}
    assert any(name.startswith("grad/MatMul") for name in noisy)
    assert {f"update {name}/velocity" for name in ("w0", "b0", "w1", "b1")} <= noisy
    assert {f"update {name}/moved" for name in ("w0", "b0", "w1", "b1")} <= noisy
    assert not any(name.startswith(("Gemm", "copy")) for name in noisy)
    domains = [tensor.domain for tensor in program.tensors if tensor.domain is not None]
    assert len(set(domains)) == len(domains) == len(noisy)
    masters = [tensor for tensor in program.tensors if tensor.role == Role.STATE]
    assert {tensor.hi for tensor in masters if "/" not in tensor.name} == {MASTER}
