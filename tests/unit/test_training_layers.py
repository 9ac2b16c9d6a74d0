"""BatchNormalization by its batch, Dropout, and other layers that a training step writes out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper

from support.learning import (
    Integers,
    Learner,
    alike,
    batches,
    drawn,
    floats,
    learner,
    network,
    node,
)
from zktally import training
from zktally.circuits.errors import CompileError
from zktally.circuits.ops import OPERATORS
from zktally.circuits.training.layers import DRAW_BITS
from zktally.circuits.training.losses import CrossEntropy, MeanSquaredError
from zktally.circuits.training.optimisers import SGD
from zktally.circuits.training.program import Form, served_graph
from zktally.circuits.training.rehearsal import Rehearsal
from zktally.circuits.training.step import Recipe, Step, training_step
from zktally.hybrid.training.plan import Plan, with_values
from zktally.verifier.errors import UsageError
from zktally.verifier.program.types import ConstantStart, Role

RNG = np.random.default_rng(8)
SHAPE = (2, 8, 8)


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def statistics(name: str, channels: int) -> dict[str, np.ndarray]:
    """Gains, offsets, means and variances of a new BatchNormalization."""
    ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
    return {f"g{name}": ones, f"o{name}": zeros, f"m{name}": zeros, f"v{name}": ones}


def images(drop: float = 0.25) -> onnx.ModelProto:
    rng = np.random.default_rng(2)
    constants = {
        "c0": drawn(rng, 6, 2, 3, 3, fan=18),
        "c1": drawn(rng, 8, 6, 3, 3, fan=54),
        "w": drawn(rng, 4, 128),
        "b": np.zeros(4, np.float32),
        "ratio": np.float32(drop),
        **statistics("0", 6),
        **statistics("1", 8),
    }
    nodes = [
        node("Conv", "x c0", "z0", pads=[1] * 4),
        node("BatchNormalization", "z0 g0 o0 m0 v0", "n0"),
        node("Relu", "n0", "h0"),
        node("MaxPool", "h0", "p0", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p0 c1", "z1", pads=[1] * 4),
        node("BatchNormalization", "z1 g1 o1 m1 v1", "n1", momentum=0.8),
        node("Relu", "n1", "h1"),
        node("Flatten", "h1", "f"),
        node("Dropout", "f ratio", "d"),
        node("Gemm", "d w b", "y", transB=1),
    ]
    return network(nodes, constants, SHAPE)


def perceptron(*between: onnx.NodeProto, opset: int = 17, **more: Any) -> onnx.ModelProto:
    """Two layers, and nodes between `z` [N, 10] and `h` [N, 10]."""
    rng = np.random.default_rng(4)
    constants = {"w0": drawn(rng, 10, 12), "w1": drawn(rng, 5, 10), **more}
    first, last = node("Gemm", "x w0", "z", transB=1), node("Gemm", "h w1", "y", transB=1)
    model = network([first, *between, last], constants, (12,))
    model.opset_import[0].version = opset
    return model


def stepped(model: onnx.ModelProto, **recipe: Any) -> Step:
    made = Recipe(recipe.pop("loss", CrossEntropy()), SGD(), **recipe)
    return training_step(model, made, OPERATORS, batch=recipe.pop("batch", 16))


# Floats, by hand


@pytest.mark.parametrize("shape", [(3,), (3, 5, 4)], ids=str)
def test_a_batch_is_normalised_by_itself(shape: tuple[int, ...]) -> None:
    scale = normal(3, *[1] * (len(shape) - 1))
    start = {"g": normal(3), "o": normal(3), "m": normal(3), "v": np.abs(normal(3))}
    nodes = [
        node("Mul", "x s", "z"),
        node("BatchNormalization", "z g o m v", "y", momentum=0.7, epsilon=0.01),
    ]
    step = stepped(network(nodes, {"s": scale, **start}, shape), loss=MeanSquaredError())
    run = Rehearsal(step, SGD())
    x, targets = normal(16, *shape), normal(16, *shape)
    (loss,) = run.move({"x": x}, targets, 1.0).values()
    axes, wide = (0, *range(2, x.ndim)), (3, *[1] * (x.ndim - 2))
    z = x * scale
    mean, variance = z.mean(axes, keepdims=True), z.var(axes, keepdims=True)
    inverse = 1 / np.sqrt(variance + 0.01)
    unit = (z - mean) * inverse
    y = unit * start["g"].reshape(wide) + start["o"].reshape(wide)
    assert loss == pytest.approx(np.mean((y - targets) ** 2), rel=1e-5)
    dy = 2 * (y - targets) / y.size
    dg, do = (dy * unit).sum(axes), dy.sum(axes)
    by = start["g"].reshape(wide) * inverse
    means = dy.mean(axes, keepdims=True), (dy * unit).mean(axes, keepdims=True)
    dz = by * (dy - means[0] - unit * means[1])
    ds = (dz * x).sum(axes).reshape(scale.shape)
    for name, slope, before in (("g", dg, start["g"]), ("o", do, start["o"]), ("s", ds, scale)):
        np.testing.assert_allclose(run.states[name], before - slope, atol=2e-5)
    np.testing.assert_allclose(
        run.states["m"], 0.7 * start["m"] + 0.3 * mean.reshape(-1), atol=1e-5
    )
    np.testing.assert_allclose(
        run.states["v"], 0.7 * start["v"] + 0.3 * variance.reshape(-1), atol=1e-5
    )


DROPS = {
    "attribute": (node("Dropout", "z", "h", ratio=0.25), 11, {}),
    "input": (node("Dropout", "z p", "h"), 17, {"p": np.float32(0.25)}),
    "told to train": (
        helper.make_node("Dropout", ["z", "p", "t"], ["h", "mask"]),
        17,
        {"p": np.float32(0.25), "t": np.array(True)},
    ),
}


@pytest.mark.parametrize("form", DROPS)
def test_what_is_dropped_has_no_gradient_either(form: str) -> None:
    drop, opset, more = DROPS[form]
    model = perceptron(drop, opset=opset, **more)
    step = stepped(model, loss=MeanSquaredError())
    (name,) = step.draws
    assert step.draws[name] == (16, 10)
    run = Rehearsal(step, SGD())
    seen = [run.draws()[name]]
    start = {each: array.copy() for each, array in run.states.items()}
    x, targets = normal(16, 12), normal(16, 5)
    (loss,) = run.move({"x": x}, targets, 1.0).values()
    seen.append(run.draws()[name])
    assert (seen[0] != seen[1]).mean() > 0.9
    mask = (seen[0] >= 0.25 * 2**DRAW_BITS) / 0.75
    assert 0.1 < (mask == 0).mean() < 0.4
    h = (x @ start["w0"].T) * mask
    y = h @ start["w1"].T
    assert loss == pytest.approx(np.mean((y - targets) ** 2), rel=1e-5)
    dy = 2 * (y - targets) / y.size
    np.testing.assert_allclose(run.states["w1"], start["w1"] - dy.T @ h, atol=1e-5)
    dz = (dy @ start["w1"]) * mask
    np.testing.assert_allclose(run.states["w0"], start["w0"] - dz.T @ x, atol=1e-5)


@pytest.mark.parametrize("ratio", [0.0, 0.25])
def test_nothing_drops_where_nothing_shall(ratio: float) -> None:
    model = perceptron(node("Dropout", "z p", "h"), p=np.float32(ratio))
    step = stepped(model, dropout=ratio == 0.0)
    assert not step.draws
    assert "Dropout" not in {each.op_type for each in step.source.model.graph.node}


def test_dropouts_that_cannot_be_trained_are_refused() -> None:
    with pytest.raises(CompileError, match="drops a share") as caught:
        stepped(perceptron(node("Dropout", "z p", "h"), p=np.float32(1.0)))
    assert caught.value.code == "compile.bad-model"
    computed = [node("ReduceMax", "x", "p", keepdims=0), node("Dropout", "z p", "h")]
    with pytest.raises(CompileError, match="drops a share"):
        stepped(perceptron(*computed))
    masked = [
        helper.make_node("Dropout", ["z"], ["d", "mask"]),
        node("Cast", "mask", "m", to=1),
        node("Mul", "d m", "h"),
    ]
    with pytest.raises(CompileError, match="second output") as caught:
        stepped(perceptron(*masked))
    assert caught.value.code == "compile.bad-model"


# What is trained, and by what


NORM = node("BatchNormalization", "z g o m v", "h")


def norm_of(channels: int) -> dict[str, np.ndarray]:
    return {name[0]: array for name, array in statistics("", channels).items()}


@pytest.mark.parametrize(
    ("recipe", "running"),
    [
        ({}, True),
        ({"batch_norm": "frozen"}, False),
        ({"freeze": ("g",)}, False),
        ({"freeze": ("g", "o")}, False),
        ({"freeze": ("w0",)}, True),
    ],
    ids=str,
)
def test_statistics_run_unless_frozen(recipe: dict[str, Any], running: bool) -> None:
    step = stepped(perceptron(NORM, **norm_of(10)), **recipe)
    assert {"m", "v"} & step.served == ({"m", "v"} if running else set())
    assert {each.name for each in step.states} == step.served
    rest = {"w0", "w1", "g", "o"} - set(recipe.get("freeze", ()))
    assert {each.name for each in step.parameters} == rest


def test_by_statistics_of_the_file_gains_are_trained_as_inference_has_them() -> None:
    start = {"g": normal(10), "o": normal(10), "m": normal(10), "v": np.abs(normal(10))}
    model = perceptron(NORM, **start)
    step = stepped(model, batch_norm="frozen", loss=MeanSquaredError())
    run = Rehearsal(step, SGD())
    x, targets = normal(16, 12), normal(16, 5)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    y = session.run(None, {"x": x})[0]
    first = {name: array.copy() for name, array in run.states.items()}
    (loss,) = run.move({"x": x}, targets, 1.0).values()
    assert loss == pytest.approx(np.mean((y - targets) ** 2), rel=1e-5)
    dh = (2 * (y - targets) / y.size) @ first["w1"]
    unit = (x @ first["w0"].T - start["m"]) / np.sqrt(start["v"] + 1e-5)
    np.testing.assert_allclose(run.states["g"], start["g"] - (dh * unit).sum(0), rtol=1e-3)
    np.testing.assert_allclose(run.states["o"], start["o"] - dh.sum(0), rtol=1e-3, atol=1e-5)


def test_equal_constants_of_an_exporter_are_told_apart() -> None:
    """Written once: zeros that are offset and mean; by Identity: gains of another node."""
    nodes = [
        node("BatchNormalization", "z g zeros zeros ones", "n"),
        node("Relu", "n", "r"),
        node("Identity", "g", "g2"),
        node("BatchNormalization", "r g2 zeros zeros ones", "h"),
    ]
    ones, zeros = np.ones(10, np.float32), np.zeros(10, np.float32)
    step = stepped(perceptron(*nodes, g=ones, ones=ones, zeros=zeros))
    assert len(step.statistics) == len({each.name for each in step.statistics}) == 4
    names = {each.name for each in step.parameters if each.start.shape == (10,)}
    assert {"g", "g2"} < names
    assert "ones" not in names
    run = Rehearsal(step, SGD())
    run.move({"x": normal(16, 12)}, RNG.integers(0, 5, 16), 0.1)
    found = [run.states[each.name] for each in step.statistics]
    assert len({array.tobytes() for array in found}) == 4


def test_no_such_settings() -> None:
    with pytest.raises(UsageError, match="batch_norm"):
        Recipe(CrossEntropy(), SGD(), batch_norm="running")
    for name in ("batch_norm", "dropout"):
        with pytest.raises(UsageError, match=name):
            with_values(Plan(), {name: "some"})
    plan = with_values(Plan(), {"batch_norm": "frozen", "dropout": "none"})
    assert (plan.recipe().batch_norm, plan.recipe().dropout) == ("frozen", False)
    assert (Plan().recipe().batch_norm, Plan().recipe().dropout) == ("batch", True)


# Integers beside floats


def alike_in_a_step(made: Learner, of: Any, least: float) -> None:
    """The gradients, and what running statistics move by, beside those of floats."""
    ours, theirs = Integers(made), floats(made)
    program = made.program.model.checked.program
    loss = ours.move(of(200), 0.05)
    drawn_by_us = {}
    for name, shape in made.step.draws.items():
        kept = next(
            number
            for number, tensor in enumerate(program.tensors)
            if tensor.name == name.replace("/draw", "/drop/Greater_1")
        )
        drawn_by_us[name] = ours.run.values(0, kept).reshape(shape).astype(np.int32) * (
            2**DRAW_BITS - 1
        )
    theirs.draws = lambda: drawn_by_us  # type: ignore[method-assign]
    expected = theirs.run(of_one(of), lambda n: 0.05, 1)[0]
    assert loss == pytest.approx(expected, rel=0.05)
    starts = {each.name: each.start for each in made.step.statistics}
    for name, array in ours.states().items():
        if name.endswith("/velocity"):
            same, share = alike(array, theirs.states[name])
            assert same > least, (name, same)
            assert abs(share - 1.0) < 10 * (1.0 - least), (name, share)
        elif name in starts:
            same, share = alike(array - starts[name], theirs.states[name] - starts[name])
            assert same > 0.99, (name, same)
            assert 0.95 < share < 1.05, (name, share)


def of_one(of: Any) -> Any:
    return lambda step: of(200)


@pytest.mark.parametrize("products", [8, 16])
def test_integers_step_as_floats_do(products: int) -> None:
    of = batches(16, SHAPE, 4)
    made = learner(images(), SGD(momentum=0.9), of, form=Form(products=products))
    assert len(made.step.draws) == 1
    alike_in_a_step(made, of, 0.85 if products == 8 else 0.999)


def test_integers_drop_as_much_as_they_shall_and_other_elements_in_each_step() -> None:
    of = batches(16, SHAPE, 4)
    made = learner(images(0.4), SGD(momentum=0.9), of)
    program = made.program.model.checked.program
    draws = [
        tensor
        for tensor in program.tensors
        if tensor.role is Role.PRF and tensor.hi == 2**DRAW_BITS - 1
    ]
    assert [tensor.shape for tensor in draws] == [(16, 128)]
    names = [tensor.name for tensor in program.tensors]
    kept = names.index("d/drop/Greater_1")
    ours = Integers(made)
    for step in range(3):
        ours.move(of(step), 0.01)
    masks = [ours.run.values(step, kept) for step in range(3)]
    for mask in masks:
        assert abs((mask == 0).mean() - 0.4) < 0.05
    assert (masks[0] != masks[1]).mean() > 0.3


def test_running_statistics_become_those_of_the_data() -> None:
    of = batches(16, SHAPE, 4)
    made = learner(images(0.0), SGD(), of, rate=1e-6)
    ours = Integers(made)
    for step in range(80):
        ours.move(of(step), 1e-6)
    session = onnxruntime.InferenceSession(_with_output(images(0.0), "z0"))
    z = session.run(["z0"], {"x": np.concatenate([of(n)[0]["x"] for n in range(60, 80)])})[0]
    found = ours.states()
    spread = z.std((0, 2, 3))
    assert np.abs(found["m0"] - z.mean((0, 2, 3))).max() < 0.15 * spread.min()
    np.testing.assert_allclose(found["v0"], z.var((0, 2, 3)), rtol=0.1)


def _with_output(model: onnx.ModelProto, name: str) -> bytes:
    model.graph.output.append(helper.make_tensor_value_info(name, 1, None))
    return model.SerializeToString()


def test_a_run_from_the_seed_starts_statistics_anew() -> None:
    model = images()
    for tensor in model.graph.initializer:
        if tensor.name in ("m0", "v0"):
            seen = np.arange(3, 9, dtype=np.float32)
            tensor.CopyFrom(numpy_helper.from_array(seen, tensor.name))
    of = batches(16, SHAPE, 4)
    made = learner(model, SGD(momentum=0.9), of, form=Form(records=64, start="seed"))
    program, codes = made.program.model.checked.program, made.program.codes
    starts = {program.tensors[link.state].name: link.start for link in program.states}
    assert starts["m0"] == starts["m1"] == ConstantStart(0)
    for name in ("v0", "v1"):
        start = starts[name]
        assert isinstance(start, ConstantStart)
        assert start.value * codes[name].scale == 1.0
    from_file = learner(model, SGD(momentum=0.9), of, form=Form(records=64, start="file"))
    held = dict(zip(from_file.program.codes, from_file.program.start, strict=True))
    reals = from_file.program.reals({"v0": held["v0"]})["v0"]
    np.testing.assert_allclose(reals, np.arange(3, 9), rtol=1e-3)


def test_the_served_model_has_the_statistics_as_weights_and_drops_nothing() -> None:
    of = batches(16, SHAPE, 4)
    made = learner(images(), SGD(momentum=0.9), of, form=Form(records=64))
    assert made.program.served is not None
    served = made.program.served.model.checked.program
    weights = {served.tensors[number].name for number in served.of_role(Role.WEIGHT)}
    assert {"m0", "v0", "m1", "v1", "g0", "o0"} <= weights
    assert not served.of_role(Role.PRF)
    ops = {each.op for each in served_graph(made.step, OPERATORS, 1).nodes}
    assert ops.isdisjoint({"Dropout", "ReduceMean"})


@pytest.mark.parametrize("precision", ["int8", "int16"])
def test_a_network_is_trained_proven_and_served(precision: str) -> None:
    of = batches(256, SHAPE, 4)
    (records, labels), (tests, right) = of(0), of(7)
    model = images()
    found = training.train(
        model,
        (records["x"], labels),
        optimizer=training.SGD(lr=0.05, momentum=0.9),
        batch=16,
        steps=60,
        rehearsal=40,
        mode="fast",
        reveal=True,
        precision=precision,
    )
    assert found.losses[-10:].mean() < 0.1 * found.losses[:3].mean()
    assert found.verify().steps == 60
    held = found.parameters()
    for tensor in model.graph.initializer:
        if tensor.name in held:
            array = held[tensor.name].astype(np.float32).reshape(tuple(tensor.dims))
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    assert not np.array_equal(held["m0"], np.zeros(6))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    expected = session.run(None, {"x": tests["x"]})[0]
    scores = found.predict(tests["x"])["y"]
    assert (scores.argmax(1) == expected.argmax(1)).mean() >= 0.95
    assert (scores.argmax(1) == right).mean() >= 0.95
    power = (expected**2).sum() / ((expected - scores) ** 2).sum()
    assert 10 * np.log10(power) >= (20 if precision == "int8" else 40)


@pytest.mark.parametrize(
    "recipe",
    [{"batch_norm": "frozen"}, {"freeze": ("g0", "o1")}, {"freeze": ("g0", "o0")}],
    ids=str,
)
def test_statistics_that_stand_still_are_lowered_and_served(recipe: dict[str, Any]) -> None:
    """Also means that are 0 throughout, and a normalisation behind weights that are computed."""
    of = batches(16, SHAPE, 4)
    model = images(0.0)
    made = learner(model, SGD(momentum=0.9), of, form=Form(products=16), **recipe)
    alike_in_a_step(made, of, 0.99)
    served = learner(model, SGD(), of, form=Form(records=64, products=16), **recipe).program.served
    assert served is not None
    assert len(served.exports) == len(set(served.exports))


def test_statistics_that_the_model_computes_are_refused() -> None:
    constants = norm_of(10)
    del constants["m"]
    mean = node("ReduceMean", "z", "m", axes=[0], keepdims=0)
    with pytest.raises(CompileError, match="statistic 'm'") as caught:
        stepped(perceptron(mean, NORM, **constants))
    assert caught.value.code == "compile.bad-model"
