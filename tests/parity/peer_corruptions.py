"""The corruptions of imagecorruptions-imaug 1.1.5 and TensorFlow Datasets 4.9.10.

    python -m tests.parity.peer_corruptions questions.npz answers.npz

The questions hold `images` and, for each peer, rows of a name, a severity and a number of
repetitions. The answers hold the corrupted images, `(repetitions * images, h, w, c)`.
"""

import sys
from collections.abc import Callable

import numpy as np


def corrupt_with_imagecorruptions(image: np.ndarray, name: str, severity: int) -> np.ndarray:
    import imagecorruptions

    return imagecorruptions.corrupt(image, corruption_name=name, severity=severity)


def corrupt_with_tfds(image: np.ndarray, name: str, severity: int) -> np.ndarray:
    from tensorflow_datasets.image_classification import corruptions

    return getattr(corruptions, name)(image, severity)


PEERS: dict[str, Callable[[np.ndarray, str, int], np.ndarray]] = {
    "imagecorruptions": corrupt_with_imagecorruptions,
    "tfds": corrupt_with_tfds,
}


def main() -> None:
    np.random.seed(0)  # the generator of the peers
    answers = {}
    with np.load(sys.argv[1]) as questions:
        images = questions["images"]
        for peer, corrupt in PEERS.items():
            for name, severity, repeats in questions[peer]:
                answers[f"{peer}/{name}/{severity}"] = np.stack(
                    [
                        corrupt(image, str(name), int(severity))
                        for _ in range(int(repeats))
                        for image in images
                    ]
                ).astype("uint8")
    np.savez(sys.argv[2], **answers)


if __name__ == "__main__":
    main()
