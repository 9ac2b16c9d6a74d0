"""Pictures of arrays that are images, as PNG files inside of the page."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = np.ndarray[Any, np.dtype[Any]]
Pixels = NDArray[np.uint8]

CHANNELS = (1, 3)
SMALLEST = 4
"""Pixels of a side: what is less is taken for a table."""

LARGEST = 256
"""Pixels of a side that are shown; each of a larger picture is the mean of a square of them."""


def as_images(values: Array) -> Array | None:
    """The array as images [n, H, W, 1|3], or None where it is none.

    Args:
        values: [n, 1|3, H, W] or [n, H, W, 1|3]; where both could be meant, the first.
    """
    if values.ndim != 4 or not values.size:
        return None
    if values.shape[1] in CHANNELS and min(values.shape[2:]) >= SMALLEST:
        return np.moveaxis(values, 1, 3)
    if values.shape[3] in CHANNELS and min(values.shape[1:3]) >= SMALLEST:
        return values
    return None


def scale(values: Array) -> tuple[float, float, str]:
    """What is black and what is white, and that in words.

    Numbers from 0 to 1 and from 0 to 255 are what images have; others reach from their least to
    their largest.
    """
    finite = values[np.isfinite(values)].astype(np.float64)
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0, "black is 0, white is 1"
    if low >= 0 and high <= 255:
        return 0.0, 255.0, "black is 0, white is 255"
    return low, high, f"black is {low:.4g}, the least number; white is {high:.4g}, the largest"


def data_uri(image: Array, low: float, high: float) -> str:
    """One image [H, W, 1|3] as the address of a picture that stands in the page itself."""
    file = png(_pixels(reduced(image, side(image)), low, high))
    return f"data:image/png;base64,{base64.b64encode(file).decode()}"


def side(image: Array) -> int:
    """How many pixels, in each direction, of an image [H, W, …] are shown as one."""
    height, width = image.shape[:2]
    return -(-max(int(height), int(width)) // LARGEST)


def reduced(image: Array, size: int) -> Array:
    """The means over squares of so many pixels; those at the far edges may be cut."""
    if size == 1:
        return image
    sums = image.astype(np.float64)
    for axis in (0, 1):
        starts = np.arange(0, image.shape[axis], size)
        counts = np.diff(np.append(starts, image.shape[axis]))
        shape = [-1 if each == axis else 1 for each in range(sums.ndim)]
        sums = np.add.reduceat(sums, starts, axis=axis) / counts.reshape(shape)
    return sums


def _pixels(image: Array, low: float, high: float) -> Pixels:
    span = high - low if high > low else 1.0
    shares = np.nan_to_num((image.astype(np.float64) - low) / span)
    return np.rint(255 * np.clip(shares, 0, 1)).astype(np.uint8)


def png(pixels: Pixels) -> bytes:
    """A PNG file (ISO/IEC 15948) of pixels [H, W, 1|3]: grey, or red, green and blue."""
    height, width, channels = pixels.shape
    color = {1: 0, 3: 2}[channels]
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # a filter byte of 0, then the row
    rows[:, 1:] = pixels.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
