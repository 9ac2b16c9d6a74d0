"""Makes the golden SNARK receipts anew: `python tests/snark/make_snark.py`, with the extra peers.

Two circuits of one dense layer, 4 to 3: inputs private and inputs public. The strings are made here
and thrown away, so the receipts convince nobody; ezkl's randomness is new each time.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np
import onnx

from zktally.bench.models import dense
from zktally.prover.snark.prove import prove_snark
from zktally.prover.snark.setup import SnarkSetUp, snark_setup

FOLDER = Path(__file__).parent
RUN_ARGS = {"decomp_base": 128, "decomp_legs": 4}
"""Small circuits: ezkl's own choice takes 2^15 rows at least."""

AUDIENCE, NONCE = "golden", b"golden nonce"


def inputs() -> np.ndarray:
    """One run's input, float32 [1, 4]."""
    return np.array([[0.25, -0.5, 0.75, 0.1]], np.float32)


def main() -> None:
    """Write both, and what is known of them."""
    known = {}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "dense.onnx"
        onnx.save(dense(3, 0, 4, 3), str(path))
        data = {"input": np.random.default_rng(0).uniform(-1, 1, (4, 4)).astype(np.float32)}
        for visibility in ("private", "public"):
            options = SnarkSetUp(visibility, run_args=RUN_ARGS)
            model, _ = snark_setup(path, data, Path(name) / visibility, options)
            receipt = prove_snark(model, inputs(), audience=AUDIENCE, nonce=NONCE)
            (FOLDER / f"{visibility}.receipt").write_bytes(receipt)
            known[visibility] = {"model_id": model.model_id.hex(), "srs": model.srs.hex()}
    (FOLDER / "known.json").write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
