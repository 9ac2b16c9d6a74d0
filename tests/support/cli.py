"""What the integration tests share: the outcome of a command, and the files of a small project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    def refused(self, code: int, error: str) -> None:
        """Assert a clear refusal: exit code, error code, a hint or an expectation, no traceback."""
        assert self.code == code, (self.code, self.out, self.err)
        assert error in self.err, self.err
        assert "Traceback" not in self.err
        assert "panicked" not in self.err
        assert "internal error" not in self.err


Zktally = Callable[..., Outcome]


@dataclass(frozen=True)
class Files:
    folder: Path
    onnx: Path
    calibration: Path
    images: Path
    model: Path
    receipt: Path
    model_id: str
