"""python -m zktally.bench.verdict_parts: where the Python verifier's time goes, part by part.

A receipt is judged several times in one process, each part's clock running while nothing inside it
is a part of its own. The first verdict pays for what is kept: tables files, round constants.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

PARTS: dict[str, tuple[str, ...]] = {
    "statement": ("judge:judge_statement",),
    "plan": ("hybrid.verify:make_plan",),
    "tables files": ("hybrid.verify:tables_file", "recursion.layers:tables_file"),
    "parameters": ("stark:choose", "recursion.layers:reaching", "stark:judge_bits"),
    "number of segments": ("hybrid.verify:_count",),
    "schedule: leaves": ("hybrid.schedule:opened_keys", "hybrid.schedule:Leaves"),
    "schedule: gates": ("hybrid.gates:GateTables.add",),
    "schedule: rows": ("hybrid.verify:derive",),
    "rows in portions": ("hybrid.rows:Portions.__getitem__",),
    "basis at ζ": ("stark.constraints:point_of", "recursion.child:point_of"),
    "public columns at ζ": ("stark.constraints:publics_at", "recursion.child:publics_at"),
    "public terms": ("stark.verify:public_sum", "recursion.child:public_sum"),
    "constraints": ("stark.verify:check_constraints",),
    "reading": ("stark.verify:read_head", "stark.verify:read_openings"),
    "transcript": ("stark.verify:_draw", "recursion.child:Poseidon2Transcript"),
    "trees": ("stark.verify:_check_roots",),
    "queries": ("stark.verify:combine", "stark.fri:check_queries"),
    "nodes: rows": ("recursion.template:Template.of",),
    "nodes: constants": ("recursion.template:Template.present",),
}
"""By name what belongs to a part: module and attribute, as it is looked up where it is called."""

REST = "all else"


class Clock:
    """CPU seconds of each part, without those of the parts inside it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._open = [REST]
        self._since = time.process_time()

    def turn(self) -> None:
        """Count what has passed for the innermost part."""
        now = time.process_time()
        self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def timed(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """The same call, within a part."""

        def inside(*args: Any, **named: Any) -> Any:
            self.turn()
            self._open.append(part)
            try:
                return call(*args, **named)
            finally:
                self.turn()
                self._open.pop()

        return inside


def judged(receipt: bytes, model_id: str) -> Mapping[str, float]:
    """CPU seconds of one verdict, by part.

    Raises:
        ZktallyError: the receipt is refused.
    """
    api = import_module("..verifier.api", __package__)
    policy = import_module("..verifier.policy", __package__).Policy
    clock = Clock()
    with ExitStack() as stack:
        for part, places in PARTS.items():
            for place in places:
                stack.enter_context(_watched(clock, part, place))
        clock.turn()
        clock.seconds.clear()
        api.verify(receipt, model_id, policy(max_delta=0.5, min_bits=1, outputs_exact=False))
        clock.turn()
    return clock.seconds


def _watched(clock: Clock, part: str, place: str) -> Any:
    module, path = place.split(":")
    owner: Any = import_module(f"..verifier.{module}", __package__)
    *classes, name = path.split(".")
    for each in classes:
        owner = getattr(owner, each)
    found = vars(owner)[name]
    if isinstance(found, classmethod):
        return patch.object(owner, name, classmethod(clock.timed(part, found.__func__)))
    return patch.object(owner, name, clock.timed(part, found))


def table(first: Mapping[str, float], least: Mapping[str, float], imported: float) -> str:
    """Milliseconds of each part: of the first verdict, and the least of those that follow."""
    lines = [f"{'part':24} {'first ms':>9} {'then ms':>9}", f"{'import':24} {1e3 * imported:9,.1f}"]
    for part in (*PARTS, REST):
        if first[part] > 5e-5:
            lines.append(f"{part:24} {1e3 * first[part]:9,.1f} {1e3 * least[part]:9,.1f}")
    whole = (1e3 * sum(seconds.values()) for seconds in (first, least))
    return "\n".join([*lines, " ".join([f"{'together':24}", *(f"{ms:9,.1f}" for ms in whole)])])


def main(arguments: Sequence[str] | None = None) -> int:
    """Judge a receipt, several times, and print the parts."""
    parser = argparse.ArgumentParser(prog="python -m zktally.bench.verdict_parts")
    parser.add_argument("receipt", type=Path)
    parser.add_argument("model_id")
    parser.add_argument("--repeat", type=int, default=3, help="verdicts after the first (3)")
    args = parser.parse_args(arguments)
    start = time.process_time()
    import_module("..verifier.api", __package__)
    imported = time.process_time() - start
    receipt = args.receipt.read_bytes()
    first, *others = (judged(receipt, args.model_id) for _ in range(1 + max(1, args.repeat)))
    least = {part: min(other[part] for other in others) for part in (*PARTS, REST)}
    print(table(first, least, imported))
    return 0


if __name__ == "__main__":
    sys.exit(main())
