"""What is worked out from the headers is what would be done with the pixels."""

import io
import pathlib

import numpy as np
import pytest

from keras_supcon import data


def write(folder: pathlib.Path, pictures: list, **options) -> pathlib.Path:
    """Writes JPEG files of one class, in their order, and then one of another class."""
    from PIL import Image

    for name in ("a", "b"):
        (folder / name).mkdir()
    for number, (picture, exif) in enumerate(pictures):
        picture.save(folder / "a" / f"{number:02}.jpg", quality=100, exif=exif, **options)
    Image.new("RGB", (8, 8)).save(folder / "b" / "0.jpg")
    return folder


@pytest.mark.parametrize("options", [{}, {"antialias": True}])
def test_the_window_is_that_of_the_upright_image(tmp_path, options):
    """The window agrees to the pixel, also where it cannot be exactly in the middle."""
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


def test_no_image_is_read_worse_than_by_bilinear_resizing(tmp_path, photographs):
    """Size and aspect determine whether the window lies between pixels."""
    import tensorflow as tf
    from PIL import Image, ImageOps

    generator = np.random.default_rng(0)
    factors = [0.4, 1, 1.2, 1.5, 1.9, 1.999, 2, 2.08, 2.4, 3.3, 3.99, 4, 4.08, 6.1, 8.2, 11, 17.3]
    sizes = [(round(24 * factor), round(24 * factor)) for factor in factors]
    sizes += [tuple(map(int, generator.integers(24, 200, 2))) for _ in range(60)]
    whole = Image.fromarray(photographs[0][:427])
    pictures = [(whole.resize(size), Image.Exif()) for size in sizes]
    dataset = data.load_folder(write(tmp_path, pictures), "all", 1, (24, 24))
    for size, path, (images, _) in zip(
        sizes, dataset.file_paths, dataset.as_numpy_iterator(), strict=False
    ):
        content = pathlib.Path(path).read_bytes()
        sharp = ImageOps.fit(Image.open(io.BytesIO(content)), (24, 24), Image.Resampling.BICUBIC)
        left, top = ((max(length - min(size), 0)) // 2 for length in size)
        window = tf.io.decode_jpeg(content)[top : top + min(size), left : left + min(size)]
        ours, theirs = (
            np.abs(pixels - np.asarray(sharp, "float32")).mean()
            for pixels in (images[0], tf.image.resize(window, (24, 24)).numpy())
        )
        assert ours <= (1.05 if min(size) < 96 else 0.8) * theirs + 0.5, (size, ours, theirs)
