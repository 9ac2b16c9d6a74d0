"""Operators of onnxruntime's own domain against onnxruntime, and ONNX's Attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from support.compared import run_both, sqnr
from zktally.circuits.compile import compile
from zktally.circuits.contrib.emit import Emit
from zktally.circuits.errors import CompileError, UnsupportedOp

RNG = np.random.default_rng(35)
HEADS, LENGTH, WIDTH = 4, 7, 16


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def model_of(
    op: str,
    inputs: str,
    given: dict[str, np.ndarray],
    constants: dict[str, np.ndarray],
    *,
    outputs: str = "y",
    domain: str = "com.microsoft",
    opset: int = 17,
    **attributes: Any,
) -> onnx.ModelProto:
    """One node; a dash is an input or output that is absent."""
    names, made = (
        ["" if name == "-" else name for name in part.split()] for part in (inputs, outputs)
    )
    node = helper.make_node(op, names, made, name="node", domain=domain, **attributes)
    graph = helper.make_graph(
        [node],
        "test",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), ["n", *array.shape[1:]]
            )
            for name, array in given.items()
        ],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in made if name],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def judge(
    op: str,
    inputs: str,
    given: dict[str, np.ndarray],
    constants: dict[str, np.ndarray] | None = None,
    *,
    least: float = 34.0,
    **options: Any,
) -> None:
    model = model_of(op, inputs, given, constants or {}, **options)
    _, expected, found = run_both(model, given)
    for real, other in zip(expected, found, strict=True):
        assert sqnr(real, other) > least


def rows() -> dict[str, np.ndarray]:
    return {"x": normal(3, 5, 16)}


VECTORS = {"g": normal(16), "b": normal(16), "c": normal(16)}


@pytest.mark.parametrize("opset", [11, 13, 17, 20])
@pytest.mark.parametrize(
    ("op", "inputs"),
    [
        ("Gelu", "x"),
        ("FastGelu", "x"),
        ("FastGelu", "x b"),
        ("BiasGelu", "x b"),
        ("QuickGelu", "x"),
    ],
)
def test_gelus(op: str, inputs: str, opset: int) -> None:
    judge(op, inputs, rows(), {"b": VECTORS["b"]} if "b" in inputs else {}, opset=opset)


def test_quick_gelu_with_a_slope() -> None:
    judge("QuickGelu", "x", rows(), alpha=0.7)


@pytest.mark.parametrize(
    ("left", "right", "turned"),
    [
        ((5, 16), (16, 7), {}),
        ((5, 16), (7, 16), {"transB": 1}),
        ((16, 5), (16, 7), {"transA": 1}),
        ((16, 5), (7, 16), {"transA": 1, "transB": 1}),
    ],
)
@pytest.mark.parametrize("constant", [False, True])
def test_fused_products(
    left: tuple[int, int], right: tuple[int, int], turned: dict[str, int], constant: bool
) -> None:
    given, held = {"x": normal(3, *left)}, {}
    if constant:
        held["z"] = normal(*right)
    else:
        given["z"] = normal(3, *right)
    judge("FusedMatMul", "x z", given, held, alpha=0.25, **turned)


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [({"transBatchA": 1}, "batch axes"), ({"alpha": -1.0}, "alpha is not above 0")],
)
def test_fused_products_that_are_refused(attributes: dict[str, Any], reason: str) -> None:
    given = {"x": normal(3, 3, 5), "z": normal(3, 5, 5)}
    model = model_of("FusedMatMul", "x z", given, {}, **attributes)
    with pytest.raises(UnsupportedOp, match=reason):
        compile(model, given, shapes={name: array.shape for name, array in given.items()})


@pytest.mark.parametrize(
    "attributes",
    [
        {"activation": "Relu"},
        {"activation": "LeakyRelu", "activation_alpha": 0.1, "alpha": 0.5, "beta": 2.0},
        {"activation": "Tanh", "transB": 1},
    ],
)
def test_fused_gemm(attributes: dict[str, Any]) -> None:
    shape = (7, 16) if attributes.get("transB") else (16, 7)
    judge(
        "FusedGemm",
        "x w b",
        {"x": normal(3, 16)},
        {"w": normal(*shape), "b": normal(7)},
        **attributes,
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"activation": "Relu", "pads": [1, 0, 0, 1], "strides": [2, 1]},
        {"activation": "Clip", "activation_params": [0.0, 2.0]},
        {"activation": "LeakyRelu", "activation_params": [0.2]},
        {"activation": "HardSigmoid", "activation_params": [0.3, 0.4], "dilations": [2, 1]},
    ],
)
def test_fused_conv(attributes: dict[str, Any]) -> None:
    held = {"w": normal(7, 4, 3, 3), "b": normal(7)}
    judge("FusedConv", "x w b", {"x": normal(3, 4, 5, 5)}, held, **attributes)


def test_fused_conv_with_a_sum() -> None:
    held = {"w": normal(7, 4, 3, 3), "b": normal(7)}
    given = {"x": normal(3, 4, 5, 5), "z": normal(3, 7, 3, 3)}
    judge("FusedConv", "x w b z", given, held, activation="Relu")


@pytest.mark.parametrize(
    ("op", "inputs", "outputs"),
    [
        ("SkipLayerNormalization", "x z g", "y"),
        ("SkipLayerNormalization", "x z g b", "y"),
        ("SkipLayerNormalization", "x z g b c", "y - - s"),
        ("SkipLayerNormalization", "x z g - c", "y"),
        ("SkipSimplifiedLayerNormalization", "x z g", "y - - s"),
        ("SkipSimplifiedLayerNormalization", "x z g c", "y - - s"),
    ],
)
def test_sums_normalised(op: str, inputs: str, outputs: str) -> None:
    given = {**rows(), "z": normal(3, 5, 16)}
    held = {name: VECTORS[name] for name in inputs.split() if name in VECTORS}
    judge(op, inputs, given, held, outputs=outputs, epsilon=1e-3)


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("op", ["SimplifiedLayerNormalization", "LayerNormalization"])
def test_norms_in_the_domain_of_onnx(op: str, opset: int) -> None:
    """Where onnxruntime has put them, whatever the opset."""
    judge(op, "x g", rows(), {"g": VECTORS["g"]}, domain="", opset=opset, axis=-1, epsilon=1e-6)


@pytest.mark.parametrize("segments", [False, True])
def test_embeddings(segments: bool) -> None:
    given = {"i": RNG.integers(0, 11, (3, 5)).astype(np.int32)}
    held = {"w": normal(11, 16), "p": normal(9, 16), "g": VECTORS["g"], "b": VECTORS["b"]}
    names = "i - w p - g b"
    if segments:
        given["s"] = RNG.integers(0, 2, (3, 5)).astype(np.int32)
        held["k"], names = normal(2, 16), "i s w p k g b"
    judge("EmbedLayerNormalization", names, given, held, outputs="y -")
    judge("EmbedLayerNormalization", names, given, held, outputs="y - e")


PRODUCTS = {"w": normal(WIDTH, 3 * WIDTH) * np.float32(0.3), "b": normal(3 * WIDTH)}
SHOWN = (np.arange(LENGTH) < np.array([[7], [3], [1]])).astype(np.int32)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("mask", ["none", "lengths", "keys", "queries", "low"])
def test_attention(mask: str, causal: int) -> None:
    given, options = {"x": normal(3, LENGTH, WIDTH)}, {}
    if mask != "none":
        given["m"] = {
            "lengths": SHOWN.sum(axis=1).astype(np.int32),
            "queries": np.repeat(SHOWN[:, None], LENGTH, 1),
        }.get(mask, SHOWN)
    if mask == "low":
        options["mask_filter_value"] = -3.4e38
    names = "x w b m" if mask != "none" else "x w b"
    judge("Attention", names, given, PRODUCTS, num_heads=HEADS, unidirectional=causal, **options)


def test_attention_with_a_bias_of_places() -> None:
    given = {"x": normal(3, LENGTH, WIDTH)}
    held = {**PRODUCTS, "r": normal(1, HEADS, LENGTH, LENGTH)}
    judge("Attention", "x w b - - r", given, held, num_heads=HEADS, scale=0.3)


def test_multi_head_attention() -> None:
    given = {name: normal(3, LENGTH, WIDTH) for name in "qkv"}
    judge("MultiHeadAttention", "q k v", given, num_heads=HEADS)
    held = {"b": PRODUCTS["b"]}
    judge("MultiHeadAttention", "q k v b", given, held, num_heads=HEADS, unidirectional=1)
    judge("MultiHeadAttention", "q k v b m", {**given, "m": SHOWN}, held, num_heads=HEADS)
    given["q"] = normal(3, 5, WIDTH)
    bias = {"r": normal(1, HEADS, 5, LENGTH)}
    judge("MultiHeadAttention", "q k v - - r", given, bias, num_heads=HEADS, scale=0.3)


def test_multi_head_attention_after_a_past() -> None:
    given = {name: normal(3, LENGTH, WIDTH) for name in "qkv"}
    given |= {name: normal(3, HEADS, 2, WIDTH // HEADS) for name in "ac"}
    names, outputs = "q k v - - - a c", "y pk pv"
    judge("MultiHeadAttention", names, given, num_heads=HEADS, outputs=outputs)


def angles(half: int) -> dict[str, np.ndarray]:
    turns = np.arange(LENGTH)[:, None] / 1e4 ** (np.arange(half) / half)
    return {"c": np.cos(turns).astype(np.float32), "s": np.sin(turns).astype(np.float32)}


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("case", ["width", "heads", "places", "part"])
def test_rotary_positions(case: str, interleaved: int) -> None:
    options: dict[str, Any] = {"interleaved": interleaved}
    given = {"x": normal(3, HEADS, LENGTH, 4) if case == "heads" else normal(3, LENGTH, WIDTH)}
    held = {"p": np.array([0]), **angles(2)}
    if case == "places":
        given["p"] = RNG.integers(0, LENGTH, (3, LENGTH))
        del held["p"]
    if case == "part":
        given["x"] = normal(3, LENGTH, 32)
        options |= {"num_heads": HEADS, "rotary_embedding_dim": 4}
    judge("RotaryEmbedding", "x p c s", given, held, **options)


@pytest.mark.parametrize("case", ["plain", "rotary", "packed", "window", "lengths"])
def test_grouped_query_attention(case: str) -> None:
    given = {"q": normal(3, LENGTH, 64), "k": normal(3, LENGTH, 32), "v": normal(3, LENGTH, 32)}
    last = np.full(3, LENGTH - 1, np.int32)
    held = {"l": last, "t": np.array(LENGTH, np.int32)}
    names, options = "q k v - - l t", {"num_heads": 4, "kv_num_heads": 2}
    if case in ("rotary", "packed"):
        names += " c s"
        held |= angles(8)
        options["do_rotary"] = 1
    if case == "rotary":
        options["outputs"] = "y pk pv"
    if case == "packed":
        given = {"q": normal(3, LENGTH, 128)}
        names, options["rotary_interleaved"] = "q - - - - l t c s", 1
    if case == "window":
        options |= {"local_window_size": 3, "softcap": 2.0}
    if case == "lengths":
        given["l"] = held.pop("l")
    judge("GroupQueryAttention", names, given, held, **options)


@pytest.mark.parametrize(
    ("op", "inputs", "options", "reason"),
    [
        ("Attention", "x w b", {"do_rotary": 1}, "rotary positions"),
        ("Attention", "x w b", {"qkv_hidden_sizes": [16, 16, 16]}, "unlike sizes"),
        ("Attention", "x", {}, "input 1 is absent"),
        ("MultiHeadAttention", "x", {}, "lie in one tensor"),
        ("GroupQueryAttention", "x x x x x l t", {}, "it has a past"),
        ("GroupQueryAttention", "x x x - - l t", {"smooth_softmax": 1}, "smooth_softmax"),
        ("RotaryEmbedding", "x l b b", {"is_packed_batching": 1}, "packs its batch"),
        ("FusedGemm", "x w", {"activation": "Mystery"}, "'Mystery' is not known"),
        ("SkipLayerNormalization", "x x b", {"outputs": "y m"}, "mean or deviation"),
    ],
)
def test_forms_that_are_refused(op: str, inputs: str, options: dict[str, Any], reason: str) -> None:
    given = {"x": normal(3, LENGTH, WIDTH)}
    held = {**PRODUCTS, "l": np.zeros(3, np.int32), "t": np.array(LENGTH, np.int32)}
    options = dict(options)
    if "Attention" in op:
        options |= {"num_heads": HEADS}
    if op.startswith("Group"):
        options |= {"kv_num_heads": HEADS}
    model = model_of(op, inputs, given, held, **options)
    with pytest.raises(CompileError, match=reason) as caught:
        compile(model, given)
    assert caught.value.code == "compile.unsupported-op"


# ONNX's own operators, which have bodies in the onnx package

FOUR = {name: normal(2, HEADS, LENGTH, 8) for name in "qkv"}


@pytest.mark.parametrize("opset", [23, 24])
@pytest.mark.parametrize(
    ("shapes", "options"),
    [
        (((4, 7, 8), (4, 7, 8), (4, 7, 8)), {}),
        (((4, 7, 8), (4, 7, 8), (4, 7, 8)), {"is_causal": 1}),
        (((4, 7, 8), (4, 7, 8), (4, 7, 8)), {"softcap": 2.0, "scale": 0.3}),
        (((4, 5, 8), (4, 11, 8), (4, 11, 3)), {}),
        (((4, 7, 8), (2, 7, 8), (2, 7, 8)), {}),
        (((7, 32), (7, 32), (7, 32)), {"q_num_heads": 4, "kv_num_heads": 4}),
        (((7, 32), (7, 16), (7, 16)), {"q_num_heads": 4, "kv_num_heads": 2, "is_causal": 1}),
    ],
)
def test_onnx_attention(shapes: Any, options: dict[str, Any], opset: int) -> None:
    given = {name: normal(2, *shape) for name, shape in zip("qkv", shapes, strict=True)}
    judge("Attention", "q k v", given, domain="", opset=opset, **options)


@pytest.mark.parametrize("filler", [-1e9, -np.inf])
@pytest.mark.parametrize("options", [{}, {"softcap": 2.0}, {"is_causal": 1}])
@pytest.mark.parametrize("kind", ["truths", "addends"])
@pytest.mark.parametrize("given", [False, True])
def test_onnx_attention_with_a_mask(
    given: bool, kind: str, options: dict[str, Any], filler: float
) -> None:
    shown = RNG.random((2, 1, LENGTH, LENGTH)) < 0.7
    shown[..., 0] = True
    mask = shown if kind == "truths" else np.where(shown, 0.0, filler).astype(np.float32)
    if given and np.isinf(filler) and kind == "addends":
        pytest.skip("inputs are finite")
    inputs, held = ({**FOUR, "m": mask}, {}) if given else (FOUR, {"m": mask[0, 0]})
    judge("Attention", "q k v m", inputs, held, domain="", opset=23, **options)


@pytest.mark.parametrize("causal", [0, 1])
@pytest.mark.parametrize("keys", [2, HEADS])
def test_onnx_attention_after_a_past(keys: int, causal: int) -> None:
    given = {"q": FOUR["q"]} | {name: normal(2, keys, LENGTH, 8) for name in "kv"}
    given |= {name: normal(2, keys, 3, 8) for name in "ac"}
    mask = {"m": np.zeros((LENGTH, LENGTH + 3), np.float32)}
    options: dict[str, Any] = {"domain": "", "opset": 23, "outputs": "y pk pv"}
    judge("Attention", "q k v m a c", given, mask, is_causal=causal, **options)


def test_onnx_attention_of_shared_keys_with_all_there_is() -> None:
    given = {"q": FOUR["q"]} | {name: normal(2, 2, LENGTH, 8) for name in "kv"}
    shown = RNG.random((2, HEADS, LENGTH, LENGTH)) < 0.7
    shown[..., 0] = True
    given["m"] = np.where(shown, 0.0, -1e9).astype(np.float32)
    options: dict[str, Any] = {"domain": "", "opset": 24, "softcap": 1.5, "is_causal": 1}
    judge("Attention", "q k v m", given, **options)


def test_onnx_attention_with_lengths() -> None:
    given = {**FOUR, "l": np.array([LENGTH, 3])}
    judge("Attention", "q k v - - - l", given, domain="", opset=24)


def test_onnx_attention_whose_scores_are_an_output() -> None:
    """By the body of the onnx package."""
    options: dict[str, Any] = {"domain": "", "opset": 23, "outputs": "y - - s"}
    judge("Attention", "q k v", FOUR, **options)


@pytest.mark.parametrize("options", [{}, {"interleaved": 1}, {"rotary_embedding_dim": 4}])
@pytest.mark.parametrize("case", ["heads", "width", "places"])
def test_onnx_rotary_positions(case: str, options: dict[str, Any]) -> None:
    given, options = {"x": normal(3, HEADS, LENGTH, 8)}, {**options, "domain": "", "opset": 23}
    if case == "width":
        given["x"], options["num_heads"] = normal(3, LENGTH, 8 * HEADS), HEADS
    held, names = angles(2 if "rotary_embedding_dim" in options else 4), "x c s"
    if case == "places":
        given["p"], names = RNG.integers(0, LENGTH, (3, LENGTH)), "x c s p"
    else:
        held = {name: np.tile(array[None], (3, 1, 1)) for name, array in held.items()}
    model = model_of("RotaryEmbedding", names, given, held, **options)
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_value = 3
    _, (expected,), (found,) = run_both(model, given)
    assert sqnr(expected, found) > 34


@pytest.mark.parametrize(
    ("op", "attributes"),
    [("Attention", {"num_heads": "many"}), ("GroupQueryAttention", {"num_heads": 2})],
)
def test_attributes_that_do_not_fit_are_refused(op: str, attributes: dict[str, Any]) -> None:
    made = helper.make_node(op, ["x"] * 3, ["y"], domain="com.microsoft", **attributes)
    graph = helper.make_graph(
        [made],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    with pytest.raises(UnsupportedOp, match="do not fit each other"):
        compile(model, {"x": np.ones((1, 3, 4), np.float32)})


@pytest.mark.parametrize(("op", "domain"), [("BiasGelu", "com.microsoft"), ("RotaryEmbedding", "")])
def test_attributes_that_are_not_written_out_are_refused(op: str, domain: str) -> None:
    """What a newer version adds to an operator must not be left out silently."""
    x = normal(3, LENGTH, WIDTH)
    node = helper.make_node(op, ["x", "b", "b"], ["y"], name="node", domain=domain, unheard_of=3)
    model = model_of(op, "x b b", {"x": x}, {"b": normal(WIDTH)}, domain=domain, opset=23)
    emit = Emit(node, model, 23, {"y"})
    with pytest.raises(UnsupportedOp, match="'unheard_of' is not written out"):
        emit.refuse_unasked()
    emit.attributes()
    emit.refuse_unasked()
