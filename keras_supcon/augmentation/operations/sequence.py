"""Operations one after the other, another sequence for each image of a batch."""

from typing import Any

from keras_supcon.augmentation.operations import cutout, enhance, geometric, tone
from keras_supcon.augmentation.operations.masked_map import map_where

# In the order of the families, so that the operations of one family stand together.
OPERATIONS = (*geometric.MAPS, *tone.TABLES, *enhance.NAMES, "Cutout")
# A choice that leaves the image as it is.
NONE = -1


def apply_operations(
    backend: Any, names: tuple[str, ...], images: Any, steps: list[dict[str, Any]]
) -> Any:
    """Applies to each image the operations that were drawn for it.

    All images go through the same few passes, one for each family of operations in each step. The
    geometric operations of the first two steps are one resampling: whatever else an image has in
    those steps comes before or after both.

    Args:
        backend: Module of backend functions.
        names: Operations that may have been drawn, in the order of `OPERATIONS`.
        images: Float32 `(batch, height, width, channels)` of levels 0 to 255. NaN may become some
            level.
        steps: For each step, with the batch as first axis: `choice` (position in `names` or
            `NONE`), `magnitude` (0 to 1), `sign` (1 or -1, for the geometric ones) and `center`
            (two shares, for cutout).
    """
    for position, step in enumerate(steps):
        if position > 1:
            images = _move(backend, names, images, [step])
        images = _change_pixels(backend, names, images, step)
        if position == 0:
            images = _move(backend, names, images, steps[:2])
    return images


def _move(backend: Any, names: tuple[str, ...], images: Any, steps: list[dict[str, Any]]) -> Any:
    family, _ = _family(names, geometric.MAPS)
    if not family:
        return images
    moves, maps = None, []
    for step in steps:
        chosen, choice = _choice(backend, names, geometric.MAPS, step)
        maps.append(
            geometric.affine_map(backend, family, images, choice, step["magnitude"] * step["sign"])
        )
        moves = chosen if moves is None else backend.numpy.logical_or(moves, chosen)
    return map_where(
        backend, moves, lambda *some: geometric.apply_maps(backend, *some), images, *maps
    )


def _change_pixels(backend: Any, names: tuple[str, ...], images: Any, step: dict[str, Any]) -> Any:
    for members, apply in (
        (tone.TABLES, tone.apply_tone),
        (enhance.NAMES, enhance.apply_enhancement),
    ):
        family, _ = _family(names, members)
        if family:
            chosen, choice = _choice(backend, names, members, step)

            def change(
                some: Any, choice: Any, magnitude: Any, apply: Any = apply, family: Any = family
            ) -> Any:
                return apply(backend, family, some, choice, magnitude)

            images = map_where(backend, chosen, change, images, choice, step["magnitude"])
    if "Cutout" in names:
        chosen, _ = _choice(backend, names, ("Cutout",), step)
        parameters = step["center"], step["magnitude"]
        images = map_where(
            backend, chosen, lambda *some: cutout.apply_cutout(backend, *some), images, *parameters
        )
    return images


def _family(names: tuple[str, ...], members: Any) -> tuple[tuple[str, ...], int]:
    """The names that are members, and the position of the first of them."""
    family = tuple(name for name in names if name in members)
    return family, names.index(family[0]) if family else 0


def _choice(
    backend: Any, names: tuple[str, ...], members: Any, step: dict[str, Any]
) -> tuple[Any, Any]:
    """Which images have an operation of the family, and its position in the family."""
    family, first = _family(names, members)
    choice = step["choice"] - first
    return backend.numpy.logical_and(choice >= 0, choice < len(family)), choice
