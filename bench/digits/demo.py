"""The main job, end to end: compile, prove, verify with both verifiers, refuse a forgery.

A convolutional network trained on scikit-learn's handwritten digits is compiled to an integer
program, run on the 360 held-out images, and a receipt for all of them is made and judged.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import zktally
from zktally.bench.digits.data import MODEL_PATH, load
from zktally.bench.timing import timed
from zktally.prover import Claims, FastRun
from zktally.verifier.inputs import quantise
from zktally.verifier.program.types import Role

BATCH = 60
DELTA = 0.01
FOLDER = Path("build/demo")


def accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows whose largest entry is the label."""
    return float(np.mean(np.argmax(logits, axis=1) == labels))


def float_logits(images: np.ndarray) -> np.ndarray:
    """What the float model says, by onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(MODEL_PATH), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": images})[0])


def flipped(receipt: zktally.Receipt) -> zktally.Receipt:
    """The receipt with one bit of its last output changed."""
    data = bytearray(receipt.data)
    data[data.index(receipt.journal.outputs) + len(receipt.journal.outputs) - 1] ^= 1
    return zktally.Receipt(bytes(data))


def forged(program: zktally.CompiledModel, images: np.ndarray) -> zktally.Receipt:
    """What a lying prover makes: one logit changed before everything is committed and proven."""
    batches, items = quantise(program.checked.program, images)
    honest = FastRun(program.core, program.checked)
    liar = FastRun(program.core, program.checked)
    tensors = program.checked.program.of_role(Role.VALUE)
    for step, batch in enumerate(batches):
        honest.execute(batch)
        values = [honest.values(step, tensor) for tensor in tensors]
        if step == 0:
            values[-1] = values[-1].copy()
            values[-1].flat[0] ^= 1
        liar.push(batch, values)
    liar.commit()
    return zktally.Receipt(liar.prove(Claims(DELTA), items))


def main() -> int:
    """Run the demo; returns the exit code."""
    digits = load()
    FOLDER.mkdir(parents=True, exist_ok=True)

    program, seconds = timed(
        lambda: zktally.compile(MODEL_PATH, digits.train_x, batch=BATCH, public=True)
    )
    program.save(FOLDER / "digits.zkt", force=True)
    weights = program.checked.weights
    print(
        f"compiled  {MODEL_PATH.name}: {weights.step_macs // BATCH:,} MACs an image, model id "
        f"{program.model_id.hex()[:16]}…, {seconds:.2f} s"
    )

    receipt, seconds = timed(lambda: zktally.prove(program, digits.test_x, delta=DELTA))
    receipt.save(FOLDER / "digits.receipt", force=True)
    print(
        f"proved    {len(digits.test_x)} held-out images in {receipt.journal.steps} steps, "
        f"receipt {len(receipt.data) / 1e6:.2f} MB, {seconds:.2f} s"
    )

    policy = zktally.Policy(max_delta=DELTA)
    for backend in ("rust", "python"):
        verified, seconds = timed(
            lambda backend=backend: receipt.verify(  # type: ignore[misc]
                program.model_id, policy, inputs=digits.test_x, backend=backend
            )
        )
        print(f"verified  by {backend}, {seconds:.2f} s: {verified.guarantee.sentence()}")

    integer = accuracy(verified.outputs["logits"], digits.test_y)
    print(
        f"accuracy  integer program {integer:.2%}, float model "
        f"{accuracy(float_logits(digits.test_x), digits.test_y):.2%}"
    )

    forgeries = {
        "one bit flipped": flipped(receipt),
        "one logit changed, then committed and proven": forged(program, digits.test_x),
    }
    for what, forgery in forgeries.items():
        for backend in ("rust", "python"):
            try:
                forgery.verify(program.model_id, policy, backend=backend)  # type: ignore[arg-type]
            except zktally.ZktallyError as error:
                print(f"forgery   {what}: refused by {backend}, {error.code}")
            else:
                print(f"forgery   {what}: ACCEPTED by {backend}", file=sys.stderr)
                return 1
    print(f"files     {FOLDER}/digits.zkt, {FOLDER}/digits.receipt")
    return 0


if __name__ == "__main__":
    sys.exit(main())
