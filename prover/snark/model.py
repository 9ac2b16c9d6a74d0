"""A model set up for SNARK receipts: a folder with ezkl's files, and the key that names it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...verifier.errors import UsageError, ZktallyError
from ...verifier.quoting import quoted_path
from ...verifier.snark.key import Key

KEY_FILE = "snark.key"
MADE_HERE = "srs-made-here"
"""An empty file: the string is no ceremony's, so that `prove` does not call it one."""
MAX_KEY = 16 << 20


@dataclass(frozen=True)
class SnarkModel:
    """What `set_up` made.

    Attributes:
        folder: of ezkl's files (`child.FILES`).
        key: what is in every receipt; its digest is the model id.
    """

    folder: Path
    key: Key

    @property
    def model_id(self) -> bytes:
        """32 bytes, by which verifiers name it."""
        return self.key.id

    @property
    def srs(self) -> bytes:
        """The digest of the structured reference string, 32 bytes."""
        return self.key.srs

    @property
    def made_here(self) -> bool:
        """Whether the string was made by whoever set the model up."""
        return (self.folder / MADE_HERE).exists()

    @classmethod
    def load(cls, folder: str | Path) -> SnarkModel:
        """Read a folder that `snark-setup` wrote.

        Raises:
            UsageError: `usage.unreadable`, it is none, or was damaged.
        """
        path = Path(folder)
        try:
            data = (path / KEY_FILE).read_bytes()
            if len(data) <= MAX_KEY:
                return cls(path, Key.decode(data))
            why: object = "a key that is too large"
        except (OSError, ZktallyError) as error:
            why = error
        raise UsageError(
            f"{quoted_path(path)} is no model that was set up for SNARK receipts",
            code="usage.unreadable",
            expected="a folder that zktally snark-setup wrote",
            received=why,
        )


def is_snark_model(path: str | Path) -> bool:
    """Whether it is a folder with a key in it."""
    return (Path(path) / KEY_FILE).is_file()
