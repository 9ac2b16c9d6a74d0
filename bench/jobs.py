"""Job folders for the core's example `engine`: `python -m zktally.bench.jobs FOLDER [MODEL ...]`.

Each model gets a folder of its name with a file `job`, as a proof in progress has it, and the
`receipt` that was made of it: strict ones of one step, and a foldable one of a running average.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..circuits.compile import compile
from ..hybrid.chain import run_chain
from ..prover import Claims, prove_job
from ..prover.work import Job, Work
from ..verifier.profiles import FOLDABLE, STANDARD
from .chains import AVERAGE, average
from .hybrid import network
from .models import INT8, calibration

MODELS = ("mlp", "lenet5", "cnn264k", "dense4m", AVERAGE)


def job(name: str) -> Job:
    """What the receipt of a model is made of."""
    if name == AVERAGE:
        _, run, items = average(16)
        return run.job(Claims("hybrid", delta=0.05, delta_op=None), items, FOLDABLE)
    graph = network(name)
    model = compile(graph, calibration(graph, 64, 0), batch=1, **INT8)
    run, items = run_chain(model, {"input": calibration(graph, 1, 1)})
    return run.job(Claims("strict"), items, STANDARD)


def main(folder: str, *models: str) -> None:
    """Write the folders of these models, or of all."""
    for name in models or MODELS:
        work = Work.create(Path(folder) / name)
        made = job(name)
        work.start(made)
        (work.folder / "receipt").write_bytes(prove_job(made))


if __name__ == "__main__":
    main(*sys.argv[1:])
