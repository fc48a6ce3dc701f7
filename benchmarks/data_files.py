"""The folders that `benchmarks/data.py` reads: pieces of two photographs as JPEG files."""

import io
import os
import pathlib
import shutil

# Width, height and number of the files whose reading is measured.
FILES = {"500x375": (500, 375, 1600), "1280x960": (1280, 960, 480), "3000x2250": (3000, 2250, 128)}
# Classes of the large folder, files in each, and their side in pixels.
NUM_CLASSES, FILES_PER_CLASS, SIDE = 40, 250, 1024
NUM_DIFFERENT = 50
JPEG_QUALITY = 90


def write_files(folder: pathlib.Path) -> None:
    """Writes the folders whose reading is measured, once."""
    for name, (width, height, number) in FILES.items():
        contents = [encode(place, width, height) for place in range(min(number, NUM_DIFFERENT))]
        write_whole(
            folder / name,
            {f"{i % 2}/{i:04}.jpg": contents[i % len(contents)] for i in range(number)},
        )
    contents = [encode(place, SIDE, SIDE) for place in range(NUM_DIFFERENT)]
    write_whole(
        folder / "large",
        {
            f"{label:02}/{i:04}.jpg": contents[(label * FILES_PER_CLASS + i) % len(contents)]
            for label in range(NUM_CLASSES)
            for i in range(FILES_PER_CLASS)
        },
    )


def write_whole(folder: pathlib.Path, contents: dict[str, bytes]) -> None:
    """Writes files whose folder appears whole; files of the same contents are links to one."""
    if folder.exists():
        return
    unfinished, written = folder.with_name(f"unfinished-{folder.name}"), {}
    shutil.rmtree(unfinished, ignore_errors=True)
    for name, content in contents.items():
        path = unfinished / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content in written:
            os.link(written[content], path)
        else:
            path.write_bytes(content)
            written[content] = path
    os.replace(unfinished, folder)


def encode(place: int, width: int, height: int) -> bytes:
    """Returns a piece of a photograph as a JPEG file."""
    from PIL import Image
    from sklearn.datasets import load_sample_image

    photograph = Image.fromarray(load_sample_image(("china.jpg", "flower.jpg")[place % 2]))
    left, top = 7 * place % 130, 3 * place % 50
    piece = photograph.crop((left, top, left + 500, top + 375)).resize(
        (width, height), Image.Resampling.LANCZOS
    )
    file = io.BytesIO()
    piece.save(file, "jpeg", quality=JPEG_QUALITY)
    return file.getvalue()
