"""What `prove` and `inspect` do with models that were set up for SNARK receipts, and with these."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

from ..prover.snark.model import SnarkModel
from ..verifier.cli import labels_from, read_arrays
from ..verifier.errors import UsageError
from ..verifier.labels import LABELS, in_words
from ..verifier.quoting import quoted, quoted_path
from ..verifier.snark.key import Key
from ..verifier.snark.receipt import SnarkReceipt, real
from .acceptance import shell_word
from .console import note, size
from .files import write_output

OTHERS = (
    "delta", "delta_step", "bits", "exact", "reveal", "visibility", "items", "small", "foldable",
    "succinct", "work", "state", "start", "first", "seed", "data", "data_key_file", "final_state",
)  # fmt: skip
"""Options of `prove` that a SNARK receipt has no use for."""


def prove(args: argparse.Namespace) -> int:
    """One run to one receipt; print what was made, and how it is checked.

    Raises:
        UsageError: an option that says nothing here, no inputs, or no such model.
    """
    given = [name for name in OTHERS if getattr(args, name) not in (None, False, "", 0)]
    given += ["delta_op"] if args.delta_op != "usual" else []
    given += ["outputs"] if args.outputs != "published" else []
    if given:
        raise UsageError(
            "options that say nothing of a SNARK receipt",
            expected="--input and labels",
            received=", ".join(f"--{name.replace('_', '-')}" for name in given),
        )
    model = SnarkModel.load(args.model)
    if args.input is None:
        raise UsageError("there are no inputs", code="usage.input", expected="--input NPZ")
    start = time.perf_counter()
    from ..prover.snark.prove import prove_snark  # which imports onnx

    receipt = prove_snark(
        model,
        read_arrays(args.input),
        **labels_from(args),
        progress=lambda phase: note(phase, args.quiet),
    )
    seconds = time.perf_counter() - start
    write_output(args.output, receipt, force=args.force)
    if args.json:
        fields = {
            "format": "zktally.prove/1",
            "receipt": args.output,
            "mode": "snark",
            "model_id": model.model_id.hex(),
            "srs": model.srs.hex(),
            "steps": 1,
            "bytes": len(receipt),
            "seconds": seconds,
        }
        print(json.dumps(fields, sort_keys=True))
    elif args.output != "-":
        print(f"{quoted_path(args.output)}: snark, 1 run, {size(len(receipt))}, {seconds:.2f} s")
        print(f"check it with: {_command(model, SnarkReceipt.decode(receipt), args.output)}")
    return 0


def _command(model: SnarkModel, receipt: SnarkReceipt, path: str) -> str:
    key = receipt.key
    words = ["zktally", "verify", f"./{path}" if path.startswith("-") else path]
    words += ["--model-id", key.id.hex(), "--modes", "snark"]
    words += ["--any-srs"] if model.made_here else ["--srs", key.srs.hex()]
    for name, label in receipt.statement.labels.items():
        if label is not None:
            shown = label if isinstance(label, str) else f"0x{label.hex()}"
            words.append(f"--{name}={shown}")
    return " ".join(map(shell_word, words))


def describe_key(key: Key) -> tuple[dict[str, Any], str]:
    """A key as one JSON-ready object, and in words."""
    ports = {
        side: {port.name: list(port.shape) for port in of[:-1]}
        for side, of in (("inputs", key.inputs), ("outputs", key.outputs))
    }
    told = {
        "mode": "snark",
        "model_id": key.id.hex(),
        "srs": key.srs.hex(),
        "ezkl": key.version,
        "logrows": key.circuit.k,
        "inputs_public": key.public,
        "proof_bytes": key.circuit.proof_bytes,
        **ports,
    }
    shown = "published" if key.public else "private"
    lines = [
        f"model      {key.id.hex()}, a circuit of ezkl {quoted(key.version)}",
        f"rows       2^{key.circuit.k}; a proof has {key.circuit.proof_bytes:,} bytes",
        f"inputs     {_shapes(ports['inputs'])}, {shown}",
        f"outputs    {_shapes(ports['outputs'])}",
        f"srs        {key.srs.hex()}",
    ]
    return told, "\n".join(lines)


def describe_snark(data: bytes) -> tuple[dict[str, Any], str]:
    """A SNARK receipt as one JSON-ready object, and in words; nothing of it is verified.

    Raises:
        MalformedReceipt, UnsupportedReceipt: it cannot be read.
    """
    receipt = SnarkReceipt.decode(data)
    told, text = describe_key(receipt.key)
    outputs = real(receipt.key.outputs[:-1], receipt.statement.outputs)
    labels = {name: in_words(value) for name, value in receipt.statement.labels.items()}
    told = {
        "format": "zktally.inspect/1",
        "verified": False,
        **told,
        **labels,
        "bytes": len(data),
        "values": {name: array.tolist() for name, array in outputs.items()},
    }
    lines = [f"a SNARK receipt of {len(data):,} bytes, not verified", text]
    lines += [f"{name:<10} {labels[name]}" for name in LABELS]
    lines += [f"output     {quoted(name)} {array.tolist()}" for name, array in outputs.items()]
    return told, "\n".join(lines)


def _shapes(ports: dict[str, list[int]]) -> str:
    return ", ".join(f"{quoted(name)} {shape}" for name, shape in ports.items())
