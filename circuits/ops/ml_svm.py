"""SVMClassifier and SVMRegressor: kernels of the input and each support vector, and their sums.

A linear kernel makes the whole a linear model. For the others the columns have one code of 16 bits,
in which support vectors are told, too: products and squared distances are then exact, and a table
of 2^16 points gives the kernel, in 15 bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...verifier.program.ranges import Q_MAX
from ...verifier.program.types import Const, PickMode, Term
from ..builder import Builder, Value
from ..graph import Graph, Node
from ..maps import along, over
from ..operator import Operator, first, uncompared
from ..quantise import BIAS_MAX, Affine, Floats, Ints, multiplier
from .comparisons import TRUTH
from .ml_columns import COLUMNS_MAX, DOMAIN, Part, is_table, joined, parts, width
from .ml_linear import weighted
from .ml_scores import labels_of, largest, transform_of, used, written
from .ml_scores import support as support_scores
from .reduction import reach

CLASSIFIER, REGRESSOR = f"{DOMAIN}SVMClassifier", f"{DOMAIN}SVMRegressor"

KERNELS = ("LINEAR", "RBF", "SIGMOID")
VECTORS_MAX, COLUMNS_OF_VECTORS_MAX = 2**14, 2**12
EXPONENT_MAX, HYPERBOLE_MAX = 11.0, 6.0
"""Where exp(−x) and 1 − tanh(x) are 0 to within half a step of 15 bits."""
POINTS = 2**16 - 1


@dataclass(frozen=True)
class Machine:
    """Support vectors [vectors, columns], what each adds to each sum [sums, vectors], biases."""

    kernel: str
    gamma: float
    constant: float
    vectors: Floats
    weight: Floats
    bias: Floats


def pairs(count: int) -> list[tuple[int, int]]:
    """The pairs of classes, in the order of their sums."""
    return [(i, j) for i in range(count) for j in range(i + 1, count)]


def machine(node: Node, columns: int) -> Machine:
    """What a node computes.

    Raises:
        ValueError, KeyError: its attributes do not fit each other.
    """
    given = node.attributes
    gamma, constant = (float(value) for value in (given.get("kernel_params") or [0.0, 0.0])[:2])
    vectors = np.asarray(given.get("support_vectors") or [], np.float64).reshape(-1, columns)
    coefficients = np.asarray(given["coefficients"], np.float64)
    bias = np.asarray(given["rho"], np.float64)
    if node.op == REGRESSOR:
        if not len(vectors):
            raise ValueError("it has no support vectors")
        weight, bias = coefficients.reshape(1, len(vectors)), bias[:1]
    else:
        weight = _pairwise(given, coefficients, len(vectors))
        bias = bias[: len(weight)]
    kernel = str(given.get("kernel_type", "LINEAR"))
    return Machine(kernel, gamma, constant, vectors, weight, bias)


def _pairwise(given: object, coefficients: Floats, count: int) -> Floats:
    """Weights [pairs, vectors]: a class's vectors have a coefficient for each other class."""
    sizes = [int(size) for size in given["vectors_per_class"]]  # type: ignore[index]
    rows = coefficients.reshape(len(sizes) - 1, count)
    stops = np.cumsum([0, *sizes])
    if stops[-1] != count:
        raise ValueError("its support vectors are not those of its classes")
    weight = np.zeros((len(pairs(len(sizes))), count))
    for number, (i, j) in enumerate(pairs(len(sizes))):
        weight[number, stops[i] : stops[i + 1]] = rows[j - 1, stops[i] : stops[i + 1]]
        weight[number, stops[j] : stops[j + 1]] = rows[i, stops[j] : stops[j + 1]]
    return weight


def support(node: Node, graph: Graph) -> str | None:
    """Known kernels of finite numbers; no probabilities, which take an iteration."""
    reason = is_table(node, graph)
    if reason is not None:
        return reason
    if node.op == CLASSIFIER and not node.attributes.get("vectors_per_class"):
        return "it has no support vectors; export a linear model as a LinearClassifier"
    try:
        found = machine(node, width(node, graph))
    except (ValueError, KeyError, TypeError, IndexError):
        return "its attributes do not fit each other, or it has no support vectors"
    return first(
        _unfit(node, found, width(node, graph)),
        support_scores(node, _transform(node), len(found.weight)),
        _probabilities(node, graph),
    )


def _unfit(node: Node, found: Machine, columns: int) -> str | None:
    numbers = (found.vectors, found.weight, found.bias)
    sums = len(pairs(len(labels_of(node)))) if node.op == CLASSIFIER else 1
    if found.kernel not in KERNELS:
        return f"its kernel is {found.kernel}; LINEAR, RBF and SIGMOID compile"
    if not all(np.isfinite(array).all() for array in numbers):
        return "a support vector, a coefficient or rho is not finite"
    if len(found.weight) != sums or len(found.bias) != sums:
        return "its coefficients or rho are not those of its classes"
    if len(found.vectors) > VECTORS_MAX or columns > COLUMNS_OF_VECTORS_MAX:
        most = f"{VECTORS_MAX:,} support vectors or {COLUMNS_OF_VECTORS_MAX:,} columns"
        return f"it has more than {most}"
    if found.kernel == "RBF" and not found.gamma > 0:
        return f"the gamma of its kernel is {found.gamma:g}, which is not above 0"
    return None


def _transform(node: Node) -> str:
    """What is done to sums; onnxruntime does nothing to that of a regressor."""
    name = transform_of(node)
    return "NONE" if node.op == REGRESSOR and name != "PROBIT" else name


def _probabilities(node: Node, graph: Graph) -> str | None:
    if node.attributes.get("prob_a") and used(node, graph, 1):
        return (
            "its probabilities are the result of an iteration; train it with probability=False, "
            "or use its label alone"
        )
    return None


def lower_classifier(node: Node, builder: Builder) -> None:
    """The sums of all pairs; each is a vote, and the class of most votes is the label."""
    raw = _sums(node, builder)
    labels = labels_of(node)
    if used(node, builder.graph, 0):
        votes = _votes(builder, raw, len(labels))
        largest(node, builder, votes, labels)
    transform = transform_of(node)
    if len(labels) > 2:
        written(node, builder, raw, 1, transform)
    elif transform == "SOFTMAX":
        written(node, builder, raw, 1, "NONE", [(-1, 1.0), (1, 0.0)])
    else:
        written(node, builder, raw, 1, transform, [(-1, 0.0), (1, 0.0)])


def _votes(builder: Builder, raw: Value, count: int) -> Value:
    """How many pairs each class wins: the first of a pair where its sum is positive."""
    truths = builder.temporary("won", raw.shape, TRUTH)
    each = (along(0), along(1))
    score = builder.read(raw, each, raw=True)
    builder.pick(truths, raw.shape, score, Const(0), mode=PickMode.GREATER, suffix="won")
    matrix = np.zeros((count, raw.shape[1]), np.int64)
    lost = np.zeros(count, np.int64)
    for number, (i, j) in enumerate(pairs(count)):
        matrix[i, number], matrix[j, number] = 1, -1
        lost[j] += 1
    space = (raw.shape[0], count)
    out = builder.temporary("votes", space, Affine(1.0, 0, 0, count - 1), 2)
    weight = builder.weight("votes", matrix, 1, (along(1), over(0)))
    bias = builder.weight("pairs", lost, count, (along(1),), signed=False)
    won = builder.read(truths, (along(0), over(0)), raw=True)
    builder.dot(out, space, [Term((raw.shape[1],), won, weight)], bias=bias, suffix="votes")
    return out


def lower_regressor(node: Node, builder: Builder) -> None:
    """One sum; of one class, its sign."""
    raw = _sums(node, builder)
    if not node.attributes.get("one_class", 0):
        written(node, builder, raw, 0, "NONE")
        return
    truth = builder.temporary("inside", raw.shape, TRUTH)
    score = builder.read(raw, (along(0), along(1)), raw=True)
    builder.pick(truth, raw.shape, score, Const(0), mode=PickMode.GREATER, suffix="inside")
    out = builder.define(node, Affine(1.0, 0, -1, 1))
    terms = [Term((), builder.read(truth, (along(0), along(1)), raw=True), Const(2))]
    builder.dot(out, raw.shape, terms, bias=Const(-1), suffix="sign")


def _sums(node: Node, builder: Builder) -> Value:
    """All sums, [rows, sums]."""
    found = machine(node, width(node, builder.graph))
    if found.kernel == "LINEAR":
        return weighted(
            builder, parts(node, builder), found.weight @ found.vectors, found.bias, "sum"
        )
    x = joined(node, builder, "columns")
    kernel = (
        _distances(builder, x, found) if found.kernel == "RBF" else _products(builder, x, found)
    )
    return weighted(builder, [Part(0, kernel)], found.weight, found.bias, "sum")


def _distances(builder: Builder, x: Value, found: Machine) -> Value:
    """exp(−γ·|x − v|²): the squares' sum is x·x − 2·x·v + v·v, all of it exact."""
    vectors = _on_grid(x, found.vectors)
    count, columns = vectors.shape
    peak = max(int(np.abs(vectors).max()), 1)
    here = builder.read(x, (along(0), over(0)))
    weight = builder.weight("vectors", -2 * vectors, 2 * peak, (along(1), over(0)))
    squares: Ints = (vectors**2).sum(axis=1)
    constant, power = _scaled(squares)
    added = builder.weight("squares", constant, BIAS_MAX, (along(1),))
    largest_x = reach(x.code)
    most = columns * largest_x * (largest_x + 2 * peak) + float(squares.max()) * 2
    unit = found.gamma * x.code.scale**2
    step = max(EXPONENT_MAX / POINTS, 1.01 * most * unit / (Q_MAX - 2**17))
    table = _table(builder, 0, lambda q: np.exp(-q * step))
    out = builder.temporary("kernels", (x.shape[0], count), KERNEL, 2)
    terms = [
        Term((columns,), here, here),
        Term((columns,), here, weight),
        Term((), added, Const(power)),
    ]
    mult, shift = multiplier("kernels", unit / step)
    builder.dot(
        out, out.shape, terms, mult=Const(mult), shift=shift, zero=0, table=table, suffix="kernels"
    )
    return out


KERNEL = Affine(1.0 / COLUMNS_MAX, 0, -COLUMNS_MAX, COLUMNS_MAX)


def _scaled(numbers: Ints) -> tuple[Ints, int]:
    """Numbers as products of 24 bits with one power of 2."""
    power = 2 ** max(int(np.abs(numbers).max()).bit_length() - 23, 0)
    return np.asarray(np.rint(numbers / power), np.int64), power


def _on_grid(x: Value, vectors: Floats) -> Ints:
    """Support vectors in the code of the columns, beyond its ends where they lie there."""
    grid = np.rint(vectors / x.code.scale)
    return np.clip(grid, -2 * COLUMNS_MAX, 2 * COLUMNS_MAX).astype(np.int64)


def _table(builder: Builder, lo: int, function: Callable[[Floats], Floats]) -> int:
    """A table of a kernel at 2^16 points from `lo` on."""
    points = np.arange(lo, lo + POINTS + 1, dtype=np.float64)
    values = KERNEL.quantise(function(points))
    return builder.integer_table("kernel", lo, values)


def _products(builder: Builder, x: Value, found: Machine) -> Value:
    """tanh(γ·x·v + c) by a table over γ·x·v."""
    vectors = _on_grid(x, found.vectors)
    count, columns = vectors.shape
    peak = max(int(np.abs(vectors).max()), 1)
    bound = columns * reach(x.code) * peak * x.code.scale**2 * abs(found.gamma)
    limit = HYPERBOLE_MAX + abs(found.constant)
    step = max(2 * limit / POINTS, 1.01 * bound / (Q_MAX - 2**17))
    sign = -1 if found.gamma < 0 else 1
    table = _table(builder, -(POINTS // 2) - 1, lambda q: np.tanh(sign * q * step + found.constant))
    out = builder.temporary("kernels", (x.shape[0], count), KERNEL, 2)
    weight = builder.weight("vectors", vectors, peak, (along(1), over(0)))
    terms = [Term((columns,), builder.read(x, (along(0), over(0))), weight)]
    mult, shift = multiplier("kernels", x.code.scale**2 * abs(found.gamma) / step or 2.0**-30)
    builder.dot(
        out, out.shape, terms, mult=Const(mult), shift=shift, zero=0, table=table, suffix="kernels"
    )
    return out


OPERATORS = (
    Operator((CLASSIFIER,), lower_classifier, support, columns=uncompared, takes_integers=True),
    Operator((REGRESSOR,), lower_regressor, support, columns=uncompared, takes_integers=True),
)
