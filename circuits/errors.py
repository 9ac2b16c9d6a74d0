"""What only a compiler, or a checker of compiled models, raises."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..verifier.errors import Codes, VerificationFailed, ZktallyError
from ..verifier.quoting import LONGEST


def named(name: str) -> str:
    """A name of a model in a message, cut where it is too long: the model may be a stranger's."""
    return repr(name) if len(name) <= LONGEST else f"{name[:LONGEST]!r}…"


class CompileError(ZktallyError):
    """The model cannot be turned into a program."""

    codes: ClassVar[Codes] = {
        "compile.bad-model": (
            "The ONNX model is not valid, is of an opset that is not read, or has no place in a "
            "program.",
            "Export it again; check it with `onnx.checker`, and that onnxruntime runs it.",
        ),
        "compile.not-finite": (
            "A weight, or a value on the data given, is NaN or infinite.",
            "Find out in floats where it becomes so: the model was trained or exported wrongly, or "
            "the data is of another kind.",
        ),
        "compile.dynamic-shape": (
            "A shape does not follow from the inputs' shapes, or an axis beside the batch has no "
            "size.",
            "Give the sizes: `--dim NAME=N` for named axes, `--shape INPUT=N,N,...` for any input; "
            "or export the model with fixed sizes on all axes but the first.",
        ),
        "compile.calibration": (
            "There is no calibration data, or a value has no usable range.",
            "Pass some 100 typical inputs as calibration data.",
        ),
    }
    exit_codes: ClassVar[Mapping[str, int]] = {
        "compile.calibration": 2,
        "compile.dynamic-shape": 2,
        "compile.inaccurate": 1,
    }
    """What an argument mends is for the caller to mend; an inaccurate model was judged."""


class MixesItems(CompileError):
    """The model mixes the items of a batch; the message lists all nodes that do."""

    codes: ClassVar[Codes] = {
        "compile.mixes-items": (
            "With a dynamic batch, the result of an item depends on other items.",
            "Give the batch a size (`--dim NAME=N`), so that it is one item, or keep the batch "
            "axis out of the nodes listed.",
        ),
    }


class BadState(CompileError):
    """An input and an output that are to be one state of a chain cannot be one."""

    codes: ClassVar[Codes] = {
        "compile.bad-state": (
            "An input and an output that `--state` names are no two ends of a state: their shapes "
            "or types differ, they hold integers, or nothing would be left to give or to publish.",
            "Export the model with a state of fixed size, and with an output beside it.",
        ),
    }


class NotTrainable(CompileError):
    """Gradients do not reach a parameter; the message lists all nodes in the way."""

    codes: ClassVar[Codes] = {
        "compile.not-trainable": (
            "Operators between a parameter and the loss have no rule of differentiation.",
            "Freeze what comes before the nodes listed, or replace them.",
        ),
    }


class UnsupportedOp(CompileError):
    """The model has operators that zktally does not compile; the message lists all of them."""

    codes: ClassVar[Codes] = {
        "compile.unsupported-op": (
            "Operators, or uses of them, do not compile; the message gives each node's reason.",
            "Express these nodes by operators that compile, or cut the model before them.",
        ),
    }


class RangeOverflow(CompileError):
    """A derived bound does not fit (docs/protocol.md section 2)."""

    layer: str | None = None
    """The node whose lowering found it out."""

    codes: ClassVar[Codes] = {
        "compile.range-overflow": (
            "A sum, or a rescaling, could leave the integers that a program can hold.",
            "Calibrate on data that covers the ranges seen in use, or split the layer.",
        ),
    }


class Inaccurate(CompileError):
    """The integer program does not do what the float model does; the message names layers."""

    codes: ClassVar[Codes] = {
        "compile.inaccurate": (
            "On data that was not calibrated on, the integer program is too far from the floats, "
            "even with 16 bits wherever they help.",
            "Calibrate on more data of the kind that is used, try another `--method`, or say with "
            "`--min-sqnr` and `--min-agreement` what you accept; `--force` compiles it as it is.",
        ),
    }


class BadModelFile(ZktallyError):
    """A compiled model file that is not what `compile` writes."""

    codes: ClassVar[Codes] = {
        "model.malformed": (
            "The file is no compiled model, is of another version, or is damaged.",
            "Get the file again, or compile the model again.",
        ),
    }


class CalibrationMismatch(VerificationFailed):
    """A compiled model does not do on the checker's data what its maker recorded and claims."""

    codes: ClassVar[Codes] = {
        "check.ranges": (
            "Recorded ranges are far wider or narrower than those of your data.",
            "Ask for a model that is calibrated on data of your use, or say with `--range-factor` "
            "what you accept.",
        ),
        "check.decisions": (
            "Conditions of trees are turned, or not, against what your data says.",
            "Ask for a model that is compiled with data of your use.",
        ),
        "check.fidelity": (
            "On your data the integers do not do what the floats do, or not what is claimed.",
            "Ask for a model that is calibrated on data of your use, or say with `--min-top1` and "
            "`--min-sqnr` what you accept.",
        ),
    }
