"""A language model of characters, trained here: a causal decoder on Python's own documentation.

What 8 and 16 bits do to a network that has learnt something differs from what they do to random
weights. The text is the topics of `help()`, which every Python brings along; the last tenth is
held out. Training runs in floats (circuits/training).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from ..circuits.ops import OPERATORS
from ..circuits.training.losses import CrossEntropy
from ..circuits.training.optimisers import Adam
from ..circuits.training.rehearsal import Rehearsal
from ..circuits.training.schedule import Schedule
from ..circuits.training.step import Recipe, training_step
from .blocks import Blocks, Port

Ids = npt.NDArray[np.int64]

CHARACTERS = 97
"""Those of ASCII that are printed, the end of a line, and one for all others."""

ITEMS = 16
"""Sequences of a training step."""


@dataclass(frozen=True)
class Size:
    """Layers, width, heads, and tokens of a sequence; how long it is trained, and how fast."""

    layers: int = 2
    width: int = 64
    heads: int = 4
    tokens: int = 32
    steps: int = 1000
    rate: float = 3e-3


SIZE = Size()
"""That of docs/figures.md."""


@dataclass(frozen=True)
class Text:
    """Characters as ids, int64 [n]: what a model is trained on, and what it has never seen."""

    trained: Ids
    held_out: Ids


def text() -> Text:
    """Python's documentation, topic by topic; its last tenth is held out."""
    from pydoc_data.topics import topics

    ids = _ids("".join(topics[name] for name in sorted(topics)))
    return Text(*np.split(ids, [len(ids) * 9 // 10]))


def _ids(characters: str) -> Ids:
    codes = np.frombuffer(characters.encode("ascii", "replace"), np.uint8).astype(np.int64)
    codes = np.where(codes == ord("\n"), 127, codes)
    return np.where((codes >= 32) & (codes <= 127), codes - 32, CHARACTERS - 1)


def sequences(ids: Ids, count: int, tokens: int, seed: int) -> tuple[Ids, Ids]:
    """So many sequences from anywhere, [count, tokens], and what follows each of their tokens.

    Training step n draws with seed n; others are negative.
    """
    starts = np.random.default_rng([abs(seed), seed < 0]).integers(0, len(ids) - tokens, count)
    at = starts[:, None] + np.arange(tokens)
    return ids[at], ids[at + 1]


def decoder(size: Size) -> onnx.ModelProto:
    """The model with random weights: input `ids` [batch, tokens], output the next one's scores."""
    net, width = Blocks(), size.width
    words = net.op("Gather", net.drawn(CHARACTERS, width, inputs=1, gain=0.01), "ids")
    x = net.op("Add", words, net.drawn(1, size.tokens, width, inputs=1, gain=0.01))
    seen = net.constant(np.tri(size.tokens, dtype=bool)[None, None], bool)
    never = net.constant(-10000.0)
    for _ in range(size.layers):
        x = net.causal(x, width, size.heads, lambda scores: net.op("Where", seen, scores, never))
    out = net.linear(net.normalised(x, width), width, CHARACTERS)
    inputs: dict[str, Port] = {"ids": (TensorProto.INT64, ["batch", size.tokens])}
    return net.model("decoder", inputs, out, ["batch", size.tokens, CHARACTERS])


def trained(size: Size, ids: Ids) -> tuple[onnx.ModelProto, list[float]]:
    """The model after training on a text, and the loss of each step."""
    model, optimiser = decoder(size), Adam(weight_decay=0.01)
    recipe = Recipe(CrossEntropy(), optimiser, clip_norm=1.0)
    step = training_step(model, recipe, OPERATORS, batch=ITEMS)
    run = Rehearsal(step, optimiser)
    schedule = Schedule(size.rate, size.steps, "cosine", warmup=size.steps // 20)

    def batches(number: int) -> tuple[Mapping[str, Ids], Ids]:
        read, following = sequences(ids, ITEMS, size.tokens, number)
        return {"ids": read}, following

    losses = run.run(batches, schedule.at, size.steps)
    for tensor in model.graph.initializer:
        if tensor.name in run.states:
            tensor.CopyFrom(numpy_helper.from_array(run.states[tensor.name], tensor.name))
    return model, losses
