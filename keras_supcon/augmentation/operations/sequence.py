"""Applies operations one after the other, another sequence for each image of a batch."""

from collections.abc import Callable, Collection

from keras_supcon.augmentation.operations import cutout, enhance, geometric, tone
from keras_supcon.augmentation.operations.masked_map import map_where
from keras_supcon.typing import Backend, Tensor

# In the order of the families, so that the operations of one family stand together.
OPERATIONS = (*geometric.MAPS, *tone.TABLES, *enhance.NAMES, "Cutout")
# A choice that leaves the image as it is.
NONE = -1


def apply_operations(
    backend: Backend, names: tuple[str, ...], images: Tensor, steps: list[dict[str, Tensor]]
) -> Tensor:
    """Applies to each image the operations that were drawn for it.

    All images go through the same few passes, one for each family of operations in each step. The
    geometric operations of the first two steps are one resampling: the other operations of an
    image in those steps come before or after both.

    Args:
        backend: Module of backend functions.
        names: Operations that may have been drawn, in the order of `OPERATIONS`.
        images: Float32 `(batch, height, width, channels)` of levels 0 to 255. NaN may become any
            level.
        steps: For each step, with the batch as first axis: `choice` (position in `names` or
            `NONE`), `magnitude` (0 to 1), `sign` (1 or -1, for the geometric ones) and `center`
            (two fractions of the size, for cutout).
    """
    for position, step in enumerate(steps):
        if position > 1:
            images = _apply_geometric(backend, names, images, [step])
        images = _apply_others(backend, names, images, step)
        if position == 0:
            images = _apply_geometric(backend, names, images, steps[:2])
    return images


def _apply_geometric(
    backend: Backend, names: tuple[str, ...], images: Tensor, steps: list[dict[str, Tensor]]
) -> Tensor:
    family = _family(names, geometric.MAPS)
    if not family:
        return images
    moves, maps = None, []
    for step in steps:
        chosen, choice = _choice(backend, names, family, step)
        amount = step["magnitude"] * step["sign"]
        maps.append(geometric.affine_map(backend, family, images, choice, amount))
        moves = chosen if moves is None else backend.numpy.logical_or(moves, chosen)
    return map_where(
        backend, moves, lambda *some: geometric.apply_maps(backend, *some), images, *maps
    )


def _apply_others(
    backend: Backend, names: tuple[str, ...], images: Tensor, step: dict[str, Tensor]
) -> Tensor:
    for members, apply in (
        (tone.TABLES, tone.apply_tone),
        (enhance.NAMES, enhance.apply_enhancement),
    ):
        family = _family(names, members)
        if family:
            chosen, choice = _choice(backend, names, family, step)
            function = _with_names(apply, backend, family)
            images = map_where(backend, chosen, function, images, choice, step["magnitude"])
    if "Cutout" in names:
        chosen, _ = _choice(backend, names, ("Cutout",), step)
        parameters = step["center"], step["magnitude"]
        images = map_where(
            backend, chosen, lambda *some: cutout.apply_cutout(backend, *some), images, *parameters
        )
    return images


def _with_names(
    apply: Callable[..., Tensor], backend: Backend, names: tuple[str, ...]
) -> Callable[..., Tensor]:
    return lambda *some: apply(backend, names, *some)


def _family(names: tuple[str, ...], members: Collection[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name in members)


def _choice(
    backend: Backend, names: tuple[str, ...], family: tuple[str, ...], step: dict[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Returns which images have an operation of the family, and its position in the family."""
    choice = step["choice"] - names.index(family[0])
    return backend.numpy.logical_and(choice >= 0, choice < len(family)), choice
