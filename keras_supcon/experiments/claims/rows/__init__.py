"""The claims, one a module, each with its `CLAIM`. A new module here is a new claim."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping

from keras_supcon.experiments.claims.claim import GROUPS, Claim


def read_claims() -> Mapping[str, Claim]:
    """Returns all claims by the names of their modules, in the order of the documents.

    That is by group, those of the short table first.

    Raises:
        TypeError: If a module has no `CLAIM`.
    """
    claims = {}
    for module in pkgutil.iter_modules(__path__):
        claim = getattr(importlib.import_module(f"{__name__}.{module.name}"), "CLAIM", None)
        if not isinstance(claim, Claim):
            raise TypeError(
                f"{module.name}.py of the claims should have a `Claim` named CLAIM. Received: "
                f"{claim!r}"
            )
        claims[module.name] = claim

    def place(name: str) -> tuple[int, bool, str]:
        return GROUPS.index(claims[name].group), not claims[name].is_prominent, name

    return {name: claims[name] for name in sorted(claims, key=place)}
