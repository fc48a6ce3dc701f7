"""Says what is installed and what is missing, and tries the package for some seconds.

keras-supcon doctor
"""

from __future__ import annotations

import argparse
import importlib.metadata
import platform
import time
from collections.abc import Callable

import keras
import numpy as np

from keras_supcon import data, encoders, evaluation, layers, losses, models
from keras_supcon.augmentation import SimAugment
from keras_supcon.experiments import list_devices
from keras_supcon.version import __version__

HELP = "versions, devices, what is missing, and a short self-test"
# From the name of a package to its name for `import`, what it is for, and the extra that has it.
_PACKAGES = {
    "numpy": ("numpy", "everything", None),
    "tensorflow": ("tensorflow", "the first backend, tf.data", "tensorflow"),
    "tensorflow-datasets": ("tensorflow_datasets", "data sets by name", "tensorflow"),
    "keras-cv": ("keras_cv", "keras-cv augmentation", "tensorflow"),
    "jax": ("jax", "the JAX backend", "jax"),
    "torch": ("torch", "the PyTorch backend", "torch"),
    "scikit-learn": ("sklearn", "evaluation", "report"),
    "scipy": ("scipy", "evaluation", "report"),
    "pillow": ("PIL", "images of folders, JPEG corruption", "report"),
    "matplotlib": ("matplotlib", "pictures", "report"),
    "jinja2": ("jinja2", "reports", "report"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the command: none."""


def run(given: argparse.Namespace) -> int:
    """Runs the command, and returns its exit code."""
    print(f"keras_supcon  {__version__}\nkeras         {keras.__version__}")
    print(f"backend       {keras.backend.backend()} on {list_devices()}")
    print(f"python        {platform.python_version()} on {platform.platform()}\n")
    distributions = importlib.metadata.packages_distributions()
    for package, (module, purpose, extra) in _PACKAGES.items():
        # TensorFlow may come as tensorflow-cpu.
        names = distributions.get(module)
        found = importlib.metadata.version(names[0]) if names else None
        advice = f"missing: pip install 'keras-supcon[{extra}]'"
        print(f"  {package:20} {found or advice:12} for {purpose}")
    print("\nself-test")
    failed = 0
    for name, check in _CHECKS.items():
        begin = time.perf_counter()
        try:
            said = check()
        except Exception as error:  # whatever does not work here
            failed += 1
            said = f"FAILED: {type(error).__name__}: {error}"
        print(f"  {name:28} {said} ({time.perf_counter() - begin:.1f} s)", flush=True)
    print("\nAll works." if not failed else f"\n{failed} of {len(_CHECKS)} checks failed.")
    return 1 if failed else 0


def _check_loss() -> str:
    rows = np.random.default_rng(0).normal(size=(16, 8))
    labels = np.arange(16) % 4
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    logits = unit @ unit.T / 0.1
    np.fill_diagonal(logits, -np.inf)
    log_probability = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    positive = (labels[:, None] == labels) & ~np.eye(16, dtype=bool)
    expected = -np.mean([log_probability[i][positive[i]].mean() for i in range(16)])
    loss = float(losses.SupConLoss(temperature=0.1)(labels, rows.astype("float32")))
    if abs(loss - expected) > 1e-3:
        raise RuntimeError(f"the loss is {loss}, and the formula gives {expected}")
    return f"{loss:.4f}, as the formula gives"


def _check_training() -> str:
    images, labels = data.load_arrays("digits", "train")
    keras.utils.set_random_seed(0)
    model = models.ContrastiveModel(
        encoders.ResNet(depth=10, width=0.125, stem="cifar"),
        layers.ProjectionHead(32, hidden_units=(64,)),
        augmenter=SimAugment(image_size=(8, 8), crop_area=(0.5, 1.0), flip_probability=0.0),
    )
    model.compile(optimizer="adam", loss=losses.SupConLoss(temperature=0.1))
    history = model.fit(images[:512], labels[:512], batch_size=128, epochs=2, verbose=0).history
    before, after = history["loss"]
    if not after < before:
        raise RuntimeError(f"the loss rose from {before:.3f} to {after:.3f}")
    train, test = (data.load_arrays("digits", split) for split in ("train", "test"))
    embedded = [evaluation.embed(model, one, verbose=False) for one in (train, test)]
    accuracy = evaluation.knn_evaluation(*embedded[0], *embedded[1], num_neighbors=20).accuracy
    return f"loss {before:.2f} to {after:.2f}; kNN accuracy {accuracy:.0%} after 8 steps"


_CHECKS: dict[str, Callable[[], str]] = {
    "SupConLoss": _check_loss,
    "two epochs, embed, kNN": _check_training,
}
