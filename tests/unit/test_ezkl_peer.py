"""ONNX files as ezkl takes them; ezkl under watch, played by a script where there is none."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from zktally.bench import ezkl_peer
from zktally.bench.models import _Chain
from zktally.cli.bench import byte_count
from zktally.cli.main import main
from zktally.prover.errors import ProveError
from zktally.prover.snark import process
from zktally.prover.snark.adapt import adapt


def convolution() -> onnx.ModelProto:
    return _Chain("c", [1, 8, 8]).conv(2, 3).relu().pool().flatten().dense(3).model()


def saved(model: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


def outputs(model: onnx.ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, inputs)


def test_a_model_is_written_out_and_computes_the_same(tmp_path):
    model = convolution()
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(3, np.float32), "idle"))
    adapted, changes = adapt(saved(model, tmp_path), {"input": (1, 1, 8, 8)})
    assert changes == [
        "input input fixed to [1, 1, 8, 8]",
        "1 unused weights removed",
        "Conv: strides, dilations, group written out",
        "MaxPool: dilations, pads written out",
    ]
    (conv,) = [node for node in adapted.graph.node if node.op_type == "Conv"]
    held = {each.name: helper.get_attribute_value(each) for each in conv.attribute}
    assert held["strides"] == [1, 1]
    assert [d.dim_value for d in adapted.graph.output[0].type.tensor_type.shape.dim] == [1, 3]
    x = {"input": np.random.default_rng(0).normal(size=(1, 1, 8, 8)).astype(np.float32)}
    np.testing.assert_array_equal(outputs(model, x)[0], outputs(adapted, x)[0])


def test_a_model_that_needs_nothing_is_left_alone(tmp_path):
    first, _ = adapt(saved(convolution(), tmp_path), {"input": (1, 1, 8, 8)})
    again, changes = adapt(saved(first, tmp_path), {"input": (1, 1, 8, 8)})
    assert changes == []
    assert again == first


def test_weights_listed_as_inputs_are_inputs_no_longer(tmp_path):
    model = convolution()
    weight = model.graph.initializer[0]
    model.graph.input.append(
        helper.make_tensor_value_info(weight.name, TensorProto.FLOAT, list(weight.dims))
    )
    adapted, changes = adapt(saved(model, tmp_path), {"input": (1, 1, 8, 8)})
    assert "1 weights no longer listed as inputs" in changes
    assert [port.name for port in adapted.graph.input] == ["input"]


def test_padding_that_the_file_leaves_to_a_rule_stays_so(tmp_path):
    model = convolution()
    conv = model.graph.node[0]
    for each in [a for a in conv.attribute if a.name == "pads"]:
        conv.attribute.remove(each)
    conv.attribute.append(helper.make_attribute("auto_pad", "VALID"))
    adapted, _ = adapt(saved(model, tmp_path), {"input": (1, 1, 8, 8)})
    assert "pads" not in {each.name for each in adapted.graph.node[0].attribute}


def test_a_newer_opset_is_converted(tmp_path):
    model = convolution()
    model.opset_import[0].version = 20
    _, changes = adapt(saved(model, tmp_path), {"input": (1, 1, 8, 8)})
    assert "opset 20 converted to 18" in changes


@pytest.mark.parametrize("shapes", [{}, {"input": (1, 64)}])
def test_data_that_does_not_fit_is_refused(tmp_path, shapes):
    with pytest.raises(ProveError) as refused:
        adapt(saved(convolution(), tmp_path), shapes)
    assert refused.value.code == "snark.model"


def test_a_file_that_is_no_model_is_refused(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"nothing")
    with pytest.raises(ProveError) as refused:
        adapt(tmp_path / "m.onnx", {})
    assert refused.value.code == "snark.model"


@pytest.fixture
def played(tmp_path, monkeypatch):
    """Plays ezkl: a script that runs in its place."""

    def play(script: str) -> Path:
        child = tmp_path / "child.py"
        child.write_text(
            "import json, os, sys, time\n"
            "job = json.load(open(sys.argv[1]))\n"
            "def done(phase):\n"
            "    print(json.dumps({'phase': phase, 'seconds': 0.5}), flush=True)\n" + script
        )
        monkeypatch.setattr(process, "CHILD", child)
        for of in (process, ezkl_peer):
            monkeypatch.setattr(of, "version", lambda: "0")
        return tmp_path

    return play


def running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return state.rsplit(")", 1)[1].split()[0] not in "ZX"


JOB = {"phases": ["settings", "setup", "prove"]}


def test_phases_are_told_as_they_begin_and_timed(played):
    begun: list[str] = []
    found = process.run(JOB, played("[done(p) for p in job['phases']]"), progress=begun.append)
    assert (found.how, found.why) == ("done", "")
    assert begun == JOB["phases"]
    assert {name: told["seconds"] for name, told in found.phases.items()} == dict.fromkeys(
        JOB["phases"], 0.5
    )


def test_too_much_memory_is_stopped_and_what_was_done_is_kept(played):
    script = "done('settings')\nheld = b'x' * 300_000_000\ntime.sleep(60)"
    began = time.monotonic()
    found = process.run(JOB, played(script), memory_limit=200_000_000)
    assert found.how == "memory"
    assert found.why == "setup: more than the limit of 200 MB"
    assert list(found.phases) == ["settings"]
    assert found.peak_bytes > 200_000_000
    assert time.monotonic() - began < 30


def test_what_a_process_starts_counts_and_ends_with_it(played, tmp_path):
    script = (
        "import subprocess\n"
        "below = subprocess.Popen([sys.executable, '-c', "
        "\"held = b'x' * 300_000_000; import time; time.sleep(60)\"])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(below.pid))\n"
        "time.sleep(60)"
    )
    found = process.run(JOB, played(script), memory_limit=200_000_000)
    assert found.how == "memory"
    pid = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 20
    while running(pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not running(pid)


def test_too_much_time_is_stopped(played):
    found = process.run(JOB, played("time.sleep(60)"), time_limit=0.5)
    assert (found.how, found.why) == ("time", "settings: more than the limit of 0.5 s")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('print(\'{"phase": "settings", "failed": "X: no"}\')', "settings: X: no"),
        ("print('said', file=sys.stderr); sys.exit(3)", "settings: exit code 3; said"),
        ("done('settings'); os.kill(os.getpid(), 9)", "setup: ended by signal 9; "),
    ],
)
def test_a_failure_says_where_and_why(played, script, why):
    found = process.run(JOB, played(script))
    assert (found.how, found.why) == ("failed", why)


def test_an_interruption_ends_the_process(played, tmp_path):
    script = f"open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\ndone('settings')\n"

    def interrupt(phase: str) -> None:
        if phase == "setup":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        process.run(JOB, played(script + "time.sleep(60)"), progress=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_nothing_of_the_environment_reaches_ezkl(played, monkeypatch, tmp_path):
    monkeypatch.setenv("EZKL_KEY_FORMAT", "processed")
    script = f"open({str(tmp_path / 'env')!r}, 'w').write(json.dumps(dict(os.environ)))"
    process.run(JOB, played(script))
    environment = json.loads((tmp_path / "env").read_text())
    assert not any("EZKL" in name for name in environment)
    assert environment["HTTPS_PROXY"] == process.NOWHERE
    assert environment["HOME"] == str(tmp_path)


def test_a_row_without_ezkl_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(process.importlib.util, "find_spec", lambda name: None)
    path = saved(convolution(), tmp_path)
    row = ezkl_peer.measure(path, ezkl_peer.drawn_inputs(path), work=tmp_path / "work")
    assert row.ended == "failed"
    assert row.why == "ezkl is not installed [snark.unavailable]"
    assert main(["bench", "ezkl", str(path)]) == 3
    with pytest.raises(ProveError) as error:
        process.version()
    assert error.value.code == "snark.unavailable"


def test_a_row_keeps_the_phases_that_were_finished(played, tmp_path):
    work = played("done('settings')\ndone('calibrate')\nsys.exit(1)")
    path = saved(convolution(), tmp_path)
    row = ezkl_peer.measure(path, ezkl_peer.drawn_inputs(path), work=work).as_dict()
    assert row["ended"] == "failed"
    assert row["phases"] == {"settings": 0.5, "calibrate": 0.5}
    assert row["setup_s"] is None
    assert row["prove_s"] is None
    text = ezkl_peer.table([{"model": "m", **row}])
    assert "m: failed at circuit: exit code 1" in text
    assert "Conv: strides, dilations, group written out" in text


def test_sizes_on_the_command_line():
    sizes = [byte_count(text) for text in ("12G", "1.5M", "3000", "2kb")]
    assert sizes == [12 * 10**9, 1_500_000, 3000, 2000]
    for text in ("G", "-1", "x"):
        with pytest.raises(ValueError, match=r"float|-1"):
            byte_count(text)


def test_rows_are_written_as_they_come_and_read_again(played, tmp_path, capsys, monkeypatch):
    played("[done(p) for p in job['phases'][:5]]\nsys.exit(1)")
    monkeypatch.setattr(ezkl_peer, "version", lambda: "0")
    path, out = saved(convolution(), tmp_path), tmp_path / "rows.jsonl"
    work = ["--work", str(tmp_path / "work")]
    assert main(["bench", "ezkl", str(path), "-o", str(out), *work]) == 0
    (row,) = [json.loads(line) for line in out.read_text().splitlines()]
    assert row["ended"] == "failed"
    assert row["setup_s"] == 2.5
    capsys.readouterr()
    assert main(["bench", "ezkl", "--rows", str(out), "--markdown"]) == 0
    assert "| model.onnx | failed |" in capsys.readouterr().out
    assert main(["bench", "ezkl"]) == 2
