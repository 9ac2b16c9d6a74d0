"""Train the digits classifier and export it to `digits.onnx` beside this script.

    python -m zktally.bench.digits.train

Needs torch, onnx and scikit-learn. The run is seeded and single-threaded, so one machine with
one torch version always gives the same weights. Training never looks at the 360 held-out images
(the last ones in file order, see `data`); they are scored once, after the last epoch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .data import MODEL_PATH, Digits, load

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

SEED = 0
EPOCHS = 60
BATCH = 64


def network() -> nn.Sequential:
    """Return the untrained network: float32 `[N, 1, 8, 8]` images to `[N, 10]` logits."""
    from torch import nn

    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 32),
        nn.ReLU(),
        nn.Linear(32, 10),
    )


def shifts(x: Tensor) -> Tensor:
    """Return all nine shifts by at most one pixel: `[N, 1, 8, 8]` to `[N, 9, 1, 8, 8]`."""
    from torch.nn.functional import pad

    _, _, height, width = x.shape
    windows = pad(x, (1, 1, 1, 1)).unfold(2, height, 1).unfold(3, width, 1)
    return windows.flatten(2, 3).transpose(1, 2)


def train(digits: Digits) -> nn.Sequential:
    """Fit a fresh network to the training images of `digits`; return it in eval mode."""
    import torch
    from torch.nn.functional import cross_entropy

    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    x, y = shifts(torch.from_numpy(digits.train_x)), torch.from_numpy(digits.train_y)
    model = network()
    steps = EPOCHS * -(-len(y) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(y)), BATCH):
            images = x[rows, torch.randint(9, rows.shape)]
            loss = cross_entropy(model(images), y[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    return model.eval()


def correct(model: nn.Sequential, digits: Digits) -> int:
    """Return how many of the held-out images `model` classifies correctly."""
    import torch

    with torch.inference_mode():
        guesses = model(torch.from_numpy(digits.test_x)).argmax(1)
    return int((guesses == torch.from_numpy(digits.test_y)).sum())


def export(model: nn.Sequential, path: Path) -> None:
    """Write `model` to `path`: opset 17, input `image`, output `logits`, free axis `batch`."""
    import torch

    torch.onnx.export(
        model,
        (torch.zeros(1, 1, 8, 8),),
        path,
        input_names=["image"],
        output_names=["logits"],
        dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=17,
        dynamo=False,  # the classic exporter folds the batch norm and writes one small file
    )


def main() -> None:
    """Train, export, and print the float accuracy on the held-out images."""
    digits = load()
    model = train(digits)
    export(model, MODEL_PATH)
    right, total = correct(model, digits), len(digits.test_y)
    print(f"{MODEL_PATH.name}: {right}/{total} held-out images correct ({right / total:.2%})")


if __name__ == "__main__":
    main()
