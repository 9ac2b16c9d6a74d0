"""The main job, end to end: compile, prove in zero knowledge, verify twice, refuse forgeries.

A convolutional network trained on scikit-learn's handwritten digits is compiled to an integer
program under private weights, and run on the 360 held-out images. One hybrid receipt is made for
all of them and judged; then the same in two stages: a fast receipt, and that wrapped.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

import zktally
from zktally.bench.digits.data import MODEL_PATH, load
from zktally.bench.timing import timed
from zktally.prover import Claims, FastRun, prove_job
from zktally.prover.receipt import encode_receipt
from zktally.verifier.inputs import quantise
from zktally.verifier.program.types import Role
from zktally.verifier.receipt import split_receipt

BATCH = 60
DELTA = 0.05
FAST, HYBRID = Claims("fast", DELTA), Claims("hybrid", DELTA)
FOLDER = Path("build/demo")
BACKENDS: tuple[Literal["rust", "python"], ...] = ("rust", "python")


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


def relabelled(receipt: zktally.Receipt) -> zktally.Receipt:
    """One logit of a hybrid receipt changed, and its proof made to name the new statement."""
    sections, journal = split_receipt(receipt.data), receipt.journal
    outputs = journal.outputs[:-1] + bytes([journal.outputs[-1] ^ 1])
    statement = replace(journal, outputs=outputs).encode()
    proof = hashlib.sha256(statement).digest() + bytes(sections.proof[32:])
    return zktally.Receipt(encode_receipt(bytes(sections.program), statement, proof))


def lying_run(program: zktally.CompiledModel, images: np.ndarray) -> tuple[FastRun, int]:
    """What a lying prover runs: one logit changed before everything is committed."""
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
    return liar, items


def size(receipt: zktally.Receipt) -> str:
    """The receipt's size in words."""
    return f"{len(receipt.data) / 1e6:.2f} MB"


def judge(receipt: zktally.Receipt, model_id: bytes, images: np.ndarray) -> zktally.Verified:
    """Verify with both verifiers, and say what is shown."""
    for backend in BACKENDS:
        verified, seconds = timed(
            lambda backend=backend: receipt.verify(  # type: ignore[misc]
                model_id, inputs=images, backend=backend
            )
        )
        print(f"verified  by {backend}, {seconds:.2f} s: {verified.guarantee.sentence()}")
    return verified


def refused(what: str, forgery: zktally.Receipt, model_id: bytes) -> bool:
    """Whether both verifiers refuse it; says so."""
    for backend in BACKENDS:
        try:
            forgery.verify(model_id, backend=backend)
        except zktally.ZktallyError as error:
            print(f"forgery   {what}: refused by {backend}, {error.code}")
        else:
            print(f"forgery   {what}: ACCEPTED by {backend}", file=sys.stderr)
            return False
    return True


def liars_receipt(program: zktally.CompiledModel, images: np.ndarray) -> zktally.Receipt | None:
    """A hybrid receipt about a wrong run, if the prover makes one at all."""
    run, items = lying_run(program, images)
    try:
        return zktally.Receipt(prove_job(run.job(HYBRID, items), model=program.core))
    except zktally.ZktallyError as error:
        print(f"forgery   one logit changed, then committed: no proof can be made, {error.code}")
        return None


def main() -> int:
    """Run the demo; returns the exit code."""
    digits = load()
    images = digits.test_x
    FOLDER.mkdir(parents=True, exist_ok=True)

    program, seconds = timed(lambda: zktally.compile(MODEL_PATH, digits.train_x, batch=BATCH))
    program.save(FOLDER / "digits.zkt", force=True)
    print(
        f"compiled  {MODEL_PATH.name}: {program.checked.weights.step_macs // BATCH:,} MACs an "
        f"image, private weights, model id {program.model_id.hex()[:16]}…, {seconds:.2f} s"
    )

    hybrid, seconds = timed(
        lambda: zktally.prove(program, images, delta=DELTA, visibility="checkable")
    )
    hybrid.save(FOLDER / "digits.receipt", force=True)
    print(
        f"proved    {len(images)} held-out images in {hybrid.journal.steps} steps in zero "
        f"knowledge, receipt {size(hybrid)}, {seconds:.2f} s"
    )
    verified = judge(hybrid, program.model_id, images)
    print(
        f"accuracy  integer program {accuracy(verified.outputs['logits'], digits.test_y):.2%}, "
        f"float model {accuracy(float_logits(images), digits.test_y):.2%}"
    )

    fast, seconds = timed(lambda: zktally.prove(program, images, "fast", delta=DELTA, reveal=True))
    print(f"fast      the same with openings in the clear: {size(fast)}, {seconds:.2f} s")
    wrapped, seconds = timed(lambda: zktally.wrap(fast))
    print(f"wrapped   the fast receipt, without the model: {size(wrapped)}, {seconds:.2f} s")
    judge(wrapped, program.model_id, images)

    run, items = lying_run(program, images)
    forgeries = {
        "one bit flipped": flipped(hybrid),
        "one logit changed, and the proof made to name it": relabelled(hybrid),
        "one logit changed, then committed and opened": zktally.Receipt(run.prove(FAST, items)),
    }
    if (liars := liars_receipt(program, images)) is not None:
        forgeries["one logit changed, then committed and proven"] = liars
    verdicts = [refused(what, it, program.model_id) for what, it in forgeries.items()]
    print(f"files     {FOLDER}/digits.zkt, {FOLDER}/digits.receipt")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
