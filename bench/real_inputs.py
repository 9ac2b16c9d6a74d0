"""Plausible inputs for published models: pictures, print, speech, spectrograms, token ids.

Nobody's data: all of it is drawn from a seed, with the structure that the models look for. White
noise would exercise them no better than zeros do.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Draw = np.random.Generator

_DIGITS = (
    "01110 10001 10011 10101 11001 10001 01110",
    "00100 01100 00100 00100 00100 00100 01110",
    "01110 10001 00001 00010 00100 01000 11111",
    "11111 00010 00100 00010 00001 10001 01110",
    "00010 00110 01010 10010 11111 00010 00010",
    "11111 10000 11110 00001 00001 10001 01110",
    "00110 01000 10000 11110 10001 10001 01110",
    "11111 00001 00010 00100 01000 01000 01000",
    "01110 10001 10001 01110 10001 10001 01110",
    "01110 10001 10001 01111 00001 00010 01100",
)
"""Digits of 7 rows by 5 columns."""


def picture(draw: Draw, height: int, width: int) -> Array:
    """Discs and boxes of all sizes on a shaded ground, [height, width, 3] in [0, 1]."""
    y, x = np.mgrid[0:height, 0:width]
    ground = draw.uniform(0.2, 0.8, 3)
    image = np.ones((height, width, 3)) * ground + (x / width - 0.5)[..., None] * 0.3
    for _ in range(14):
        middle_y, middle_x = draw.uniform(0, height), draw.uniform(0, width)
        size = draw.uniform(0.03, 0.3) * min(height, width)
        if draw.random() < 0.5:
            inside = (y - middle_y) ** 2 + (x - middle_x) ** 2 < size**2
        else:
            inside = (abs(y - middle_y) < size) & (abs(x - middle_x) < size * draw.uniform(0.2, 1))
        image[inside] = draw.uniform(0, 1, 3)
    return _within(image + draw.normal(0, 0.02, image.shape))


def face(draw: Draw, size: int) -> Array:
    """An oval with eyes, brows, nose and mouth, [size, size, 3] in [0, 1]."""
    y, x = (np.mgrid[0:size, 0:size] + 0.5) / size - 0.5
    image = picture(draw, size, size) * 0.5
    skin = draw.uniform(0.5, 0.9) * np.array([1.0, 0.82, 0.7])
    x, y = x - draw.uniform(-0.06, 0.06), y - draw.uniform(-0.06, 0.06)
    image[(x / 0.36) ** 2 + (y / 0.46) ** 2 < 1] = skin
    for side in (-1, 1):
        image[((x - side * 0.15) / 0.07) ** 2 + ((y + 0.1) / 0.035) ** 2 < 1] = 0.15
        image[(abs(x - side * 0.15) < 0.09) & (abs(y + 0.19) < 0.015)] = skin * 0.4
    image[(abs(x) < 0.03) & (abs(y - 0.03) < 0.08)] = skin * 0.8
    image[(x / 0.13) ** 2 + ((y - 0.23) / 0.04) ** 2 < 1] = [0.6, 0.2, 0.2]
    return _within(image + draw.normal(0, 0.015, image.shape))


def page(draw: Draw, height: int, width: int) -> Array:
    """Lines of printed digits on light paper, [height, width, 3] in [0, 1]."""
    image = np.full((height, width, 3), draw.uniform(0.8, 1.0)) - draw.uniform(0, 0.1, 3)
    top = draw.integers(4, 12)
    while True:
        scale = int(draw.integers(2, 5))
        if top + 7 * scale + 4 > height:
            break
        _print(image, draw, int(top), scale)
        top += 7 * scale + draw.integers(6, 24)
    return _within(_soft(image) + draw.normal(0, 0.01, image.shape))


def line(draw: Draw, height: int, width: int) -> Array:
    """One line of print that fills the height, [height, width, 3] in [0, 1]."""
    image = np.full((height, width, 3), draw.uniform(0.75, 1.0))
    scale = int(draw.integers(4, height // 8 + 1))
    _print(image, draw, (height - 7 * scale) // 2, scale)
    return _within(_soft(image) + draw.normal(0, 0.01, image.shape))


def _within(values: Array, low: float = 0.0) -> Array:
    clipped: Array = np.clip(values, low, 1.0)
    return clipped


def _print(image: Array, draw: Draw, top: int, scale: int) -> None:
    """Digits in a row from a random column on."""
    ink, left = draw.uniform(0.0, 0.35), int(draw.integers(4, 24))
    while left + 6 * scale < image.shape[1]:
        if draw.random() < 0.85:
            rows = _DIGITS[draw.integers(10)].split()
            glyph = np.array([[int(c) for c in row] for row in rows]).repeat(scale, 0)
            part = image[top : top + 7 * scale, left : left + 5 * scale]
            part[glyph.repeat(scale, 1) == 1] = ink
        left += 6 * scale


def _soft(image: Array) -> Array:
    """Edges as a lens leaves them."""
    for axis in (0, 1):
        image = (np.roll(image, 1, axis) + 2 * image + np.roll(image, -1, axis)) / 4
    return image


def speech(draw: Draw, samples: int, rate: int) -> Array:
    """A voice with formants that comes in syllables, over some noise, [samples] in [-1, 1]."""
    time = np.arange(samples) / rate
    pitch = draw.uniform(90, 250) * (1 + 0.05 * np.sin(2 * np.pi * draw.uniform(2, 5) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / rate
    formants = np.array([draw.uniform(300, 900), draw.uniform(900, 2500), 3000.0])
    voice = np.zeros(samples)
    for k in range(1, 24):
        gain = sum(np.exp(-(((pitch.mean() * k - f) / 250) ** 2)) for f in formants)
        voice += gain / k**0.5 * np.sin(k * phase + draw.uniform(0, 6))
    syllables = np.clip(np.sin(2 * np.pi * draw.uniform(2, 4) * time + draw.uniform(0, 6)), 0, 1)
    loud = draw.choice([0.0, 0.1, 0.4, 0.8])
    return _within(0.3 * loud * voice * syllables + draw.normal(0, 0.003, samples), -1.0)


def music(draw: Draw, samples: int, rate: int) -> Array:
    """Plucked notes of two and more octaves, some at once, [samples] in [-1, 1]."""
    time = np.arange(samples) / rate
    sound = draw.normal(0, 0.001, samples)
    for _ in range(int(draw.integers(4, 12))):
        start, pitch = draw.uniform(0, time[-1]), 55 * 2 ** (draw.integers(0, 60) / 12)
        since = np.clip(time - start, 0, None)
        envelope = (time >= start) * np.exp(-since * draw.uniform(1, 4)) * draw.uniform(0.05, 0.3)
        for k in range(1, 7):
            sound += envelope / k * np.sin(2 * np.pi * k * pitch * since)
    return _within(sound, -1.0)


def log_mel(draw: Draw, bands: int, frames: int) -> Array:
    """A spectrogram of speech: formants that move, syllables, noise; [bands, frames], about 0."""
    band, frame = np.mgrid[0:bands, 0:frames]
    image: Array = -band / bands
    syllables = np.clip(np.sin(frame / draw.uniform(6, 12) + draw.uniform(0, 6)), 0, 1)
    for middle in draw.uniform(0.05, 0.7, 3):
        track = bands * (middle + 0.05 * np.sin(frame / draw.uniform(10, 30)))
        image = image + 2.0 * syllables * np.exp(-(((band - track) / (0.05 * bands)) ** 2))
    return image + draw.normal(0, 0.15, image.shape)


def text(draw: Draw, length: int) -> Array:
    """Bytes of lines of words, [length]."""
    words = ["import", "self", "return", "def", "the", "value", "of", "{", "}", "=", "x1", "for"]
    chosen = "".join(draw.choice(words) + draw.choice([" ", " ", " ", "\n"]) for _ in range(length))
    return np.frombuffer(chosen.encode()[:length], np.uint8)
