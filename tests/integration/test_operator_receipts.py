"""A receipt for every pattern of gates that operators lower to, judged by both verifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

import zktally as api
from support.classical import FLOAT, INT64, ml, table_model
from support.compared import network, node, with_bits

RNG = np.random.default_rng(15)
BACKENDS = ("rust", "python")


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


FIVE = {"x": ("n", 5), "z": ("n", 5)}
AXIS = {"a": np.array([1])}
PATTERNS: dict[str, tuple[Any, ...]] = {
    "a table of a composite": (
        [node("Sigmoid", "x", "s"), node("Mul", "x s", "y")],
        {"x": ("n", 5)},
    ),
    "a fine table fused into a sum": (
        [
            node("Abs", "x", "a"),
            node("Add", "a e", "h"),
            node("Log", "h", "l"),
            node("Add", "l z", "y"),
        ],
        FIVE,
        {"e": np.full((1, 5), 1e-3, np.float32)},
    ),
    "a computed divisor": ([node("Exp", "z", "d"), node("Div", "x d", "y")], FIVE),
    "slopes by channel": ([node("PRelu", "x s", "y")], {"x": ("n", 5)}, {"s": normal(5)}),
    "values beside each other": ([node("Min", "x z c", "y")], FIVE, {"c": normal(5)}),
    "a comparison and a choice": (
        [node("Greater", "x z", "g"), node("Xor", "g m", "t"), node("Where", "t x c", "y")],
        FIVE,
        {"m": np.array([True, False, True, True, False]), "c": normal(5)},
    ),
    "a truth as an output": (
        [node("Less", "x z", "l"), node("Not", "l", "y")],
        FIVE,
        {},
        TensorProto.BOOL,
    ),
    "a norm": ([node("ReduceL2", "x a", "y")], {"x": ("n", 5)}, AXIS),
    "a product": ([node("ReduceProd", "x a", "y")], {"x": ("n", 5)}, AXIS),
    "the logarithm of a sum": ([node("LogSoftmax", "x", "y")], {"x": ("n", 5)}),
    "the last index": (
        [node("ArgMin", "x", "y", axis=1, select_last_index=1)],
        {"x": ("n", 5)},
        {},
        TensorProto.INT64,
    ),
    "a running sum": ([node("CumSum", "x a", "y")], {"x": ("n", 5)}, {"a": np.array(1)}),
    "norms of windows": (
        [node("LpPool", "x", "y", kernel_shape=[2, 2], pads=[1, 0, 0, 1])],
        {"x": ("n", 2, 3, 3)},
    ),
    "deviations divided by a root": (
        [node("LayerNormalization", "x g b", "y")],
        {"x": ("n", 5)},
        {"g": normal(5), "b": normal(5)},
    ),
    "quotients and bytes of integers": (
        [
            *(node("Cast", name, f"{name}i", to=TensorProto.INT32) for name in "xz"),
            node("Mul", "xi k", "m"),
            node("Mul", "zi zi", "s"),
            node("Add", "s one", "d"),
            node("Mod", "m d", "r"),
            node("Div", "m d", "q"),
            node("BitwiseXor", "q r", "b"),
            node("Max", "b xi", "y"),
        ],
        FIVE,
        {"k": np.array(1001, np.int32), "one": np.array(1, np.int32)},
        TensorProto.INT32,
    ),
    "ranks": ([node("TopK", "x k", "y i", largest=0)], {"x": ("n", 5)}, {"k": np.array([3])}),
    "one of a line": ([node("Hardmax", "x", "y")], {"x": ("n", 5)}),
    "powers by logarithms": (
        [node("Abs", "x", "a"), node("Pow", "a z", "y")],
        FIVE,
    ),
    "waves": ([node("DFT", "x", "y", axis=1)], {"x": ("n", 5, 1)}),
    "samples at known places": (
        [node("Col2Im", "x s b", "y")],
        {"x": ("n", 8, 4)},
        {"s": np.array([3, 3]), "b": np.array([2, 2])},
    ),
    "steps of an LSTM": (
        [
            node("Transpose", "x", "t", perm=[1, 0, 2]),
            node("LSTM", "t w r b - - - p", "s", hidden_size=3, direction="bidirectional"),
            node("Transpose", "s", "y", perm=[2, 0, 1, 3]),
        ],
        {"x": ("n", 3, 2)},
        {"w": normal(2, 12, 2), "r": normal(2, 12, 3), "b": normal(2, 24), "p": normal(2, 9)},
    ),
    "steps of a GRU": (
        [
            node("Transpose", "x", "t", perm=[1, 0, 2]),
            node("GRU", "t w r b", "s", hidden_size=3, linear_before_reset=1),
            node("Transpose", "s", "y", perm=[2, 0, 1, 3]),
        ],
        {"x": ("n", 3, 2)},
        {"w": normal(1, 9, 2), "r": normal(1, 9, 3), "b": normal(1, 18)},
    ),
    "sequences that end apart": (
        [
            node("Reshape", "x shape", "t"),
            node("GRU", "t w r - l", "y", hidden_size=3, direction="reverse"),
        ],
        {"x": (1, 24)},
        {
            "shape": np.array([4, 3, 2]),
            "w": normal(1, 9, 2),
            "r": normal(1, 9, 3),
            "l": np.array([4, 2, 3], np.int32),
        },
    ),
    "attention behind a mask": (
        [
            node("MatMul", "x z", "s"),
            node("Div", "s c", "d"),
            node("Add", "d m", "h"),
            node("Softmax", "h", "p", axis=-1),
            node("MatMul", "p x", "y"),
        ],
        {"x": ("n", 5, 5), "z": ("n", 5, 5)},
        {"c": np.float32(2.0), "m": np.triu(np.full((5, 5), -np.inf, np.float32), 1)},
    ),
    "shares of many values": (
        [node("Softmax", "x", "p", axis=-1), node("MatMul", "p z", "y")],
        {"x": ("n", 1, 600), "z": ("n", 600, 2)},
    ),
    "neighbouring channels": ([node("LRN", "x", "y", size=3)], {"x": ("n", 5, 2, 2)}),
}
LONG: dict[str, tuple[Any, ...]] = {
    "a sum of parts": ([node("LogSoftmax", "x", "y")], {"x": ("n", 16_400)}),
}


@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_both_verifiers_accept_it(pattern: str, mode: str) -> None:
    prove_and_verify(mode, *PATTERNS[pattern])


@pytest.mark.nightly
@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("pattern", LONG)
def test_both_verifiers_accept_long_ones(pattern: str, mode: str) -> None:
    prove_and_verify(mode, *LONG[pattern])


def prove_and_verify(mode: str, nodes: Any, inputs: Any, *rest: Any) -> None:
    kind = rest[1] if len(rest) > 1 else TensorProto.FLOAT
    model = network(nodes, inputs, rest[0] if rest else {}, kind=kind, opset=18)
    data = {name: normal(6, *shape[1:]) for name, shape in inputs.items()}
    compiled = api.compile(model, data, public=True)
    receipt = api.prove(compiled, {name: rows[:1] for name, rows in data.items()}, mode=mode)
    for backend in BACKENDS:
        assert api.verify(receipt.data, compiled.model_id, backend=backend).outputs


def forest() -> Any:
    """Six stumps of three classes, and one tree of two levels; columns in two parts."""
    nodes: dict[str, list[Any]] = {
        "treeids": [t for t in range(6) for _ in range(3)] + [6] * 5,
        "nodeids": [0, 1, 2] * 6 + [0, 1, 2, 3, 4],
        "featureids": [n % 5 for n in range(23)],
        "values": RNG.normal(0, 0.5, 23).tolist(),
        "modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 6 + ["BRANCH_EQ", "BRANCH_GT"] + ["LEAF"] * 3,
        "truenodeids": [1, 0, 0] * 6 + [1, 3, 0, 0, 0],
        "falsenodeids": [2, 0, 0] * 6 + [2, 4, 0, 0, 0],
    }
    leaves = [(t, n) for t in range(6) for n in (1, 2)] + [(6, n) for n in (2, 3, 4)]
    return ml(
        "TreeEnsembleClassifier", "j", "label scores", classlabels_int64s=[4, 0, 9],
        post_transform="SOFTMAX", class_treeids=[t for t, _ in leaves for _ in range(3)],
        class_nodeids=[n for _, n in leaves for _ in range(3)], class_ids=[0, 1, 2] * len(leaves),
        class_weights=RNG.normal(0, 1, 3 * len(leaves)).tolist(),
        **{f"nodes_{key}": value for key, value in nodes.items()},
    )  # fmt: skip


def machine() -> Any:
    return ml(
        "SVMClassifier", "s", "label scores", kernel_type="RBF", kernel_params=[0.3, 0.0, 3.0],
        coefficients=RNG.normal(0, 1, 12).tolist(), rho=[0.1, -0.2, 0.3],
        support_vectors=RNG.normal(0, 1, 30).tolist(), vectors_per_class=[2, 1, 3],
        classlabels_ints=[0, 1, 2],
    )  # fmt: skip


JOINED = ml("FeatureVectorizer", "x z", "j", inputdimensions=[3, 2])
SCALED = ml("Scaler", "j", "s", offset=[0.1] * 5, scale=[1.0, 2.0, 0.5, 3.0, 1.5])
TABLES: dict[str, Any] = {
    "trees": [JOINED, forest()],
    "a machine": [JOINED, SCALED, machine()],
    "a share of each row": [
        JOINED,
        ml("LinearClassifier", "j", "label p", classlabels_ints=[0, 1, 2], intercepts=[0.1] * 3,
           coefficients=RNG.normal(0, 1, 15).tolist(), post_transform="LOGISTIC"),
        ml("Normalizer", "p", "scores", norm="L1"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("pattern", TABLES)
def test_both_verifiers_accept_tables(pattern: str, mode: str) -> None:
    inputs = {"x": (FLOAT, 3), "z": (FLOAT, 2)}
    model = table_model(TABLES[pattern], inputs, {"label": INT64, "scores": FLOAT})
    data = {"x": normal(9, 3), "z": normal(9, 2)}
    compiled = api.compile(model, data, public=True)
    receipt = api.prove(compiled, {name: rows[:1] for name, rows in data.items()}, mode=mode)
    for backend in BACKENDS:
        assert api.verify(receipt.data, compiled.model_id, backend=backend).outputs


WIDE: dict[str, tuple[Any, ...]] = {
    "a wide sum with a wide bias": (
        [node("Gemm", "x w b", "h"), node("Sigmoid", "h", "y")],
        {"x": ("n", 5)},
        {"w": normal(5, 3), "b": 30 * normal(3)},
        {},
    ),
    "operands with and without zeros": (
        [node("MatMul", "x w", "h"), node("Mul", "x z", "m"), node("Add", "m h", "y")],
        FIVE,
        {"w": normal(5, 5)},
        {"x": 8, "h": 8},
    ),
    "a fine softmax": ([node("Softmax", "x", "y", axis=1)], {"x": ("n", 5)}, {}, {}),
    "a fine norm": (
        [node("LayerNormalization", "x s", "y", axis=1)],
        {"x": ("n", 5)},
        {"s": np.ones(5, np.float32)},
        {},
    ),
}
"""What 16 bits make of patterns, with the bits of the values that keep fewer."""


@pytest.mark.parametrize("mode", ["fast", "hybrid", "strict"])
@pytest.mark.parametrize("pattern", WIDE)
def test_both_verifiers_accept_wide_values(pattern: str, mode: str) -> None:
    nodes, inputs, constants, narrow = WIDE[pattern]
    model = network(nodes, inputs, constants, opset=18)
    data = {name: normal(6, *shape[1:]) for name, shape in inputs.items()}
    compiled = with_bits(model, data, narrow)
    assert any(tensor.width > 1 for tensor in compiled.checked.program.tensors)
    receipt = api.prove(compiled, {name: rows[:1] for name, rows in data.items()}, mode=mode)
    for backend in BACKENDS:
        assert api.verify(receipt.data, compiled.model_id, backend=backend).outputs
