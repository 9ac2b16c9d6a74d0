"""Execute, commit, prove: from a compiled model and inputs to the bytes of a receipt."""

from .claims import USUAL_DELTA, Claims, InputVisibility, OutputVisibility, usual_bits
from .data import Dataset, Records, commit_data, initial_state
from .options import ProverOptions
from .outputs import HeldOutputs
from .progress import Progress, silent
from .run import FastRun
from .segments import claims_of, prove_in, prove_job, wrapping_job
from .setting import SeedSource
from .state import RunState, exported_model
from .work import Job, Work

__all__ = [
    "USUAL_DELTA",
    "Claims",
    "Dataset",
    "FastRun",
    "HeldOutputs",
    "InputVisibility",
    "Job",
    "OutputVisibility",
    "Progress",
    "ProverOptions",
    "Records",
    "RunState",
    "SeedSource",
    "Work",
    "claims_of",
    "commit_data",
    "exported_model",
    "initial_state",
    "prove_in",
    "prove_job",
    "silent",
    "usual_bits",
    "wrapping_job",
]
