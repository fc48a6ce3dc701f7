"""The claims, one a module, each with its `CLAIM`. A new module here is a new claim."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping

from keras_supcon.experiments.claims.claim import GROUPS, Claim, naming


def claim_names() -> tuple[str, ...]:
    """Returns the names of all claims."""
    return tuple(module.name for module in pkgutil.iter_modules(__path__))


def read_claims(names: Iterable[str] | None = None) -> Mapping[str, Claim]:
    """Returns claims by the names of their modules, in the order of the documents.

    That is by group, those of the short table first.

    Args:
        names: Names of the claims, whose modules alone are read; None for all.

    Raises:
        ValueError: If a module has no `CLAIM`, or one that is refused.
    """
    claims = {}
    for name in claim_names() if names is None else names:
        with naming(f"claim {name!r}"):
            claim = getattr(importlib.import_module(f"{__name__}.{name}"), "CLAIM", None)
            if not isinstance(claim, Claim):
                raise ValueError(f"`CLAIM` should be a `Claim`. Received: CLAIM={claim!r}")
        claims[name] = claim

    def place(name: str) -> tuple[int, bool, str]:
        return GROUPS.index(claims[name].group), not claims[name].is_prominent, name

    return {name: claims[name] for name in sorted(claims, key=place)}
