"""The report in a real browser: it draws, complains of nothing, and asks for nothing."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from support.cli import Files, Zktally

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FOUND = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(
    FOUND is None, reason=f"no browser on PATH: none of {', '.join(BROWSERS)}"
)

QUIET = re.compile(r"dbus|Vulkan|vaapi|gpu|GPU|gl_|font|oom_score|ALSA|udev|sandbox|gcm|MESA|viz")
"""Of what a browser in a container says of its own: not of the page."""


@pytest.fixture(scope="module")
def report(zktally: Zktally, files: Files) -> Path:
    """A report with pictures, a table, and a hostile name."""
    receipt = files.folder / "browser.receipt"
    done = zktally(
        "prove", files.model, "--mode", "fast", "--input", files.images, "--inputs", "public",
        "--audience", "<img src=http://example.com/x onerror=console.error(1)>", "-q", "-o",
        receipt,
    )  # fmt: skip
    assert done.code == 0, done.err
    page = files.folder / "browser.html"
    done = zktally(
        "report", receipt, "--model-id", files.model_id, "--audience",
        "<img src=http://example.com/x onerror=console.error(1)>", "-o", page,
    )  # fmt: skip
    assert done.code == 0, done.err
    return page


def browse(page: Path, profile: Path, *options: str) -> str:
    """Open a page without a network; what the browser logs."""
    command = [
        str(FOUND), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
        "--disable-background-networking", "--no-first-run", "--disable-component-update",
        f"--user-data-dir={profile}", "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr", "--v=0", *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stderr


def pixels(file: Path) -> np.ndarray:
    """The picture of a PNG file [H, W, channels], by the rules of its filters."""
    data = file.read_bytes()
    width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
    assert (depth, color in (2, 6)) == (8, True)
    channels, at, packed = {2: 3, 6: 4}[color], 8, b""
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == b"IDAT":
            packed += data[at + 8 : at + 8 + length]
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, -1)
    assert rows.shape[1] == 1 + channels * width
    return rows[:, 1:]


@pytest.mark.parametrize("width", [1200, 500])
def test_it_is_drawn_without_a_complaint(report: Path, tmp_path: Path, width: int) -> None:
    shot = tmp_path / "shot.png"
    log = browse(
        report, tmp_path / "profile", f"--screenshot={shot}", f"--window-size={width},1600"
    )
    assert "CONSOLE" not in log, log
    assert "example.com" not in log
    errors = [line for line in log.splitlines() if ":ERROR:" in line and not QUIET.search(line)]
    assert not errors, errors
    rows = pixels(shot)
    drawn = len({row.tobytes() for row in rows})
    assert drawn > 200, f"the page is nearly empty: {drawn} different rows"


def test_a_complaint_would_be_seen(report: Path, tmp_path: Path) -> None:
    """A page that breaks the same rules: a script, and a picture from elsewhere."""
    spoilt = tmp_path / "spoilt.html"
    html = report.read_text(encoding="utf-8")
    picture = '<script>console.error("seen")</script><img src="http://example.com/x.png" alt="x">'
    spoilt.write_text(html.replace("</main>", f"{picture}</main>"), encoding="utf-8")
    log = browse(spoilt, tmp_path / "profile", f"--screenshot={tmp_path / 'shot.png'}")
    assert "CONSOLE" in log
    assert "Content Security Policy" in log


def test_it_prints(report: Path, tmp_path: Path) -> None:
    pdf = tmp_path / "page.pdf"
    browse(report, tmp_path / "profile", "--no-pdf-header-footer", f"--print-to-pdf={pdf}")
    assert pdf.read_bytes().startswith(b"%PDF-")
    if shutil.which("pdftotext") is None:
        return
    text = subprocess.run(
        ["pdftotext", "-layout", str(pdf), "-"], capture_output=True, text=True, check=True
    ).stdout
    for words in ("VERIFIED", "What is promised", "Words used", "zktally-verify"):
        assert words in text
    assert text.count("\f") <= 12
