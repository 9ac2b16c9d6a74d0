"""Fresh keys from the operating system, as canonical field elements (docs/protocol.md section 4)."""

from __future__ import annotations

import os

P = 2**31 - 2**24 + 1


def fresh_key() -> bytes:
    """32 bytes: 8 uniform KoalaBear elements, little-endian, by rejection of os.urandom words."""
    elements: list[int] = []
    while len(elements) < 8:
        word = int.from_bytes(os.urandom(4), "little") & 0x7FFF_FFFF
        if word < P:
            elements.append(word)
    return b"".join(element.to_bytes(4, "little") for element in elements)
