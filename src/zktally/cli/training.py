"""Options of a training run: data set, first state, place in the run."""

from __future__ import annotations

import argparse
from typing import Any

from ..hybrid.chain import Training
from ..prover import RunState
from ..verifier.cli import read_arrays
from .keys import read_key


def add_training_arguments(verb: Any) -> None:
    """Add what the steps read, and where they stand in their run; `training_from` reads it."""
    verb.add_argument(
        "--state",
        metavar="FILE",
        help="initial state: by tensor name (.npz), or that in which another run ended (.zks)",
    )
    verb.add_argument(
        "--start",
        choices=("declared", "root"),
        help="begin as the program declares, or with --state (declared where that is possible)",
    )
    verb.add_argument(
        "--first", type=int, default=0, metavar="N", help="step of the run to begin with (0)"
    )
    verb.add_argument(
        "--seed",
        choices=("own", "derived"),
        help="where noise comes from: a secret of your own, or program, data set and nonce",
    )
    verb.add_argument("--data", metavar="NPZ", help="all records of the data set by tensor name")
    verb.add_argument(
        "--data-key-file", metavar="FILE", help="the key of the data set (without: a public one)"
    )
    verb.add_argument(
        "--final-state", metavar="ZKS", help="new file for the state that the last step ends in"
    )


def training_from(args: argparse.Namespace) -> Training:
    """What the options say.

    Raises:
        UsageError: a file that cannot be read, or that holds no key.
    """
    state: Any = None
    if args.state is not None:
        load = RunState.load if args.state.endswith(".zks") else read_arrays
        state = load(args.state)
    data: Any = None if args.data is None else read_arrays(args.data)
    key = read_key(args.data_key_file)
    return Training(state, args.start, args.first, args.seed, data, key, args.final_state)
