"""The two views of BYOL."""

from typing import Any

from keras_supcon.arguments import is_pair
from keras_supcon.augmentation.layers.multi_view import MultiView
from keras_supcon.augmentation.policies.sim_augment import SimAugment
from keras_supcon.seeds import derive_seed


def byol_views(
    image_size: tuple[int, int] = (224, 224),
    *,
    strength: float = 0.5,
    blur_probability: tuple[float, float] = (1.0, 0.1),
    solarize_probability: tuple[float, float] = (0.0, 0.2),
    seed: int | None = None,
    **options: Any,
) -> MultiView:
    """Makes BYOL's pair of policies, one for each view: the first blurs, the second solarizes.

    NNCLR has the same views.

    Args:
        image_size: Height and width of the views, in pixels.
        strength: Strength of the color jitter, 0 to 2: brightness and contrast 0.8 `strength`,
            saturation 0.4 `strength`, hue 0.2 `strength`, each image with probability 0.8.
        blur_probability: Probabilities of a blur in the first and in the second view. It has no
            effect below 20 pixels.
        solarize_probability: The same of a solarization.
        seed: Seed, from which those of both views are derived, or None.
        **options: Further arguments of both `SimAugment`, such as `crop_area`, `flip_probability`
            and `value_range`.

    Returns:
        A `MultiView` of two `SimAugment`.

    Raises:
        ValueError: For an argument out of its range.

    Reference:
        Grill et al., Bootstrap Your Own Latent, NeurIPS 2020, appendix B.

    Example:

    >>> import numpy as np
    >>> from keras_supcon.augmentation import byol_views
    >>> views = byol_views(image_size=(32, 32), seed=1)
    >>> images = np.random.default_rng(0).integers(0, 256, (4, 48, 40, 3)).astype("uint8")
    >>> tuple(views(images, training=True).shape)
    (4, 2, 32, 32, 3)
    """
    pairs = {"blur_probability": blur_probability, "solarize_probability": solarize_probability}
    for name, pair in pairs.items():
        if not is_pair(pair):
            raise ValueError(
                f"`{name}` should be a pair, one number for each view. Received: {name}={pair!r}"
            )
    options = {"strength": strength, "saturation": 0.4 * strength, **options}
    return MultiView(
        [
            SimAugment(
                image_size,
                **{name: pair[view] for name, pair in pairs.items()},
                seed=derive_seed(seed, "byol_views", view),
                **options,
            )
            for view in range(2)
        ]
    )
