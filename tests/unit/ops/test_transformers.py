"""Blocks of transformers, as exporters write them, against onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from support.blocks import Net, causal, gpt
from zktally.circuits.compile import compile
from zktally.circuits.report import Report

RNG = np.random.default_rng(37)
WIDTH, HEADS = 64, 4


def normal(*shape: int) -> np.ndarray:
    return RNG.normal(0, 1, shape).astype(np.float32)


def report(model: onnx.ModelProto, feeds: Any, items: int = 16) -> Report:
    return compile(model, feeds, evaluate=items).report


def worst(found: Report) -> float:
    """Over all layers, in dB."""
    return min(layer.sqnr_db for layer in found.layers if layer.sqnr_db is not None)


def lengths(items: int, length: int) -> np.ndarray:
    """Masks of items that are filled up with zeros."""
    return (np.arange(length) < RNG.integers(1, length + 1, (items, 1))).astype(np.int64)


@pytest.mark.parametrize("filler", [-1e4, float(np.finfo(np.float32).min)])
@pytest.mark.parametrize("length", [1, 7, 64, 128])
def test_bert(length: int, filler: float) -> None:
    net = Net(1)
    x = net.input("x", "n", length, WIDTH)
    mask = net.key_mask(net.input("m", "n", length, kind=TensorProto.INT64), filler)
    feeds = {"x": normal(16, length, WIDTH), "m": lengths(16, length)}
    found = report(net.model(net.bert(x, WIDTH, HEADS, mask)), feeds)
    assert worst(found) > 27
    assert found.top1 is not None
    assert found.top1 > 0.93


@pytest.mark.parametrize("length", [1, 7, 64, 128])
def test_gpt_block(length: int) -> None:
    net = Net(2)
    x = net.input("x", "n", length, WIDTH)
    found = report(net.model(net.gpt(x, WIDTH, HEADS, causal(length))), normal(16, length, WIDTH))
    assert worst(found) > 26


@pytest.mark.parametrize("length", [1, 7, 64])
def test_rotary_block(length: int) -> None:
    net = Net(3)
    x = net.input("x", "n", length, WIDTH)
    found = report(net.model(net.llama(x, length, WIDTH, HEADS)), normal(16, length, WIDTH))
    assert worst(found) > 24


@pytest.mark.parametrize("others", [1, 11, 64])
def test_cross_attention(others: int) -> None:
    net = Net(4)
    x, other = net.input("x", "n", 7, WIDTH), net.input("z", "n", others, WIDTH)
    model = net.model(net.attention(x, WIDTH, HEADS, of=other))
    assert worst(report(model, {"x": normal(16, 7, WIDTH), "z": normal(16, others, WIDTH)})) > 30


def test_shifted_windows() -> None:
    net = Net(5)
    x = net.input("x", "n", 12, 12, 32)
    assert worst(report(net.model(net.swin(x, 12, 4, 32, 2)), normal(8, 12, 12, 32), 8)) > 28


def test_patches_of_an_image() -> None:
    net = Net(6)
    image = net.input("x", "n", 3, 24, 24)
    found = report(net.model(net.vit(image, 4, 36, 32, 2)), normal(8, 3, 24, 24), 8)
    assert worst(found) > 22  # the last layer has ten classes of eight items
    assert found.top1 == 1.0


def test_next_tokens() -> None:
    """A small language model; the last layers' scores and the choice of the next token."""
    found = report(gpt(32, WIDTH, HEADS, 2, 101), {"ids": RNG.integers(0, 101, (16, 32))})
    assert worst(found) > 25
    assert found.top1 is not None
    assert found.top1 > 0.9


@pytest.mark.nightly
def test_twelve_layers() -> None:
    found = report(gpt(32, WIDTH, HEADS, 12, 101), {"ids": RNG.integers(0, 101, (24, 32))})
    assert worst(found) > 18
    assert found.top1 is not None
    assert found.top1 > 0.88


@pytest.mark.nightly
def test_a_block_as_wide_as_bert() -> None:
    net = Net(7)
    x = net.input("x", "n", 16, 768)
    assert worst(report(net.model(net.gpt(x, 768, 12, causal(16))), normal(8, 16, 768), 8)) > 28
