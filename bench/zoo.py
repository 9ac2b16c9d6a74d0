"""Networks of the kinds that people train in torch, small but with the graphs of the real ones.

`python -m zktally.bench.zoo FOLDER [NAME ...]` writes each by both of torch's exporters, compiles
it with 8 bits and with as many as it needs, and compares it with onnxruntime. It needs torch and
onnxscript. Weights are random: figures are about the arithmetic, not about what a network has
learnt.
"""

# Where torch is absent mypy knows nothing of it; `forward` is torch's name for what a module does.
# mypy: disallow-subclassing-any=False, warn-return-any=False
# ruff: noqa: D102

from __future__ import annotations

import argparse
import json
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 (as everyone calls it)

from ..circuits.compile import compile
from ..circuits.precision import Precision
from ..errors import ZktallyError
from .cells import Column, Row, formats, machines_text, markdown_table, paragraph, text_table
from .machine import describe
from .real import compared, reasons
from .real_files import best
from .real_inputs import Array, picture
from .timing import cpu_seconds

EXPORTERS = {"torchscript": False, "dynamo": True}
OPSET = 18

CALIBRATED, FRESH = 40, 32
"""Samples that set ranges, of which a fifth chooses bits, and others that the figures are from."""


@dataclass(frozen=True)
class Made:
    """A network, what makes one input of it [1, ...], and the axis of its output's classes."""

    network: Callable[[], nn.Module]
    inputs: Callable[[np.random.Generator], Array]
    axis: int = -1


def images(size: int) -> Callable[[np.random.Generator], Array]:
    """Pictures, normalised as usual."""

    def draw_one(draw: np.random.Generator) -> Array:
        return ((picture(draw, size, size) - 0.45) / 0.25).transpose(2, 0, 1)[None].astype("f4")

    return draw_one


def tokens(length: int, most: int) -> Callable[[np.random.Generator], Array]:
    """Token ids of which some come often, as in any text."""
    return lambda draw: np.minimum(draw.zipf(1.3, (1, length)), most - 1).astype(np.int64)


def conv(
    into: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, act: Any = None
) -> nn.Sequential:
    """Convolution, batch normalisation, activation."""
    layers = [nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)]
    return nn.Sequential(*layers, nn.BatchNorm2d(out), *([act()] if act else []))


class Residual(nn.Module):
    """A basic block of ResNet."""

    def __init__(self, into: int, out: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv(into, out, 3, stride, act=nn.ReLU), conv(out, out, 3))
        self.short = conv(into, out, 1, stride) if stride > 1 or into != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.short(x))


def resnet18() -> nn.Module:
    """ResNet-18 at its depth and widths."""
    blocks, into = [], 64
    for out, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Residual(into, out, stride), Residual(out, out, 1)]
        into = out
    stem = [conv(3, 64, 7, 2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 100))


class Squeeze(nn.Module):
    """Squeeze and excitation: channels scaled by a gate that sees all of the image."""

    def __init__(self, width: int, inner: int, act: Any, gate: Any) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, inner, 1), act(), nn.Conv2d(inner, width, 1)
        )
        self.squash = gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.squash(self.gate(x))


class Inverted(nn.Module):
    """An inverted residual with a depthwise convolution, of MobileNetV3 and EfficientNet."""

    def __init__(
        self, into: int, out: int, spread: int, kernel: int, stride: int, act: Any, gate: Any
    ) -> None:
        super().__init__()
        inner = into * spread
        layers = [conv(into, inner, act=act)] if spread > 1 else []
        layers.append(conv(inner, inner, kernel, stride, inner, act))
        if gate is not None:
            layers.append(Squeeze(inner, max(into // 4, 4), act, gate))
        self.body = nn.Sequential(*layers, conv(inner, out))
        self.adds = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


def mobilenet_v3() -> nn.Module:
    """MobileNetV3-Small: SE by HardSigmoid, HardSwish in its later blocks."""
    rows: tuple[tuple[int, ...], ...] = (
        (16, 1, 3, 2, 0, 1),
        (24, 4, 3, 2, 0, 0),
        (24, 4, 3, 1, 0, 0),
        (40, 4, 5, 2, 1, 1),
    )
    rows += ((40, 6, 5, 1, 1, 1), (48, 3, 5, 1, 1, 1), (96, 6, 5, 2, 1, 1), (96, 6, 5, 1, 1, 1))
    blocks, into = [], 16
    for out, spread, kernel, stride, swish, squeezes in rows:
        act, gate = nn.Hardswish if swish else nn.ReLU, nn.Hardsigmoid if squeezes else None
        blocks.append(Inverted(into, out, spread, kernel, stride, act, gate))
        into = out
    head = [conv(96, 576, act=nn.Hardswish), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    head += [nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, 100)]
    return nn.Sequential(conv(3, 16, 3, 2, act=nn.Hardswish), *blocks, *head)


def efficientnet_b0() -> nn.Module:
    """EfficientNet-B0 at its depth and widths: SiLU, SE by Sigmoid."""
    rows: tuple[tuple[int, ...], ...] = (
        (16, 1, 3, 1, 1),
        (24, 6, 3, 2, 2),
        (40, 6, 5, 2, 2),
        (80, 6, 3, 2, 3),
    )
    rows += ((112, 6, 5, 1, 3), (192, 6, 5, 2, 4), (320, 6, 3, 1, 1))
    blocks, into = [], 32
    for out, spread, kernel, stride, count in rows:
        for n in range(count):
            step = stride if n == 0 else 1
            blocks.append(Inverted(into, out, spread, kernel, step, nn.SiLU, nn.Sigmoid))
            into = out
    head = [conv(320, 1280, act=nn.SiLU), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(conv(3, 32, 3, 2, act=nn.SiLU), *blocks, *head, nn.Linear(1280, 100))


class Attention(nn.Module):
    """Attention of several heads, whose queries and keys are turned.

    A bias is added to all scores; a mask [windows, length, length] to those of every image's.
    """

    def __init__(self, width: int, heads: int, turn: Any = None) -> None:
        super().__init__()
        self.heads, self.turn = heads, turn
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        batch, length, width = x.shape
        parts = self.qkv(x).view(batch, length, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        if self.turn is not None:
            q, k = self.turn(q), self.turn(k)
        scores = q @ k.transpose(-2, -1) / math.sqrt(width // self.heads)
        scores = scores if bias is None else scores + bias
        if mask is not None:
            apart = scores.view(-1, len(mask), self.heads, length, length) + mask[:, None]
            scores = apart.view(-1, self.heads, length, length)
        shares = scores.softmax(-1)
        return self.out((shares @ v).transpose(1, 2).reshape(batch, length, width))


class RmsNorm(nn.Module):
    """As language models write it themselves: torch's older exporter knows no other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.rand(width) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.gain


class Block(nn.Module):
    """A block of a transformer, normalised before (ViT, GPT) or after (BERT)."""

    def __init__(self, width: int, heads: int, *, first: bool = True, turn: Any = None) -> None:
        super().__init__()
        norm = RmsNorm if turn is not None else nn.LayerNorm
        self.attention, self.first = Attention(width, heads, turn), first
        self.one, self.two = norm(width), norm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor, bias: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        if self.first:
            x = x + self.attention(self.one(x), bias, mask)
            return x + self.mlp(self.two(x))
        x = self.one(x + self.attention(x, bias, mask))
        return self.two(x + self.mlp(x))


class ViT(nn.Module):
    """A ViT: patches, a class token, blocks, a head on the token."""

    def __init__(self, size: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.randn(1, 1, width) * 0.5)
        self.places = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width) * 0.5)
        self.blocks = nn.ModuleList([Block(width, 3) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 100)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), patches], 1) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


class Swin(nn.Module):
    """Two blocks of window attention, the second shifted, with relative position biases."""

    def __init__(self, size: int, window: int, width: int) -> None:
        super().__init__()
        self.side, self.window = size // 4, window
        self.patches = nn.Conv2d(3, width, 4, 4)
        self.blocks = nn.ModuleList([Block(width, 3) for _ in range(2)])
        self.table = nn.Parameter(torch.randn(2, 3, (2 * window - 1) ** 2) * 0.5)
        at = torch.stack(torch.meshgrid(*[torch.arange(window)] * 2, indexing="ij")).flatten(1)
        apart = at[:, :, None] - at[:, None, :] + window - 1
        self.register_buffer("nearness", apart[0] * (2 * window - 1) + apart[1])
        self.register_buffer("mask", self._mask())
        self.merge, self.head = nn.Linear(4 * width, 2 * width), nn.Linear(2 * width, 100)
        self.norm = nn.LayerNorm(4 * width)

    def _mask(self) -> Tensor:
        """Windows that the shift has joined must not see each other."""
        part = torch.zeros(1, self.side, self.side, 1)
        shift = self.window // 2
        edges = (slice(-self.window), slice(-self.window, -shift), slice(-shift, None))
        for n, (a, b) in enumerate([(a, b) for a in edges for b in edges]):
            part[:, a, b] = n
        ids = self._parted(part).squeeze(-1)
        return (ids[:, None, :] != ids[:, :, None]).float() * -100.0

    def _parted(self, x: Tensor) -> Tensor:
        batch, side, _, width = x.shape
        count = side // self.window
        parts = x.view(batch, count, self.window, count, self.window, width)
        return parts.permute(0, 1, 3, 2, 4, 5).reshape(-1, self.window**2, width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        count, shift = self.side // self.window, self.window // 2
        for n, block in enumerate(self.blocks):
            x = torch.roll(x, (-shift, -shift), (1, 2)) if n else x
            bias = self.table[n][:, self.nearness.view(-1)].view(1, 3, *self.nearness.shape)
            parts = block(self._parted(x), bias, self.mask if n else None)
            parts = parts.view(-1, count, count, self.window, self.window, x.shape[-1])
            x = parts.permute(0, 1, 3, 2, 4, 5).reshape(-1, self.side, self.side, x.shape[-1])
            x = torch.roll(x, (shift, shift), (1, 2)) if n else x
        quarters = [x[:, a::2, b::2] for b in (0, 1) for a in (0, 1)]
        return self.head(self.merge(self.norm(torch.cat(quarters, -1))).mean((1, 2)))


class Bert(nn.Module):
    """BERT-mini for sequences: embeddings, blocks, a pooled head."""

    def __init__(self, most: int, length: int, width: int, depth: int) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(most, width), nn.Embedding(length, width)
        self.norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList([Block(width, 4, first=False) for _ in range(depth)])
        self.pool, self.head = nn.Linear(width, width), nn.Linear(width, 10)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.norm(self.words(ids) + self.places.weight[: ids.shape[1]])
        for block in self.blocks:
            x = block(x)
        return self.head(torch.tanh(self.pool(x[:, 0])))


class Rotary(nn.Module):
    """Queries and keys turned by their place."""

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        angles = torch.outer(torch.arange(length), 10000 ** (-torch.arange(0, width, 2) / width))
        whole = torch.cat([angles, angles], -1)
        self.register_buffer("cos", whole.cos())
        self.register_buffer("sin", whole.sin())

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, -1)
        return x * self.cos + torch.cat([-b, a], -1) * self.sin


class Gpt(nn.Module):
    """A causal language model with rotary embeddings and RMSNorm."""

    def __init__(self, most: int, length: int, width: int, depth: int) -> None:
        super().__init__()
        self.words = nn.Embedding(most, width)
        turn = Rotary(length, width // 4)
        self.blocks = nn.ModuleList([Block(width, 4, turn=turn) for _ in range(depth)])
        self.norm, self.head = RmsNorm(width), nn.Linear(width, most, bias=False)
        self.register_buffer("mask", torch.full((length, length), -math.inf).triu(1))

    def forward(self, ids: Tensor) -> Tensor:
        x = self.words(ids)
        for block in self.blocks:
            x = block(x, self.mask)
        return self.head(self.norm(x))


class Tagger(nn.Module):
    """An LSTM in both directions that tags each token."""

    def __init__(self, most: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(most, width)
        self.lstm = nn.LSTM(width, width, 2, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * width, 17)

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.lstm(self.words(ids))[0])


class UNet(nn.Module):
    """Down, up by transposed convolutions and by resizing, what was left out joined again."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.one = self._twice(3, width)
        self.two = self._twice(width, 2 * width)
        self.deep = self._twice(2 * width, 4 * width)
        self.up = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.three = self._twice(4 * width, 2 * width)
        self.wide = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.four, self.head = self._twice(3 * width, width), nn.Conv2d(width, 4, 1)

    def _twice(self, into: int, out: int) -> nn.Sequential:
        return nn.Sequential(conv(into, out, 3, act=nn.ReLU), conv(out, out, 3, act=nn.ReLU))

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        two = self.two(F.max_pool2d(one, 2))
        deep = self.up(self.deep(F.max_pool2d(two, 2)))
        three = self.three(torch.cat([two, deep], 1))
        return self.head(self.four(torch.cat([one, self.wide(three)], 1)))


ZOO = {
    "resnet18": Made(resnet18, images(64)),
    "mobilenet_v3": Made(mobilenet_v3, images(64)),
    "efficientnet_b0": Made(efficientnet_b0, images(64)),
    "vit": Made(lambda: ViT(32, 4, 48, 4), images(32)),
    "swin": Made(lambda: Swin(32, 4, 48), images(32)),
    "bert": Made(lambda: Bert(500, 32, 64, 4), tokens(32, 500)),
    "gpt": Made(lambda: Gpt(500, 32, 64, 4), tokens(32, 500)),
    "lstm": Made(lambda: Tagger(500, 32), tokens(20, 500)),
    "unet": Made(lambda: UNet(8), images(32), axis=-3),
}


def settled(made: Made, draw: np.random.Generator) -> nn.Module:
    """The network with the statistics of its normalisations measured, as after training."""
    torch.manual_seed(0)
    network = made.network()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.from_numpy(np.concatenate([made.inputs(draw) for _ in range(16)])))
    return network.eval()


def export(made: Made, path: Path, dynamo: bool) -> None:
    """Write a network by one of the exporters."""
    draw = np.random.default_rng(1)
    network, example = settled(made, draw), torch.from_numpy(made.inputs(draw))
    with warnings.catch_warnings(), redirect_stdout(sys.stderr):  # the newer one tells its steps
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (example,),
            str(path),
            input_names=["x"],
            output_names=["y"],
            opset_version=OPSET,
            dynamo=dynamo,
            **({} if dynamo else {"dynamic_axes": {"x": {0: "n"}, "y": {0: "n"}}}),
        )


def measure(path: Path, made: Made, precision: Precision, samples: int = CALIBRATED) -> Row:
    """The row of an exported network, compiled with this precision.

    Args:
        path: the ONNX file.
        made: the network.
        precision: bits of values and weights.
        samples: how many set the ranges; `FRESH` others are compared with onnxruntime.
    """
    draw = np.random.default_rng(2)
    calibration, fresh = ([made.inputs(draw) for _ in range(n)] for n in (samples, FRESH))
    row: Row = {"precision": precision, "machine": describe(), "torch": torch.__version__}
    row |= {"nodes": len(onnx.load(path, load_external_data=False).graph.node)}
    start = cpu_seconds()
    try:
        compiled = compile(path, np.stack(calibration), precision=precision, force=True)
    except ZktallyError as error:
        refused = {"verdict": "refused", "reasons": reasons(error), "cpu": cpu_seconds() - start}
        return row | refused
    report, wide = compiled.report, compiled.report.precision
    assert wide is not None
    row |= {"verdict": "compiled", "cpu": cpu_seconds() - start, "macs": report.macs}
    row |= {"missed": list(report.missed), "wide": wide.values, "values": wide.of_values}
    return row | compared(compiled, path, [{"x": x} for x in fresh], best(made.axis))


def _both(name: str, exporter: str, path: Path) -> Row:
    """A network by one exporter: the row of 8 bits within that of as many as it needs."""
    if not path.exists():
        export(ZOO[name], path, EXPORTERS[exporter])
    named = {"network": name, "exporter": exporter}
    return named | measure(path, ZOO[name], "auto") | {"int8": measure(path, ZOO[name], "int8")}


def _decibels(row: Row) -> str:
    if row["verdict"] != "compiled":
        return "; ".join(row["reasons"])
    return f"({row['sqnr'][0]:.0f})" if row["missed"] else f"{row['sqnr'][0]:.0f}"


def _share(row: Row) -> str:
    return f"{row['agreement']:.1%}" if row["verdict"] == "compiled" else ""


COLUMNS: tuple[Column, ...] = (
    *formats(
        ("network", "{}", "network"), ("exporter", "{}", "exporter"), ("nodes", "{}", "nodes")
    ),
    ("M MACs", lambda row: f"{row['macs'] / 1e6:,.1f}" if "macs" in row else ""),
    ("int8 dB", lambda row: _decibels(row["int8"])),
    ("agree", lambda row: _share(row["int8"])),
    ("auto dB", _decibels),
    ("agree", _share),
    ("16 bits", lambda row: f"{row['wide']} of {row['values']}" if "wide" in row else ""),
    ("CPU s", lambda row: f"{row['int8']['cpu']:.1f}, {row['cpu']:.1f}"),
)


def page(rows: Sequence[Row]) -> str:
    """The page docs/zoo.md."""
    machine = f"{machines_text(rows)}, torch {rows[0]['torch']}, onnxscript {_onnxscript()}."
    parts = ["# Networks from torch", paragraph(_PREFACE), paragraph(machine)]
    return "\n\n".join([*parts, markdown_table(COLUMNS, rows), paragraph(_LEGEND), _FIND]) + "\n"


def _onnxscript() -> str:
    from importlib.metadata import version

    return version("onnxscript")


def main(args: Sequence[str]) -> int:
    """Export and measure the zoo, or some of it; the table on stdout."""
    parser = argparse.ArgumentParser(prog="python -m zktally.bench.zoo", description=__doc__)
    parser.add_argument("folder", type=Path, help="for the ONNX files; those there are kept")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(ZOO)}")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write docs/zoo.md there")
    asked, rows = parser.parse_args(args), []
    if unknown := {*asked.names} - {*ZOO}:
        parser.error(f"no such network: {', '.join(sorted(unknown))}")
    asked.folder.mkdir(parents=True, exist_ok=True)
    for name in asked.names or ZOO:
        for exporter in EXPORTERS:
            rows.append(_both(name, exporter, asked.folder / f"{name}-{exporter}.onnx"))
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    print(text_table(COLUMNS, rows))
    if asked.page:
        asked.page.write_text(page(rows), encoding="utf-8")
    return 0


_PREFACE = (
    "Small networks with the graphs of those that people train in torch (bench/zoo.py), written "
    "by both of its exporters (`torchscript` is `torch.onnx.export(..., dynamo=False)`), compiled "
    "with 8 bits (`--precision int8`) and with 16 where that is needed (`auto`, the default), and "
    "compared with onnxruntime on inputs that were used for nothing else."
)
_LEGEND = (
    "Weights are random; batch normalisations have the statistics of 16 inputs, and gains and "
    "biases as after training. dB: signal, without its mean, over noise of the output; in brackets "
    "where what `compile` measures, channel by channel on the samples that it holds back, is below "
    "20 dB, so that it asks for --force. Agree: equal best classes, of every token or pixel where "
    "there are many; classes of a random network lie closer together than those of a trained one. "
    "16 bits: how many values have more than 8. CPU s: of all threads, to compile with int8 and "
    "with auto."
)
_FIND = paragraph(
    "`python -m zktally.bench.zoo build/zoo --page docs/zoo.md` writes this page where torch and "
    "onnxscript are installed. The newer exporter needs an onnxscript of its own time: torch 2.6 "
    "beside onnxscript 0.7.2 ends in `AttributeError: 'tuple' object has no attribute 'dtype'`, "
    "beside 0.2.7 (and onnx 1.23) in a `SerdeError`. Neither comes as far as zktally."
)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
