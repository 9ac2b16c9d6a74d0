"""Segments dealt out to workers: who gets what, what is done about lost ones and liars."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from zktally.errors import ProveError, UsageError, ZktallyError
from zktally.prover.workers import WorkerLost, Workers, process, prove_shares
from zktally.prover.workers.fleet import TRIES
from zktally.prover.workers.frames import FAILED, read_frame, write_frame
from zktally.prover.workers.process import SERVE, Processes, refusal
from zktally.prover.workers.task import NODES
from zktally.prover.workers.watch import LOOKS, Watch
from zktally.verifier.quoting import quoted


class Prover:
    """Shares and proofs in words."""

    def share(self, segment):
        return b"share %d" % segment

    def check(self, segment, proof):
        if proof != b"proof of share %d" % segment:
            raise ProveError("no", code="prove.witness")


class Scripted:
    """A fleet whose workers do what a list says, one entry a segment, then prove honestly."""

    def __init__(self, size=1, script=()):
        self.size, self.script = size, list(script)
        self.started, self.closed = 0, 0
        self.seen, self.lock = [], threading.Lock()

    def start(self):
        self.started += 1
        return ScriptedWorker(self)


class ScriptedWorker:
    def __init__(self, fleet):
        self.fleet, self.open = fleet, True

    def prove(self, segment, share):
        with self.fleet.lock:
            self.fleet.seen.append(segment)
            act = self.fleet.script.pop(0) if self.fleet.script else "prove"
        if act == "lost":
            raise WorkerLost("it fell over")
        if act == "lie":
            return b"proof of share 99"
        if act == "refuse":
            raise ProveError("the openings are wrong", code="prove.witness")
        return b"proof of " + share

    def end(self):
        self.fleet.closed += self.open
        self.open = False

    close = end


def run(fleet, segments=range(5), **others):
    proofs, told = {}, []
    prove_shares(Prover(), segments, fleet, proofs.__setitem__, told.append, **others)
    return proofs, told


@pytest.mark.parametrize("size", [1, 2, 8])
def test_every_segment_is_proven_once(size):
    fleet = Scripted(size)
    proofs, told = run(fleet)
    assert proofs == {number: b"proof of share %d" % number for number in range(5)}
    assert sorted(told) == sorted(fleet.seen) == list(range(5))
    assert fleet.started == fleet.closed <= min(size, 5)


@pytest.mark.parametrize("script", [["lost"], ["prove", "lie"], ["lost", "lie", "prove", "lost"]])
def test_lost_workers_and_liars_are_replaced(script):
    fleet = Scripted(script=script)
    proofs, _ = run(fleet)
    assert len(proofs) == 5
    failures = len(script) - script.count("prove")
    assert len(fleet.seen) == 5 + failures
    assert fleet.started == fleet.closed == 1 + failures


@pytest.mark.parametrize(("act", "words"), [("lost", "it fell over"), ("lie", "a wrong proof")])
def test_too_many_losses_over_one_segment_end_the_run(act, words):
    fleet = Scripted(script=[act] * TRIES)
    with pytest.raises(ProveError, match=words) as found:
        run(fleet)
    assert found.value.code == "prove.workers-lost"
    assert fleet.started == fleet.closed == TRIES


def test_a_refusal_is_believed_when_a_second_worker_repeats_it():
    fleet = Scripted(script=["refuse", "refuse"])
    with pytest.raises(ProveError, match="openings are wrong") as found:
        run(fleet, segments=[3])
    assert found.value.code == "prove.witness"
    assert fleet.seen == [3, 3]
    assert fleet.started == fleet.closed == 2
    fleet = Scripted(script=["refuse"])
    proofs, _ = run(fleet)
    assert len(proofs) == 5
    assert fleet.started == fleet.closed == 2


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff",
        b"[" * 200_000,
        b'{"code": "no.such", "message": "m", "expected": null, "received": null}',
        b'{"code": ["usage"], "message": "m", "expected": null, "received": null}',
        b'{"code": "usage", "message": "m", "expected": null, "received": null, "hint": ""}',
    ],
)
def test_what_is_no_refusal(data):
    assert isinstance(refusal(data), WorkerLost)


def test_the_words_of_a_worker_stand_between_quotes():
    fields = {"code": "prove.witness", "message": "x\nOK", "expected": None, "received": 'a"b'}
    found = refusal(json.dumps(fields).encode())
    assert (found.code, found.message) == ("prove.witness", 'a worker says "x\\x0aOK"')
    assert found.received == quoted('a"b')


def test_segments_of_others_are_left_alone():
    @contextmanager
    def claim(segment):
        yield segment != 2

    fleet = Scripted(2)
    proofs, told = run(fleet, claim=claim)
    assert sorted(proofs) == sorted(fleet.seen) == [0, 1, 3, 4]
    assert sorted(told) == [0, 1, 2, 3, 4]


def test_a_worker_with_nothing_to_do_makes_room_for_one_that_waits():
    room = threading.Semaphore(1)

    class Crowded(Scripted):
        def start(self):
            self.started += 1
            return CrowdedWorker(self)

    class CrowdedWorker(ScriptedWorker):
        inside = False

        def prove(self, segment, share):
            if not self.inside and not room.acquire(timeout=30):
                raise WorkerLost("no room")
            self.inside = True
            return super().prove(segment, share)

        def end(self):
            super().end()
            if self.inside:
                self.inside = False
                room.release()

        close = end

    fleet = Crowded(2)
    proofs, _ = run(fleet, segments=range(2))
    assert len(proofs) == len(fleet.seen) == 2


def test_what_cannot_be_kept_ends_the_run():
    def keep(_segment, _proof):
        raise UsageError("the disk is full", code="usage.unwritable")

    fleet = Scripted(2)
    with pytest.raises(UsageError, match="disk"):
        prove_shares(Prover(), range(5), fleet, keep, lambda _: None)
    assert fleet.started == fleet.closed


def test_an_interrupt_ends_all_workers():
    class Slow(Scripted):
        def start(self):
            self.started += 1
            return SlowWorker(self)

    class SlowWorker(ScriptedWorker):
        def __init__(self, fleet):
            super().__init__(fleet)
            self.over = threading.Event()

        def prove(self, segment, share):
            if segment:
                self.over.wait()
                raise WorkerLost("closed")
            return b"proof of " + share

        def end(self):
            super().end()
            self.over.set()

        close = end

    def done(_segment):
        raise KeyboardInterrupt

    fleet = Slow(3)
    with pytest.raises(KeyboardInterrupt):
        prove_shares(Prover(), range(5), fleet, lambda *_: None, done)
    assert fleet.started == fleet.closed


def test_none_is_dealt_out_before_those_that_it_needs():
    """A tree of four, two and one, by workers of which the first is slow."""
    needs = {4: [0, 1], 5: [2, 3], 6: [4, 5]}
    first, proven, lock = threading.Event(), [], threading.Lock()

    class Trees(Scripted):
        def start(self):
            self.started += 1
            return TreeWorker(self)

    class TreeWorker(ScriptedWorker):
        def prove(self, number, share):
            with lock:
                assert set(needs.get(number, ())) <= set(proven)
            if number == 0:
                assert first.wait(30), "5 does not wait for 0"
            return super().prove(number, share)

    def keep(number, _proof):
        with lock:
            proven.append(number)
        if number == 5:
            first.set()

    fleet = Trees(2)
    told = []
    prove_shares(
        Prover(), range(7), fleet, keep, told.append, needs=lambda number: needs.get(number, ())
    )
    assert sorted(told) == sorted(proven) == list(range(7))
    assert proven[-3:] == [0, 4, 6] or proven[-2:] == [4, 6]
    assert fleet.started == fleet.closed
    # What is there already is not waited for.
    again = Scripted()
    prove_shares(
        Prover(), [4, 6], again, lambda *_: None, told.append, needs=lambda n: needs.get(n, ())
    )
    assert again.seen == [4, 6]


@pytest.mark.parametrize(
    "options",
    [{"processes": 0}, {"processes": 5000}, {"ray": " "}, {"patience": 9}, {"patience": 1e9}],
)
def test_numbers_that_are_none(options):
    with pytest.raises(UsageError):
        Workers(**options)


def test_frames():
    stream = io.BytesIO()
    write_frame(stream, FAILED, b"abc")
    for cut in (0, 5, 11):
        with pytest.raises(EOFError):
            read_frame(io.BytesIO(stream.getvalue()[:cut]), 10)
    with pytest.raises(ValueError, match="3 bytes"):
        read_frame(io.BytesIO(stream.getvalue()), 2)
    assert read_frame(io.BytesIO(stream.getvalue()), 3) == (FAILED, b"abc")


@pytest.fixture(scope="module")
def job():
    """A strict job of two segments."""
    return two_segments()


def two_segments():
    from support.wide_jobs import strict_job

    return strict_job()


@pytest.fixture(scope="module")
def prover(job):
    from zktally import _core

    found = _core.HybridProver(job.program, job.journal, job.openings, job.profile)
    assert found.segments == 2
    return found


def test_processes_prove_shares(job, prover):
    proofs = {}
    fleet = Workers(processes=2).fleet(job.task)
    prove_shares(prover, range(2), fleet, proofs.__setitem__, lambda _: None)
    for segment in range(2):
        prover.check(segment, proofs[segment])
        with pytest.raises(ZktallyError):
            prover.check(1 - segment, proofs[segment])


def test_a_killed_process_is_replaced(job, prover):
    class Killed(type(Workers(processes=2).fleet(job.task))):
        first = True

        def start(self):
            worker = super().start()
            if type(self).first:
                type(self).first = False
                threading.Timer(0.3, lambda: os.kill(worker.pid, signal.SIGKILL)).start()
            return worker

    fleet = Killed(job.task, 1, 1)
    proofs = {}
    prove_shares(prover, [1], fleet, proofs.__setitem__, lambda _: None)
    prover.check(1, proofs[1])
    assert not Killed.first


def test_a_share_that_cannot_be_proven_says_so(job):
    fleet = Workers(processes=2).fleet(job.task)
    worker = fleet.start()
    try:
        with pytest.raises(ZktallyError) as found:
            worker.prove(0, b"no share")
        assert found.value.code == "verify.journal-mismatch"
    finally:
        worker.close()
    with pytest.raises(WorkerLost, match="killed by signal 9"):
        worker.prove(0, b"")


def test_modules_in_the_folder_of_the_user_are_not_run(tmp_path):
    (tmp_path / "json.py").write_text("raise SystemExit(7)")
    done = subprocess.run(SERVE, input=b"", cwd=tmp_path, capture_output=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("script", ["deaf", "mute", "parent"])
def test_processes_that_hang_are_ended(job, prover, monkeypatch, script):
    """One that reads nothing, one that says nothing, one whose child keeps its pipes."""
    lines = {
        "deaf": "import time; time.sleep(600)",
        "mute": "import sys\nfor _ in sys.stdin.buffer: pass",
        "parent": "import subprocess, sys\nsubprocess.run(['sleep', '600'])",
    }
    monkeypatch.setattr(process, "SERVE", [sys.executable, "-c", lines[script]])
    fleet = Workers(processes=2).fleet(job.task)
    begun = time.monotonic()

    def interrupted(*_):
        raise KeyboardInterrupt

    class Waiting(type(fleet)):
        def start(self):
            to = (threading.main_thread().ident, signal.SIGINT)
            threading.Timer(0.5, signal.pthread_kill, to).start()
            return super().start()

    with pytest.raises(KeyboardInterrupt):
        prove_shares(prover, [0], Waiting(job.task, 1, 1), interrupted, lambda _: None)
    assert time.monotonic() - begun < 60


def test_a_worker_ends_with_its_master():
    master = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "from zktally.prover.workers.process import SERVE\n"
            "print(subprocess.Popen(SERVE, stdin=subprocess.PIPE, stdout=subprocess.PIPE,"
            " start_new_session=True).pid, flush=True)\n"
            "time.sleep(60)",
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    worker = int(master.stdout.readline())
    master.kill()
    master.communicate()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            os.kill(worker, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("the worker outlived its master")


# Workers that hang.


def looked_at(watch, works, looks):
    """Whether it hangs at one of so many looks, having worked a share of the time before each."""
    spent = 0.0
    for _ in range(looks):
        spent += works * watch.every
        watch.heard(spent)
        if watch.hangs():
            return True
    return False


@pytest.mark.parametrize("works", [2.0, 1.0, 0.1, 0.02])
def test_a_slow_worker_does_not_hang(works):
    assert not looked_at(Watch(300), works, 1000)


@pytest.mark.parametrize("works", [0.0, 0.0001, 0.005])
def test_a_worker_that_does_nothing_hangs(works):
    watch = Watch(300)
    assert looked_at(watch, works, 3 * LOOKS)
    watch.begin()  # of other work it is not blamed
    assert not looked_at(watch, works, LOOKS)


def test_a_worker_of_which_nothing_is_heard_hangs():
    watch = Watch(300)
    assert [watch.hangs() for _ in range(LOOKS + 1)] == [False] * LOOKS + [True]


WORKER = """
import sys, time
from zktally.prover.workers import serve, task
def prove(number, share):
    {body}
    return b"proof of " + share
task.Task.prover = lambda *_: prove
serve.serve(sys.stdin.buffer, sys.stdout.buffer)
"""
SLEEPS = "time.sleep(600)"
SLOW = """
    for _ in range(80):
        end = time.process_time() + 0.005
        while time.process_time() < end: pass
        time.sleep(0.1)
"""


def worker_that(monkeypatch, body, patience=6.0):
    """Processes of which each lives, and does this with a share; it starts in less than that."""
    monkeypatch.setattr(process, "SERVE", [sys.executable, "-c", WORKER.format(body=body)])
    return Processes(NODES, 1, 1, patience)


def test_a_process_that_sleeps_over_a_share_is_replaced(monkeypatch):
    begun = time.monotonic()
    with pytest.raises(ProveError, match=r"hung and was ended: it used less than 0\.02 s") as found:
        run(worker_that(monkeypatch, SLEEPS, 2.0), [0])
    assert found.value.code == "prove.workers-lost"
    assert time.monotonic() - begun > 2 * TRIES


def test_a_process_that_reads_nothing_is_replaced(monkeypatch):
    """More is sent than a pipe holds."""

    class Long(Prover):
        def share(self, segment):
            return bytes(1 << 20)

    monkeypatch.setattr(
        process, "SERVE", [sys.executable, "-c", SLEEPS.join(["import time; ", ""])]
    )
    with pytest.raises(ProveError, match="hung") as found:
        prove_shares(Long(), [0], Processes(NODES, 1, 1, 1.0), lambda *_: None, lambda _: None)
    assert found.value.code == "prove.workers-lost"


def test_a_process_that_is_slow_is_waited_for(monkeypatch):
    """It works a twentieth of the time, for longer than anybody may do nothing."""
    fleet = worker_that(monkeypatch, SLOW)
    begun = time.monotonic()
    proofs, _ = run(fleet, [0])
    assert proofs == {0: b"proof of share 0"}
    assert time.monotonic() - begun > fleet.patience


def test_a_process_that_waits_for_work_does_not_hang(monkeypatch):
    worker = worker_that(monkeypatch, "pass").start()
    try:
        assert worker.prove(0, b"share") == b"proof of share"
        time.sleep(8)
        assert worker.prove(1, b"other") == b"proof of other"
    finally:
        worker.close()
