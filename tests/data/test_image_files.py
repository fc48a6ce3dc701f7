"""Files of every kind have the pixels that Pillow shows."""

import os
import pathlib

import numpy as np
import pytest

from keras_supcon import data
from keras_supcon.data.image_files import read_header

# The mean difference of pixels: files without loss differ by the rounding of two resizers, JPEG
# also by its decoder.
EXACT, LOSSY = 1.0, 3.0


@pytest.fixture(scope="module")
def kinds(tmp_path_factory, photographs) -> pathlib.Path:
    """Writes one image as a file of every kind in one class folder, and a file in another."""
    from PIL import Image, ImageDraw

    folder = tmp_path_factory.mktemp("kinds")
    (folder / "picture").mkdir()
    (folder / "other").mkdir()
    picture = Image.fromarray(photographs[1][60:140, 200:296])
    picture.save(folder / "other" / "0.png")

    def put(name: str, image: Image.Image = picture, **options) -> None:
        image.save(folder / "picture" / name, **options)

    gray = picture.convert("L")
    cut_out = picture.convert("RGBA")
    mask = Image.new("L", picture.size)
    ImageDraw.Draw(mask).ellipse((20, 10, 80, 65), fill=255)
    ImageDraw.Draw(mask).rectangle((0, 65, 40, 80), fill=100)
    cut_out.putalpha(mask)
    for suffix in ("png", "bmp", "gif", "tif", "webp", "avif"):
        put(f"color.{suffix}", **({"lossless": True} if suffix == "webp" else {}))
        put(f"gray.{suffix}", gray, **({"lossless": True} if suffix == "webp" else {}))
    for suffix in ("png", "tif", "webp", "avif", "gif"):
        put(f"transparent.{suffix}", cut_out, **({"lossless": True} if suffix == "webp" else {}))
    for suffix in ("png", "bmp", "gif"):
        put(f"palette.{suffix}", picture.quantize(16))
    for suffix in ("png", "bmp", "tif", "pbm"):
        put(f"two_levels.{suffix}", picture.convert("1"))
    sixteen_bits = Image.fromarray(np.asarray(gray).astype("uint16") * 257)
    for suffix in ("png", "tif", "pgm"):
        put(f"sixteen_bits.{suffix}", sixteen_bits)
    put("gray_and_transparent.png", cut_out.convert("LA"))
    put("palette_and_transparent.png", cut_out.quantize(16))
    put("transparent_color.png", picture.quantize(4), transparency=1)
    put("color.ppm")
    put("cmyk.tif", picture.convert("CMYK"))
    put("color.jpg", quality=95)
    put("gray.jpg", gray, quality=95)
    put("cmyk.jpeg", picture.convert("CMYK"), quality=95)
    put("progressive.jpe", format="jpeg", progressive=True, quality=95)
    put("color.jfif", format="jpeg", quality=95)
    put("a_png.jpg", format="png")
    put("a_jpeg.png", format="jpeg", quality=95)
    put("animated.gif", save_all=True, append_images=[picture.rotate(90)])
    put("animated.webp", save_all=True, append_images=[picture.rotate(90)], lossless=True)
    for name, size in {
        "one_pixel": (1, 1),
        "wide": (5000, 1),
        "tall": (1, 5000),
        "large": (960, 800),
    }.items():
        put(f"{name}.png", picture.resize(size))
        put(f"{name}.jpg", picture.resize(size), quality=95)
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        put(f"orientation_{orientation}.jpg", picture.resize((384, 320)), exif=exif, quality=95)
    for suffix in ("png", "tif", "webp"):
        put(f"orientation_6.{suffix}", exif=exif)
    # What a camera writes after the end.
    trailer = (folder / "picture" / "color.jpg").read_bytes() + b"and more" * 9
    (folder / "picture" / "trailer.jpg").write_bytes(trailer)
    return folder


def shown(path: str, size: tuple[int, int], background: str, mode: str) -> np.ndarray:
    """Returns the image that Pillow decodes from a file."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(Image.open(path))
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image).astype("int64") >> 8).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, background), image)
    image = ImageOps.fit(image.convert("RGB"), size[::-1], Image.Resampling.BILINEAR)
    return np.asarray(image.convert(mode)).astype("float32").reshape(*size, -1)


@pytest.mark.parametrize(
    ("options", "background", "mode"),
    [
        ({"antialias": True}, "white", "RGB"),
        ({"background": (0, 0, 255)}, "blue", "RGB"),
        ({"channels": 1, "antialias": True}, "white", "L"),
        ({"channels": 1}, "white", "L"),
    ],
)
def test_files_of_every_kind_have_the_pixels_that_pillow_shows(kinds, options, background, mode):
    dataset = data.load_folder(kinds, "all", 1, (50, 25), **options)
    assert len(dataset) == len(list(kinds.glob("*/*")))
    for path, (image, _) in zip(dataset.file_paths, dataset.as_numpy_iterator(), strict=True):
        difference = np.abs(image[0] - shown(path, (50, 25), background, mode)).mean()
        is_jpeg = pathlib.Path(path).read_bytes()[:2] == b"\xff\xd8"
        # Less than halved, a JPEG file is not antialiased unless that is asked for.
        tolerance = (LOSSY if options.get("antialias") else 3 * LOSSY) if is_jpeg else EXACT
        assert difference < tolerance, f"{path}: {difference}"


def test_black_ink_on_transparent_paper_is_seen(tmp_path):
    from PIL import Image

    ink = np.zeros((64, 64, 4), "uint8")
    ink[16:48, 16:48, 3] = 255
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(ink).save(tmp_path / name / "0.png")
    ((images, _),) = data.load_folder(tmp_path, "all", 2, (64, 64)).as_numpy_iterator()
    assert (images[0, 32, 32] == 0).all()
    assert (images[0, 2, 2] == 255).all()


def test_headers_are_those_of_the_files(kinds):
    from PIL import Image

    for path in (kinds / "picture").iterdir():
        header, image = read_header(path), Image.open(path)
        assert header.fault is None
        assert header.is_jpeg == (image.format in ("JPEG", "MPO"))
        if header.is_jpeg:
            assert (header.width, header.height) == image.size
            assert header.channels == len(image.getbands())
            assert header.orientation == image.getexif().get(0x0112, 1)


def test_kinds_of_jpeg_that_tensorflow_does_not_decode_are_decoded_beforehand(kinds, tmp_path):
    content = (kinds / "picture" / "color.jpg").read_bytes()
    frame = content.index(b"\xff\xc0")
    twelve_bits, lossless = bytearray(content), bytearray(content)
    twelve_bits[frame + 4] = 12
    lossless[frame + 1] = 0xC3
    four_colors = (kinds / "picture" / "cmyk.jpeg").read_bytes().replace(b"Adobe", b"Other")
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    for name, changed in (
        ("twelve_bits", twelve_bits),
        ("lossless", lossless),
        ("four_colors", four_colors),
    ):
        (tmp_path / "a" / f"{name}.jpg").write_bytes(changed)
        assert read_header(tmp_path / "a" / f"{name}.jpg")[:2] == ("", False)
    (tmp_path / "a" / "lossless.jpg").unlink()
    (tmp_path / "a" / "phone.jpg").write_bytes(b"\0\0\0$ftypheic" + bytes(40))
    (tmp_path / "b" / "0.jpg").write_bytes(content)
    reasons = r"phone.jpg \(a HEIF file or a film, of kind 'heic'\), a/twelve_bits.jpg \("
    with pytest.raises(ValueError, match=f"2 of 4 images .* cannot be read: a/{reasons}"):
        data.load_folder(tmp_path, "all", 2, (40, 48))
    # Without a word on them four colors are for Pillow, which TensorFlow takes for others.
    (tmp_path / "a" / "twelve_bits.jpg").unlink()
    (tmp_path / "a" / "phone.jpg").unlink()
    ((images, _),) = data.load_folder(tmp_path, "all", 2, (40, 48)).as_numpy_iterator()
    assert (
        np.abs(
            images[0] - shown(str(tmp_path / "a" / "four_colors.jpg"), (40, 48), "white", "RGB")
        ).mean()
        < EXACT
    )


def test_a_file_of_one_byte_repeated_is_given_up_at_once(tmp_path):
    (tmp_path / "erased.jpg").write_bytes(b"\xff\xd8" + b"\xff" * 4_000_000)
    assert read_header(tmp_path / "erased.jpg").fault == ""


def test_a_torn_file_is_noticed_or_is_to_be_decoded(kinds, tmp_path):
    torn = tmp_path / "torn"
    for path in sorted((kinds / "picture").iterdir()):
        if path.suffix in (".tif", ".avif", ".ppm", ".pgm", ".pbm") or path.name == "trailer.jpg":
            continue  # their first bytes do not say where they end
        content = path.read_bytes()
        for length in (0, 1, 5, 20, 40, len(content) // 2, len(content) - 20):
            torn.write_bytes(content[:length])
            assert read_header(torn).fault is not None, (path.name, length)


def test_damaged_headers_break_nothing(kinds, tmp_path):
    damaged = tmp_path / "damaged"
    generator = np.random.default_rng(0)
    contents = [
        (kinds / "picture" / name).read_bytes()
        for name in ("orientation_6.jpg", "cmyk.jpeg", "color.webp")
    ]
    for number in range(600):
        content = np.frombuffer(contents[number % len(contents)], "uint8").copy()
        places = generator.integers(0, 300, 5)
        content[places] = generator.integers(0, 256, 5)
        damaged.write_bytes(content.tobytes())
        header = read_header(damaged)
        assert header.fault is None or isinstance(header.fault, str)
        assert header.orientation in range(1, 9)


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() == 0, reason="The superuser may read every file."
)
def test_a_file_that_may_not_be_read_says_so(tmp_path):
    (tmp_path / "0.png").touch(mode=0)
    assert read_header(tmp_path / "0.png").fault == "Permission denied"
