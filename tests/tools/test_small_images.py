"""Picture files as small images."""

import numpy as np
import pytest
from PIL import Image
from small_images import SIDE, read_small


def save(path, size, color, mode="RGBA"):
    Image.new(mode, size, color).save(path)
    return path


def test_what_is_transparent_is_white(tmp_path):
    clear = read_small(save(tmp_path / "clear.png", (64, 64), (200, 0, 0, 0)))
    assert (clear.shape, clear.dtype) == ((SIDE, SIDE, 3), "uint8")
    assert (clear == 255).all()
    half = read_small(save(tmp_path / "half.png", (64, 64), (0, 0, 0, 128)))
    assert set(np.unique(half)) <= {126, 127, 128}
    palette = Image.new("P", (64, 64))
    palette.putpalette([9, 9, 9, 0, 0, 255])
    palette.save(tmp_path / "palette.png", transparency=0)
    assert (read_small(tmp_path / "palette.png") == 255).all()


def test_the_shape_of_what_is_drawn_is_kept(tmp_path):
    wide = read_small(save(tmp_path / "wide.png", (64, 32), (0, 0, 0, 255)))
    assert (wide[10:22] == 0).all()
    assert (wide[:6] == 255).all()
    assert (wide[26:] == 255).all()


def test_margins_are_left_out_on_request(tmp_path):
    picture = Image.new("RGBA", (64, 64))
    picture.paste((0, 0, 0, 255), (40, 40, 48, 48))
    picture.save(tmp_path / "corner.png")
    assert (read_small(tmp_path / "corner.png", crop=True) == 0).all()
    assert (read_small(tmp_path / "corner.png") == 255).mean() > 0.9
    clear = save(tmp_path / "clear.png", (64, 64), (0, 0, 0, 0))
    assert (read_small(clear, crop=True) == 255).all()


@pytest.mark.parametrize("damage", ["no picture", "short"])
def test_a_broken_file_is_named(tmp_path, damage):
    path = save(tmp_path / "broken.png", (640, 640), (1, 2, 3, 255))
    path.write_bytes(b"none" if damage == "no picture" else path.read_bytes()[:-200])
    with pytest.raises(ValueError, match=r"that Pillow decodes. Received: '.*broken.png'"):
        read_small(path)
