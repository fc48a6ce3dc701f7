"""What is worked out from the headers is what would be done with the pixels."""

import io
import pathlib

import numpy as np
import pytest

from keras_supcon import data


def write(folder: pathlib.Path, pictures: list, **options) -> pathlib.Path:
    """JPEG files of one class, in their order, and one of another class after them."""
    from PIL import Image

    for name in ("a", "b"):
        (folder / name).mkdir()
    for number, (picture, exif) in enumerate(pictures):
        picture.save(folder / "a" / f"{number:02}.jpg", quality=100, exif=exif, **options)
    Image.new("RGB", (8, 8)).save(folder / "b" / "0.jpg")
    return folder


@pytest.mark.parametrize("options", [{}, {"antialias": True}])
def test_the_window_is_that_of_the_upright_image(tmp_path, options):
    """To the pixel, also where it cannot be in the middle."""
    from PIL import Image, ImageOps

    picture = Image.fromarray(np.tile(18 * np.arange(14), (9, 1)).astype("uint8"))
    pictures = []
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        pictures.append((picture, exif))
    dataset = data.load_folder(write(tmp_path, pictures), "all", 1, (9, 9), channels=1, **options)
    for path, (images, _) in zip(dataset.file_paths[:8], dataset.as_numpy_iterator(), strict=False):
        upright = np.asarray(ImageOps.exif_transpose(Image.open(path))).astype(int)
        window = upright[:, 2:11] if upright.shape == (9, 14) else upright[2:11]
        assert np.abs(images[0, :, :, 0] - window).max() <= 3, path


def test_no_size_is_read_worse_than_by_bilinear_resizing(tmp_path, photographs):
    """And from four times the size on it is clearly better."""
    import tensorflow as tf
    from PIL import Image

    factors = np.array([0.4, 1, 1.2, 1.5, 1.9, 1.999, 2, 2.4, 3.3, 3.99, 4, 6.1, 8.2, 11, 17.3])
    whole = Image.fromarray(photographs[0][:427, :427])
    pictures = [(whole.resize((round(24 * factor), round(24 * factor))), Image.Exif()) for factor in factors]
    dataset = data.load_folder(write(tmp_path, pictures), "all", 1, (24, 24))
    for factor, path, (images, _) in zip(factors, dataset.file_paths, dataset.as_numpy_iterator(), strict=False):
        content = pathlib.Path(path).read_bytes()
        sharp = np.asarray(Image.open(io.BytesIO(content)).resize((24, 24), Image.Resampling.BICUBIC)).astype("float32")
        bilinear = tf.image.resize(tf.io.decode_jpeg(content), (24, 24)).numpy()
        ours, theirs = (np.abs(pixels - sharp).mean() for pixels in (images[0], bilinear))
        assert ours <= (1.02 if factor < 4 else 0.8) * theirs + 0.5, (factor, ours, theirs)
