"""The list of all tamperings: a name, the code that refuses it, and how it is made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from forger import victim

from zktally.verifier.policy import Expectations

Made = bytes | tuple[bytes, Expectations]


@dataclass
class Tampering:
    name: str
    code: str
    base: str
    make: Callable[[], Made]

    @cached_property
    def case(self) -> tuple[bytes, Expectations]:
        """The forged receipt, and what its victim expects."""
        made = self.make()
        return made if isinstance(made, tuple) else (made, victim(self.base))


ALL: dict[str, Tampering] = {}


def tampering(
    name: str, code: str, base: str = "kinds"
) -> Callable[[Callable[[], Made]], Callable[[], Made]]:
    """Register a function that makes a receipt; `base` names the run that the victim means.

    It may return a pair instead, with other expectations.
    """

    def register(make: Callable[[], Made]) -> Callable[[], Made]:
        if name in ALL:
            raise ValueError(f"two tamperings are called {name}")
        ALL[name] = Tampering(name, code, base, make)
        return make

    return register
