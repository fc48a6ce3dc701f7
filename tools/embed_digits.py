"""Writes keras_supcon/data/digits.npz from the data that scikit-learn ships."""

import pathlib

import numpy as np
from sklearn.datasets import load_digits

TARGET = pathlib.Path(__file__).parent.parent / "keras_supcon" / "data" / "digits.npz"


def main() -> None:
    digits = load_digits()
    np.savez_compressed(
        TARGET, images=digits.images.astype("uint8"), labels=digits.target.astype("uint8")
    )
    print(f"{TARGET}: {len(digits.target)} images, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
