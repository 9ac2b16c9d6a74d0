"""The report as a page: well formed, self-contained, steered by no name from outside."""

from __future__ import annotations

import base64
import re
import struct
import zlib
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import zktally
from support import pages
from support.receipts import Prover
from zktally.prover.receipt import encode_receipt
from zktally.verifier.api import judge
from zktally.verifier.chain import VerifiedRun, verify_run
from zktally.verifier.errors import MalformedReceipt, ProgramMismatch
from zktally.verifier.journal import Journal
from zktally.verifier.policy import Expectations, Policy
from zktally.verifier.quoting import shell_word
from zktally.verifier.receipt import split_receipt
from zktally.verifier.report import Evidence, refusal, report, sections
from zktally.verifier.report.case import Case
from zktally.verifier.report.curves import curve
from zktally.verifier.report.markup import Html, element, joined
from zktally.verifier.report.pictures import as_images, data_uri, png, reduced, scale, side
from zktally.verifier.report.shown import parts
from zktally.verifier.values import Values, outputs_of

WHEN = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
LAX = Policy(max_delta=0.5, min_bits=1, outputs_exact=False)


def evidence(*receipts: bytes, names: tuple[str, ...] = ("run.receipt",), **more) -> Evidence:
    return Evidence(
        **{
            "names": names,
            "receipts": receipts,
            "policy": LAX,
            "version": "0.1.0",
            "command": "zktally-verify run.receipt",
            "backend": "python",
            "when": WHEN,
            **more,
        }
    )


def judged(*receipts: bytes) -> VerifiedRun:
    journal = Journal.decode(split_receipt(receipts[0]).journal)
    expected = Expectations(journal.model_id, LAX, any_dataset=True, **journal.labels)
    return verify_run(list(receipts), expected, judge)


def page_of(*receipts: bytes, **more) -> pages.Page:
    return pages.read(report(evidence(*receipts, **more), judged(*receipts)))


@pytest.mark.parametrize("name", ["dense", "conv", "running_average", "every_kind"])
def test_a_page_of_each_program(name: str) -> None:
    page = page_of(Prover(name, steps=2, bits=30).commit().receipt())
    for heading in ("What was run", "What is promised", "What is not promised", "Words used"):
        assert heading in page.text
    assert page.text.count("VERIFIED") == 1
    assert "None" not in page.text.replace("None of the", "")
    assert "0" * 64 not in page.text


def test_the_page_says_what_was_checked() -> None:
    receipt = Prover("dense", exact=(0,)).commit().receipt()
    text = page_of(receipt).text
    assert "every value of every step was checked" in text
    assert "Certified" in text
    assert "Appendix" not in text
    sampled = page_of(Prover("every_kind", steps=3, bits=4, delta_ppm=300_000).commit().receipt())
    assert "A single changed value would be seen with a probability of" in sampled.text
    assert "Appendix: calculation by calculation" in sampled.text
    assert "30 % (δ)" in sampled.text


def test_the_page_of_a_run_has_its_curves() -> None:
    first = Prover("learner", steps=2, declared=True, nonce=b"n").commit()
    second = Prover("learner", steps=3, follows=first, nonce=b"n").commit()
    receipts = (first.receipt(), second.receipt())
    page = page_of(*receipts, names=("a.receipt", "b.receipt"))
    assert "2 receipts were checked, and found good: 5 steps" in page.text
    assert "The training run" in page.text
    assert "Begins as its program declares" in page.text
    assert first.journal.dataset_root.hex() in page.text
    assert "svg" in page.tags


def unlike(order: str = "complete first") -> tuple[bytes, bytes]:
    """Two receipts of a run: in one every value is checked, in the other δ is 50 %."""
    every = tuple(c for c, op in enumerate(Prover("learner").program.ops) if not op.exact)
    lax = {"delta_ppm": 500_000, "bits": 30}
    claims = [{"exact": every, "delta_step_ppm": 10_000}, lax]
    one, other = claims if order == "complete first" else claims[::-1]
    first = Prover("learner", steps=2, declared=True, nonce=b"n", **one).commit()
    second = Prover("learner", steps=3, follows=first, nonce=b"n", **other).commit()
    return first.receipt(), second.receipt()


@pytest.mark.parametrize("order", ["complete first", "complete last"])
def test_no_receipt_of_a_run_speaks_for_another_one(order: str) -> None:
    receipts = unlike(order)
    worst = judged(*receipts).receipts[1 if order == "complete first" else 0].guarantee
    assert not worst.complete
    statuses = {each.status for each in outputs_of(receipts, judged(*receipts).receipts)}
    assert statuses == set(worst.outputs.values()) != {"certified"}
    page = page_of(*receipts, names=("a.receipt", "b.receipt"))
    assert "At most 50 % of the work can be wrong" in page.text
    assert "No bound is claimed for single steps" in page.text
    assert "no common bound for single calculations" in page.text
    assert "· certified" not in page.text
    assert "50 % (δ)" in page.text


def test_a_page_of_several_modes_says_which_receipt_is_of_which() -> None:
    """The receipts of `train --mode fast --reveal --strict-steps 0:1`, but for the proofs."""
    receipts = unlike("complete first")
    run = judged(*receipts)
    strict = replace(run.receipts[0].facts.journal, mode=2)
    facts = replace(run.receipts[0].facts, journal=strict)
    promised = replace(run.receipts[0].guarantee, hides=True)
    first = replace(run.receipts[0], facts=facts, guarantee=promised)
    mixed = VerifiedRun((first, run.receipts[1]))
    text = pages.read(report(evidence(*receipts, names=("a.receipt", "b.receipt")), mixed)).text
    assert '"a.receipt": strict: checked in full' in text
    assert '"b.receipt": fast: checked by samples' in text
    assert "In the strict receipts: All values are hidden" in text
    assert "In the fast receipts: The values that were picked are shown" in text
    hidden = text.split("What is hidden")[1]
    assert hidden.startswith('"a.receipt"Hidden are weights')
    assert '"b.receipt"Nothing that was checked is hidden' in hidden


def test_what_is_among_the_checked_values_holds_of_every_output() -> None:
    receipt = Prover("every_kind", steps=3, bits=4, delta_ppm=300_000).commit().receipt()
    case = Case.of([receipt], ("a",), judged(receipt))
    full = ", among them all of the calculations that give the outputs"
    for statuses, said in (
        (["certified", "consistent"], full),
        (["consistent", "sampled"], ""),
        (["certified", "sampled"], ""),
        ([], ""),
    ):
        outputs = [replace(case.outputs[0], status=status) for status in statuses]
        text = sections.promised(replace(case, outputs=outputs))
        assert (full in text) == bool(said), statuses


def test_a_probability_is_that_of_one_attempt() -> None:
    page = page_of(Prover("every_kind", steps=3, bits=4, delta_ppm=300_000).commit().receipt())
    assert "is seen in one attempt" in page.text
    delta, appendix = page.text.split("Appendix: calculation by calculation")
    for part in (delta, appendix):
        assert "can draw again at little cost" in part
        assert "count anything within δ as possibly wrong" in part


def hostile(name: str) -> bytes:
    """A fast receipt of a model whose input and output have this name."""
    other = f"{name}2"
    graph = helper.make_graph(
        [helper.make_node("Gemm", [name, "w"], [other], other)],
        name[:100] or "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info(other, TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    x = np.random.default_rng(0).random((8, 4), np.float32)
    program = zktally.compile(model, calibration={name: x}, batch=4, public=True)
    return zktally.prove(
        program, {name: x}, "fast", visibility="public", audience=name[:60], bits=120
    ).data


NAMES = {
    "script": "<script>alert(1)</script>",
    "attribute": "\" onload='alert(1)' x=\"",
    "entity": "&lt;b&gt;&amp;",
    "comment": "<!-- --><![CDATA[ ]]></style></title>",
    "bidi": "a\u202egnp.exe\u2066\u200f",
    "control": "a\x1b[2J\nVERIFIED",
    "long": "x" * 10_000,
    "long tag": "<img src=x>" * 1000,
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_from_outside_stays_text(name: str) -> None:
    receipt = hostile(NAMES[name])
    given = (f"{NAMES[name][:200]}.receipt",)
    html = report(evidence(receipt, names=given, command=shell_word(given[0])), judged(receipt))
    page = pages.read(html)
    assert set(page.tags) <= {
        "html", "head", "meta", "title", "style", "body", "header", "main", "footer", "section",
        "h1", "h2", "h3", "p", "div", "strong", "dl", "dt", "dd", "ul", "li", "code", "pre",
        "table", "caption", "thead", "tbody", "tr", "th", "td", "b",
    }  # fmt: skip
    said = re.sub(r"\\+(?:n|x0a)VERIFIED", "", page.text)
    assert said.count("VERIFIED") == 1
    assert all(c.isprintable() or c == "\n" for c in page.html)
    assert max(map(len, page.text.split('"'))) < 5000


def test_a_refusal_says_so() -> None:
    error = ProgramMismatch(
        "the receipt is about <b>another</b> model",
        code="verify.model-mismatch",
        expected="aa",
        received="<i>",
    )
    page = pages.read(refusal(evidence(b"ZKTALLY"), error))
    assert "REFUSED" in page.text
    assert "VERIFIED" not in page.text
    assert "verify.model-mismatch" in page.text
    assert "the receipt is about <b>another</b> model" in page.text
    assert "b" not in page.tags
    unread = MalformedReceipt("this is no receipt", code="receipt.bad-magic")
    assert "COULD NOT BE JUDGED" in pages.read(refusal(evidence(b"PK"), unread)).text


def test_elements_escape_what_is_not_one() -> None:
    assert element("p", "<b>", Html("<i></i>"), None, ["&"]) == "<p>&lt;b&gt;<i></i>&amp;</p>"
    assert element("img", src='"x"', alt=None) == '<img src="&quot;x&quot;">'
    assert joined("'", element("br")) == "&#x27;<br>"


def test_a_png_is_read_back() -> None:
    """By its own rules: chunks with their checksums, rows with a filter byte of 0."""
    rng = np.random.default_rng(0)
    for channels, color in ((1, 0), (3, 2)):
        pixels = rng.integers(0, 256, (5, 7, channels), np.uint8)
        data = png(pixels)
        assert data[:8] == b"\x89PNG\r\n\x1a\n"
        chunks, at = {}, 8
        while at < len(data):
            (length,), kind = struct.unpack_from(">I", data, at), data[at + 4 : at + 8]
            body = data[at + 8 : at + 8 + length]
            assert struct.unpack_from(">I", data, at + 8 + length)[0] == zlib.crc32(kind + body)
            chunks[kind], at = body, at + 12 + length
        assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (7, 5, 8, color, 0, 0, 0)
        rows = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(5, -1)
        assert not rows[:, 0].any()
        assert np.array_equal(rows[:, 1:].reshape(pixels.shape), pixels)
        assert [*chunks] == [b"IHDR", b"IDAT", b"IEND"]


def test_what_is_an_image() -> None:
    def shape(*sizes: int) -> tuple[int, ...] | None:
        found = as_images(np.zeros(sizes, np.float32))
        return None if found is None else found.shape

    assert shape(2, 1, 8, 9) == (2, 8, 9, 1)
    assert shape(2, 3, 8, 9) == (2, 8, 9, 3)
    assert shape(2, 8, 9, 3) == (2, 8, 9, 3)
    assert shape(2, 8, 9, 1) == (2, 8, 9, 1)
    for other in ((2, 2, 8, 8), (2, 1, 1, 10), (2, 10), (2, 3, 2, 2), (0, 1, 8, 8)):
        assert shape(*other) is None
    assert scale(np.array([0.0, 1.0]))[:2] == (0, 1)
    assert scale(np.array([0, 200]))[:2] == (0, 255)
    assert scale(np.array([-1.0, 3.0, np.inf]))[:2] == (-1, 3)


def test_a_large_picture_is_shown_by_means_and_that_is_said() -> None:
    """Every second pixel alone would show a white picture here, and hide a black line."""
    image = np.ones((512, 400, 1), np.float32)
    image[1::2] = 0
    assert side(image) == 2
    assert np.array_equal(reduced(image, 2), np.full((256, 200, 1), 0.5))
    assert data_uri(image, 0, 1) == data_uri(np.full((256, 200, 1), 0.5, np.float32), 0, 1)
    ends = np.arange(15, dtype=np.int64).reshape(3, 5, 1)
    assert reduced(ends, 2)[..., 0].tolist() == [[3, 5, 6.5], [10.5, 12.5, 14]]
    assert reduced(ends, 1) is ends
    rows, codes = np.zeros(1, np.int64), np.zeros((1, 1), np.int64)
    for size, said in ((512, True), (256, False)):
        picture = np.zeros((1, 1, size, 8), np.float32)
        text = "".join(parts(Values("x", "item", rows, picture, codes, "published")))
        assert ("Each pixel that is shown is the mean of 2 by 2." in text) == said


def test_pictures_of_published_images() -> None:
    prover = Prover("conv", steps=1)
    page = page_of(prover.commit().receipt())
    shapes = [prover.program.tensors[port.tensor].shape for port in prover.program.inputs]
    if as_images(np.zeros(shapes[0])) is not None:
        assert page.pictures
    for address in page.pictures:
        assert base64.b64decode(address.split(",")[1]).startswith(b"\x89PNG")


def test_curves() -> None:
    steps = np.arange(5000)
    drawn = curve("loss", steps, np.exp(-steps / 1000))
    assert drawn is not None
    assert drawn.count("<polyline") == 1
    points = drawn.split('points="')[1].split('"')[0].split()
    assert 2 <= len(points) <= 400
    places = [tuple(map(float, point.split(","))) for point in points]
    assert all(b[0] > a[0] and b[1] >= a[1] for a, b in pairwise(places))
    assert curve("loss", steps[:1], np.ones(1)) is None
    assert curve("loss", steps[:9], np.full(9, np.nan)) is None


def test_the_page_is_the_same_for_the_same_evidence() -> None:
    receipt = Prover("dense").commit().receipt()
    assert report(evidence(receipt), judged(receipt)) == report(evidence(receipt), judged(receipt))


def test_labels_are_told() -> None:
    sections = split_receipt(Prover("dense").commit().receipt())
    journal = replace(Journal.decode(sections.journal), audience="acme <corp>")
    data = encode_receipt(bytes(sections.program), journal.encode(), bytes(sections.proof))
    assert data
    text = page_of(Prover("dense", audience="acme <corp>").commit().receipt()).text
    assert 'Made for (audience)"acme <corp>"' in text


def test_no_file_of_the_report_loads_anything() -> None:
    folder = Path(zktally.verifier.report.__file__).parent  # type: ignore[attr-defined]
    for file in folder.glob("*.py"):
        assert "http:" not in file.read_text(encoding="utf-8")
