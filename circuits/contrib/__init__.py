"""Operators of com.microsoft, onnxruntime's own domain, and some of ONNX, written by others.

So each has one lowering, that of ONNX. The written-out model stands for the file in all that
follows: its values in between are those that are calibrated and compared.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import onnx

from ..source import RUNTIME, Source, operator, reads
from . import attention, layers, products, recurrent, unpool
from .emit import Emit

OPSET = 11
"""The least version of ONNX's operators by which they are written."""

OF_RUNTIME: Mapping[str, Callable[[Emit], None]] = {
    "Attention": attention.attention,
    "BiasGelu": layers.gelu,
    "DynamicQuantizeLSTM": recurrent.dynamic_quantize_lstm,
    "EmbedLayerNormalization": layers.embed_layer_norm,
    "FastGelu": layers.fast_gelu,
    "FusedConv": layers.fused_conv,
    "FusedGemm": layers.fused_gemm,
    "Gelu": layers.gelu,
    "GroupQueryAttention": attention.grouped_query_attention,
    "MultiHeadAttention": attention.multi_head_attention,
    "QuickGelu": layers.quick_gelu,
    "RotaryEmbedding": attention.rotary_embedding,
    "SkipLayerNormalization": layers.skip_layer_norm,
    "SkipSimplifiedLayerNormalization": layers.skip_layer_norm,
}
"""By the operator's name in that domain."""

OF_ONNX: Mapping[str, Callable[[Emit], None]] = {
    "Attention": attention.attention_of_onnx,
    "CumProd": products.cum_prod,
    "GlobalLpPool": products.lp_pool,
    "LpPool": products.lp_pool,
    "MaxUnpool": unpool.max_unpool,
    "ReduceProd": products.reduce_prod,
    "RotaryEmbedding": attention.rotary_embedding_of_onnx,
}
"""Those of ONNX: of Attention and RotaryEmbedding the onnx package has bodies, which ask whether a
mask is infinite, and split off parts without elements."""

REWRITES: Mapping[str, Callable[[Emit], None]] = {
    **{f"{RUNTIME}.{name}": rewrite for name, rewrite in OF_RUNTIME.items()},
    **OF_ONNX,
}
"""By operator."""


def expand(source: Source) -> Source:
    """The model with these operators written out.

    Raises:
        UnsupportedOp: a form of one of them that has no such writing.
    """
    graph = source.model.graph
    if source.opset < OPSET or not any(map(_rewrite, graph.node)):
        return source
    read = {name for node in graph.node for name in reads(node)}
    read |= {output.name for output in graph.output}
    nodes, made = list(graph.node), onnx.ModelProto()
    made.CopyFrom(source.model)
    del made.graph.node[:]
    for node in nodes:
        rewrite = _rewrite(node)
        if rewrite is None:
            made.graph.node.append(node)
        else:
            emit = Emit(node, made, source.opset, read)
            try:
                rewrite(emit)
                emit.refuse_unasked()
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                raise emit.refuse("its attributes or inputs do not fit each other") from error
            made.graph.node.extend(emit.nodes)
    return replace(source, model=made)


def _rewrite(node: onnx.NodeProto) -> Callable[[Emit], None] | None:
    return REWRITES.get(operator(node))
