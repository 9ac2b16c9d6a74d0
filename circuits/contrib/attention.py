"""Attention in the forms of com.microsoft, and rotary positions.

Heads are [batch, heads, positions, size] throughout, but where several share one key: there they
are [batch, keys, heads of a key, positions, size], and the key is broadcast.
"""

from __future__ import annotations

import math

from onnx import TensorProto

from .emit import Emit

MASKED = -10000.0
"""What is added where a mask is 0, if the node does not say."""


def attention(emit: Emit) -> None:
    """One value attends to itself; three matrices lie in one."""
    x, weights = emit.given(0), emit.given(1)
    bias, mask, past, added = (emit.input(n) for n in range(2, 6))
    if emit.attribute("do_rotary", 0) or emit.attribute("qkv_hidden_sizes", None):
        raise emit.refuse("it has rotary positions, or unlike sizes of query, key and value")
    if emit.attribute("past_present_share_buffer", 0) or emit.input(6):
        raise emit.refuse("its past shares a buffer with its present")
    heads = int(emit.attribute("num_heads", 0))
    parts = [emit.op("MatMul", x, weight) for weight in emit.thirds(weights)]
    if bias:
        vectors = emit.thirds(bias)
        parts = [emit.op("Add", *pair) for pair in zip(parts, vectors, strict=True)]
    query, key, value = (split(emit, part, heads) for part in parts)
    if past:
        before = [emit.op("Gather", past, emit.integer(n), axis=0) for n in (0, 1)]
        key = emit.op("Concat", before[0], key, axis=2)
        value = emit.op("Concat", before[1], value, axis=2)
    if present := emit.output(1):
        pair = [emit.unsqueeze(part, 0) for part in (key, value)]
        emit.op("Concat", *pair, out=present, axis=0)
    _attended(emit, (query, key, value), added, mask)


def _attended(emit: Emit, parts: tuple[str, str, str], added: str | None, mask: str | None) -> None:
    """The output of query, key and value: scores, what is added to them, and both masks."""
    query, key, value = parts
    scores = products(emit, query, key, emit.attribute("scale", 0.0))
    if added:
        scores = emit.op("Add", scores, added)
    if emit.attribute("unidirectional", 0):
        scores = causal(emit, scores)
    if mask:
        scores = padded(emit, scores, mask)
    joined(emit, weighted(emit, scores, value))


def _presented(emit: Emit, key: str, value: str) -> None:
    """Keys and values with those of the past, where they are outputs."""
    for number, part in enumerate((key, value), start=1):
        if present := emit.output(number):
            emit.op("Identity", part, out=present)


def multi_head_attention(emit: Emit) -> None:
    """Query, key and value come as they are, but for a bias."""
    query, key, value, bias, mask, added, *past = (emit.input(n) for n in range(8))
    if not query or not key or not value:
        raise emit.refuse("query, key and value lie in one tensor")
    if emit.output(3):
        raise emit.refuse("its scores are an output")
    heads = int(emit.attribute("num_heads", 0))
    vectors = emit.thirds(bias) if bias else [None] * 3
    query, key, value = (
        name if len(emit.dims(name)) == 4 else split(emit, _plus(emit, name, vector), heads)
        for name, vector in zip((query, key, value), vectors, strict=True)
    )
    key, value = (_after(emit, *pair) for pair in zip((key, value), past, strict=True))
    _presented(emit, key, value)
    _attended(emit, (query, key, value), added, mask)


def attention_of_onnx(emit: Emit) -> None:
    """That of opset 23, but for scores as an output and windows, which its body has."""
    query, key, value = map(emit.given, range(3))
    windows = [emit.attribute(f"{side}_window_size", -1) for side in ("left", "right")]
    bounded = max(windows) >= 0 or (emit.input(6) and emit.attribute("is_causal", 0))
    if emit.output(3) or bounded:
        emit.keep()
        return
    heads, keys = (int(emit.attribute(name, 0)) for name in ("q_num_heads", "kv_num_heads"))
    flat = bool(heads)
    if flat:
        query = split(emit, query, heads)
        key, value = (split(emit, part, keys) for part in (key, value))
    else:
        heads, keys = emit.size(query, 1), emit.size(key, 1)
    past = emit.input(4)
    first = emit.length(past, 2) if past else emit.integer(0)
    key, value = _after(emit, key, past), _after(emit, value, emit.input(5))
    _presented(emit, key, value)
    shared = heads != keys
    if shared:
        query = _regrouped(emit, query, (keys, heads // keys), 2)
        key, value = (emit.unsqueeze(part, 2) for part in (key, value))
    scores = products(emit, query, key, emit.attribute("scale", 0.0), rank=5 if shared else 4)
    apart, scores = emit.op("Shape", scores), capped(emit, scores)
    scores = _regrouped(emit, scores, (heads,), 3) if shared else scores
    scores = _masked(emit, scores, first)
    weights = shares(emit, scores)
    weights = emit.op("Reshape", weights, apart) if shared else weights
    mixed = emit.op("MatMul", weights, value)
    mixed = _regrouped(emit, mixed, (heads,), 3) if shared else mixed
    if flat:
        joined(emit, mixed)
    else:
        emit.op("Identity", mixed, out=emit.node.output[0])


def _masked(emit: Emit, scores: str, first: str) -> str:
    """With the mask, of truths or addends; without keys beyond lengths, or after the query."""
    if mask := emit.input(3):
        if emit.kind(mask) == TensorProto.BOOL:
            scores = emit.op("Where", mask, scores, emit.number(-math.inf))
        else:
            scores = emit.op("Add", scores, mask)
    if lengths := emit.input(6):
        whole = emit.op("Cast", emit.reshape(lengths, -1, 1, 1, 1), to=TensorProto.INT32)
        scores = _within(emit, scores, whole)
    return causal(emit, scores, first=first) if emit.attribute("is_causal", 0) else scores


def _regrouped(emit: Emit, x: str, heads: tuple[int, ...], last: int) -> str:
    """Other axes for the heads, before those from the `last` on."""
    shape, end = emit.op("Shape", x), emit.integers(2**31)
    batch = emit.slice(shape, emit.integers(0), emit.integers(1), 0)
    rest = emit.slice(shape, emit.integers(last), end, 0)
    return emit.op("Reshape", x, emit.op("Concat", batch, emit.integers(*heads), rest, axis=0))


def capped(emit: Emit, scores: str) -> str:
    """Scores that a tanh keeps below `softcap`, if there is one."""
    cap = float(emit.attribute("softcap", 0.0))
    if not cap:
        return scores
    inner = emit.op("Tanh", emit.op("Div", scores, emit.number(cap)))
    return emit.op("Mul", inner, emit.number(cap))


def grouped_query_attention(emit: Emit) -> None:
    """Causal, without a past; several heads share one key."""
    query, key, value, lengths = emit.given(0), emit.input(1), emit.input(2), emit.input(5)
    if emit.input(3) or emit.input(4):
        raise emit.refuse("it has a past", "compile the model without its past")
    if any(emit.input(n) for n in range(9, len(emit.node.input))):
        raise emit.refuse("it has inputs beyond sin_cache")
    for name in ("smooth_softmax", "qk_output", "k_quant_type", "v_quant_type"):
        if emit.attribute(name, 0) not in (0, "NONE"):
            raise emit.refuse(f"its {name} is set")
    heads, keys = (int(emit.attribute(name, 0)) for name in ("num_heads", "kv_num_heads"))
    if not key or not value:
        query, key, value = _unpacked(emit, query, heads, keys)
    counts = (heads, keys, keys)
    apart = [
        emit.reshape(part, 0, 0, count, -1)
        for part, count in zip((query, key, value), counts, strict=True)
    ]
    if emit.attribute("do_rotary", 0):
        places = emit.range(emit.length(query, 1))
        angles = [
            emit.unsqueeze(emit.op("Gather", table, places), 1) for table in map(emit.given, (7, 8))
        ]
        apart[:2] = [rotated(emit, part, *angles) for part in apart[:2]]
    for number, part in enumerate(apart[1:], start=1):
        if present := emit.output(number):
            emit.transpose(part, 0, 2, 1, 3, out=present)
    groups = [
        emit.transpose(emit.reshape(part, 0, 0, keys, count // keys, -1), 0, 2, 3, 1, 4)
        for part, count in zip(apart, counts, strict=True)
    ]
    scores = products(emit, groups[0], groups[1], emit.attribute("scale", 0.0), rank=5)
    scores = capped(emit, scores)
    scores = causal(emit, scores, window=int(emit.attribute("local_window_size", -1)))
    if lengths and emit.is_computed(lengths):
        scores = _within(emit, scores, emit.reshape(lengths, -1, 1, 1, 1, 1), last=True)
    together = emit.transpose(emit.op("MatMul", shares(emit, scores), groups[2]), 0, 3, 1, 2, 4)
    emit.reshape(together, 0, 0, -1, out=emit.node.output[0])


def _unpacked(emit: Emit, packed: str, heads: int, keys: int) -> tuple[str, str, str]:
    """Query, key and value that lie one behind the other."""
    size = emit.op("Div", emit.length(packed, 2), emit.integer(heads + 2 * keys))
    ends = [
        emit.op("Mul", size, emit.integers(count))
        for count in (0, heads, heads + keys, heads + 2 * keys)
    ]
    query, key, value = (emit.slice(packed, ends[n], ends[n + 1]) for n in range(3))
    return query, key, value


def rotary_embedding(emit: Emit) -> None:
    """Pairs of values turned by angles; positions are given, or follow a first one."""
    x, places, cos, sin = map(emit.given, range(4))
    if emit.attribute("is_packed_batching", 0):
        raise emit.refuse("it packs its batch")
    size = 0 if emit.attribute("num_heads", 0) else 2 * emit.size(cos, -1)
    parts = _positions_first(emit, x, size)
    axis = len(emit.dims(places))
    if axis == 1:
        start = emit.op("Gather", places, emit.integer(0))
        places = emit.range(emit.length(parts, 1), start=start)
    angles = [emit.unsqueeze(emit.op("Gather", table, places), axis) for table in (cos, sin)]
    _back(emit, x, rotated(emit, parts, *angles))


def rotary_embedding_of_onnx(emit: Emit) -> None:
    """That of opset 23: without positions, the tables are those of each item."""
    x, cos, sin = map(emit.given, range(3))
    places = emit.input(3)
    tables = [emit.op("Gather", table, places) if places else table for table in (cos, sin)]
    parts = _positions_first(emit, x, 0)
    _back(emit, x, rotated(emit, parts, *(emit.unsqueeze(table, 2) for table in tables)))


def _positions_first(emit: Emit, x: str, size: int) -> str:
    """Heads as [batch, positions, heads, size]."""
    if len(emit.dims(x)) == 4:
        return emit.transpose(x, 0, 2, 1, 3)
    return emit.reshape(x, 0, 0, int(emit.attribute("num_heads", 0)) or -1, size or -1)


def _back(emit: Emit, x: str, turned: str) -> None:
    """The node's output, in the form of its input."""
    if len(emit.dims(x)) == 4:
        emit.transpose(turned, 0, 2, 1, 3, out=emit.node.output[0])
    else:
        emit.reshape(turned, 0, 0, -1, out=emit.node.output[0])


def rotated(emit: Emit, x: str, cos: str, sin: str) -> str:
    """Pairs of values turned by angles; what lies beyond their number stays."""
    half = emit.slice(emit.op("Shape", cos), emit.integers(-1), emit.integers(2**31), 0)
    whole, zero, end = emit.op("Add", half, half), emit.integers(0), emit.integers(2**31)
    beyond = None
    if emit.attribute("rotary_embedding_dim", 0):
        beyond = emit.slice(x, whole, end)
        x = emit.slice(x, zero, whole)
    if interleaved := emit.attribute("interleaved", emit.attribute("rotary_interleaved", 0)):
        real, other = (emit.slice(x, emit.integers(n), end, step=2) for n in (0, 1))
    else:
        real, other = emit.slice(x, zero, half), emit.slice(x, half, end)
    first = emit.op("Sub", emit.op("Mul", real, cos), emit.op("Mul", other, sin))
    second = emit.op("Add", emit.op("Mul", real, sin), emit.op("Mul", other, cos))
    if interleaved:
        pair = emit.op("Concat", emit.unsqueeze(first, 4), emit.unsqueeze(second, 4), axis=4)
        turned = emit.reshape(pair, 0, 0, 0, -1)
    else:
        turned = emit.op("Concat", first, second, axis=-1)
    return emit.op("Concat", turned, beyond, axis=-1) if beyond else turned


def split(emit: Emit, x: str, heads: int) -> str:
    """[batch, positions, width] as heads."""
    return emit.transpose(emit.reshape(x, 0, 0, heads, -1), 0, 2, 1, 3)


def products(emit: Emit, query: str, key: str, scale: float, rank: int = 4) -> str:
    """The scaled products of each query with each key."""
    axes = [*range(rank - 2), rank - 1, rank - 2]
    scores = emit.op("MatMul", query, emit.transpose(key, *axes))
    if scale:
        return emit.op("Mul", scores, emit.number(scale))
    size = emit.as_number(emit.length(query, -1))
    return emit.op("Div", scores, emit.op("Sqrt", size))


def causal(emit: Emit, scores: str, window: int = -1, first: str | None = None) -> str:
    """Nothing of what comes after the query, nor of what lies a window before it.

    The `first` query stands at this key; the last at the last one, if that is not given.
    """
    queries, keys = (emit.length(scores, axis) for axis in (-2, -1))
    first = first or emit.op("Sub", keys, queries)
    places = emit.op("Reshape", emit.range(queries, start=first), emit.integers(-1, 1))
    columns = emit.range(keys)
    scores = _without(emit, scores, emit.op("Less", places, columns))
    if window > 0:
        oldest = emit.op("Sub", places, emit.integers(window - 1))
        scores = _without(emit, scores, emit.op("Less", columns, oldest))
    return scores


def _without(emit: Emit, scores: str, hidden: str) -> str:
    return emit.op("Where", hidden, emit.number(-math.inf), scores)


def padded(emit: Emit, scores: str, mask: str) -> str:
    """What a mask hides: one of 0 and 1 for each key (and query), or the number of keys."""
    filler = float(emit.attribute("mask_filter_value", MASKED))
    rank = len(emit.dims(mask))
    if rank == 1:
        return _within(emit, scores, emit.reshape(mask, -1, 1, 1, 1), filler=filler)
    axes = {2: (1, 2), 3: (1,), 4: ()}[rank]
    shown = emit.as_number(emit.unsqueeze(mask, *axes) if axes else mask)
    hidden = emit.op("Sub", emit.number(1.0), shown)
    return emit.op("Add", scores, emit.op("Mul", hidden, emit.number(filler)))


def _within(
    emit: Emit, scores: str, lengths: str, *, last: bool = False, filler: float = -math.inf
) -> str:
    """Only the first keys of each item: as many as `lengths`, or up to the `last` one."""
    columns = emit.op("Cast", emit.range(emit.length(scores, -1)), to=TensorProto.INT32)
    if last:
        return _without(emit, scores, emit.op("Less", lengths, columns))
    return emit.op("Where", emit.op("Less", columns, lengths), scores, emit.number(filler))


def shares(emit: Emit, scores: str) -> str:
    """Softmax along the keys."""
    return emit.op("Softmax", scores, axis=-1)


def weighted(emit: Emit, scores: str, value: str) -> str:
    """Values by their shares."""
    return emit.op("MatMul", shares(emit, scores), value)


def joined(emit: Emit, heads: str) -> None:
    """Heads as [batch, positions, width], the node's output."""
    emit.reshape(emit.transpose(heads, 0, 2, 1, 3), 0, 0, -1, out=emit.node.output[0])


def _plus(emit: Emit, x: str, vector: str | None) -> str:
    return emit.op("Add", x, vector) if vector else x


def _after(emit: Emit, part: str, past: str | None) -> str:
    return emit.op("Concat", past, part, axis=2) if past else part
