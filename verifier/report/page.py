"""The page: one file that needs no network and no script, for whoever has to rely on a verdict."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from ..chain import VerifiedRun
from ..errors import ZktallyError
from ..policy import Policy
from ..quoting import quoted
from ..snark.verdict import VerifiedSnark
from ..units import size
from . import sections
from .demands import demands
from .markup import Html, bullets, code, element, facts, joined
from .style import CSS

MOST = 64
"""Values of an output of a SNARK receipt that the page shows."""

CONTENT = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What a browser may load for the page: nothing but what stands in it."""


@dataclass(frozen=True)
class Evidence:
    """What was judged, how, and when.

    Attributes:
        names: of the files, without their places on this machine.
        receipts: their bytes.
        policy: what was demanded.
        command: that repeats the check.
        version: of the verifier.
        backend: "rust" or "python".
        when: of the check, with its time zone.
        others: what stands in the other files that the command names, by name: inputs, a policy.
    """

    names: tuple[str, ...]
    receipts: tuple[bytes, ...]
    policy: Policy
    command: str
    version: str
    backend: str
    when: datetime
    others: Mapping[str, bytes] = field(default_factory=dict)


def report(evidence: Evidence, run: VerifiedRun) -> str:
    """The page for receipts that were judged and found good."""
    first = run.receipts[0]
    if isinstance(first, VerifiedSnark):
        return _snark(evidence, first)
    case = sections.Case.of(evidence.receipts, evidence.names, run)
    parts = [
        _verdict(
            "VERIFIED",
            "good",
            sections.summary(case, _files(evidence)),
        ),
        sections.ran(case),
        sections.promised(case),
        sections.not_promised(case),
        sections.delta(case),
        sections.outputs(case),
        sections.inputs(case),
        sections.training(case),
        sections.fixed(case),
        sections.hidden(case),
        sections.glossary(case),
        _repeat(evidence, [each.sentence() for each in run.receipts]),
        sections.layers(case),
    ]
    return _page("Verification report", evidence, parts)


def _snark(evidence: Evidence, verdict: VerifiedSnark) -> str:
    """The page for a SNARK receipt: its verdict, line by line, and the outputs."""
    guarantee: Any = verdict.guarantee  # a SnarkGuarantee
    said = [(head.capitalize(), text) for head, text in guarantee.lines()]
    shown = [
        (quoted(name), f"{list(array.shape)}: {_first(array)}")
        for name, array in verdict.outputs.items()
    ]
    parts = [
        _verdict(
            "VERIFIED",
            "good",
            f"{_files(evidence)} was checked, and found good: {verdict.sentence()}.",
        ),
        _section("What was run", facts([("Model id", code(verdict.model_id))])),
        _section("What is promised, and what is not", facts(said)),
        _section("The outputs", facts(shown)),
        _repeat(evidence, [verdict.sentence()], "Python, numpy and py_ecc"),
    ]
    return _page("Verification report", evidence, parts)


def _first(array: np.ndarray[Any, Any]) -> str:
    """The first values, row by row."""
    more = " …" if array.size > MOST else ""
    return ", ".join(f"{value:.6g}" for value in array.ravel()[:MOST]) + more


def refusal(evidence: Evidence, error: ZktallyError) -> str:
    """The page for receipts that were refused, or could not be judged."""
    word = "REFUSED" if error.exit_code == 1 else "COULD NOT BE JUDGED"
    said = [
        ("Reason", error.message),
        ("Code", code(error.code)),
        ("Expected", _given(error.expected)),
        ("Received", _given(error.received)),
        ("What to do", (error.hint or error.codes[error.code][1]).replace("`", "")),
    ]
    meaning = element("p", error.codes[error.code][0])
    nothing = element(
        "p", "Nothing of what the receipt states is to be relied on because of this check."
    )
    parts = [
        _verdict(word, "bad", f"{_files(evidence)}: {error.message}."),
        _section("Why", meaning, facts(said), nothing),
        _repeat(evidence, []),
    ]
    return _page("Verification report", evidence, parts)


def _given(value: object) -> str | None:
    return None if value is None else str(value)


def _files(evidence: Evidence) -> str:
    count = len(evidence.names)
    return f"The receipt {quoted(evidence.names[0])}" if count == 1 else f"{count} receipts"


def _verdict(word: str, kind: str, text: str) -> Html:
    return element(
        "div", element("strong", word), element("p", text), class_=f"verdict {kind}", role="status"
    )


def _section(title: str, *children: Html) -> Html:
    return element("section", element("h2", title), *children)


def _repeat(evidence: Evidence, said: list[str], needs: str = "Python and numpy") -> Html:
    """How anyone gets the same verdict."""
    files = [
        joined(
            f"{quoted(name)}, {size(len(data))}, SHA-256 ",
            code(hashlib.sha256(data).hexdigest()),
        )
        for name, data in [
            *zip(evidence.names, evidence.receipts, strict=True),
            *evidence.others.items(),
        ]
    ]
    demanded = [(name, value) for name, value in demands(evidence.policy) if value is not None]
    when = evidence.when.strftime("%Y-%m-%d %H:%M %Z")
    return _section(
        "How to repeat this check",
        element(
            "p",
            "Anyone who has the receipt can repeat the check, without a network and without "
            f"trusting this page. The verifier is free software; it needs {needs}. With "
            "the files named here in the current folder, this command gives the same verdict:",
        ),
        element("pre", evidence.command),
        element("h3", "Files"),
        bullets(files),
        *([element("h3", "What the verifier says"), bullets(said)] if said else []),
        element("h3", "What was demanded"),
        facts(demanded),
        element(
            "p",
            f"Checked on {when} with zktally {evidence.version}, the verifier in "
            f"{evidence.backend.capitalize()}. The date is that of the computer's clock.",
        ),
    )


def _page(title: str, evidence: Evidence, parts: Sequence[Html | None]) -> str:
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=CONTENT),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", f"{title}: {quoted(evidence.names[0])}"),
        element("style", Html(CSS)),
    )
    date = evidence.when.strftime("%Y-%m-%d")
    body = element(
        "body",
        element(
            "header",
            element("h1", title),
            element(
                "p", f"What a zktally receipt shows, and what it does not · {date}", class_="sub"
            ),
        ),
        element("main", parts),
        element(
            "footer",
            "Names between double quotes come from whoever made the model, the receipt or the "
            "file. They are shown as they are, and mean nothing by themselves.",
        ),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"
