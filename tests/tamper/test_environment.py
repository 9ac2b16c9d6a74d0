"""A verdict depends on the bytes and on what the caller expects; on nothing around them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

JUDGE = """
import socket, sys

def refuse(*_, **__):
    raise AssertionError("a verifier opened a socket")

socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
sys.path[:0] = {paths}
import hashlib, json, forger, hybrids, judges
import forged_chains, forged_hybrids, forged_models, forged_statements
from registry import ALL

cases = [ALL[name].case for name in {names}]
cases.append((forger.receipt_of("kinds"), forger.victim("kinds")))
cases += [(hybrids.hybrid_of("dense", profile), forger.victim("dense")) for profile in (0, 1)]
sys.stdout.write(json.dumps([
    hashlib.sha256(hybrids.hybrid_of("dense")).hexdigest(), [judges.both(*case) for case in cases]
]))
"""
NAMES = [
    "one wrong gate of mixed in step 0",
    "two runs: openings of the other one",
    "program: flag exact removed",
    "claims: fewer bits",
    "journal: another output best",
    "hybrid: another bits, the proof names it",
    "hybrid: two runs: the segments of the other one",
    "hybrid: head: profile 0 called 1",
    "hybrid: a proof of zeros",
    "hybrid: a program that they do not cover",
    "hybrid: more bits than its proofs show",
    "hybrid: a fast receipt called hybrid",
]
EXPECTED = [
    *([code, code] for code in (
        "verify.gate", "verify.opening", "verify.program-mismatch", "policy.bits", "verify.outputs",
        "verify.stark", "verify.stark", "verify.stark", "verify.stark", "hybrid.unsupported",
        "policy.bits", "verify.journal-mismatch",
    )),
    *([["accepted", "accepted"]] * 3),
]  # fmt: skip

SWITCHES = (
    "DEV", "DEV_MODE", "DEBUG", "FAKE", "INSECURE", "SKIP_VERIFY", "SKIP_CHECKS", "NO_VERIFY",
    "TEST", "MODE", "MIN_BITS", "MAX_DELTA", "POLICY", "TRUST", "ACCEPT_ALL", "BACKEND",
)  # fmt: skip
ENVIRONMENTS = {
    "bare": {},
    "switches on": {f"ZKTALLY_{name}": "1" for name in SWITCHES},
    "odd": {
        **{f"ZKTALLY_{name}": "" for name in SWITCHES},
        "RISC0_DEV_MODE": "1",
        "CI": "true",
        "DEBUG": "1",
        "LANG": "C",
        "LC_ALL": "C",
        "TZ": "Pacific/Kiritimati",
        "PYTHONOPTIMIZE": "2",
        "PYTHONHASHSEED": "7",
        "PYTHONUTF8": "0",
        "RAYON_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "NPY_DISABLE_CPU_FEATURES": "",
        "http_proxy": "http://127.0.0.1:1",
    },
}


SEEN: list[str] = []
"""Digests of hybrid receipts of one run: no environment makes masks that another one has made."""


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_verdicts_do_not_depend_on_the_environment(name, tmp_path):
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "PYTHONPATH") if key in os.environ}
    script = JUDGE.format(paths=[str(HERE), str(HERE.parent)], names=NAMES)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**kept, **ENVIRONMENTS[name]}, cwd=tmp_path, capture_output=True, text=True,
        timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    digest, verdicts = json.loads(done.stdout)
    assert verdicts == EXPECTED
    SEEN.append(digest)
    assert len(SEEN) == len(set(SEEN))
    assert list(tmp_path.iterdir()) == []


def test_the_verifiers_do_not_look_at_the_environment():
    sources = [*ROOT.glob("verifier/**/*.py"), *ROOT.glob("rust/core/src/**/*.rs")]
    assert len(sources) > 40
    words = ("environ", "getenv", "env::var", "std::env", "socket", "TcpStream", "urllib")
    found = [(path.name, word) for path in sources for word in words if word in path.read_text()]
    assert found == []


def test_checks_are_no_assertions():
    """`python -O` removes those."""
    for path in ROOT.glob("verifier/**/*.py"):
        lines = [line.strip() for line in path.read_text().splitlines()]
        assert not [line for line in lines if line.startswith("assert ")], path.name
