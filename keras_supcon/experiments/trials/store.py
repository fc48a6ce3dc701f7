"""What trials measured, on the disk: a file for each training and seed."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

from keras_supcon.arguments import is_number
from keras_supcon.experiments.run_folder import write_json
from keras_supcon.experiments.trials.training import Training

_PARTS = ("numbers", "seconds", "images")


class TrialStore:
    """Keeps what trials measured in a folder, with everything that it depends on.

    A file counts for nothing unless all of that is the same: settings, pixels and labels, backend
    and versions. A damaged file counts for nothing either. Those of other backends or versions lie
    in other folders.

    Args:
        folder: The folder; it is made by the first `write`.
        environment: What results depend on apart from their training, such as the backend.
    """

    def __init__(self, folder: pathlib.Path, environment: Mapping[str, str]) -> None:
        self._folder, self._environment = folder, dict(environment)
        text = json.dumps(self._environment, sort_keys=True).encode()
        self._place = hashlib.blake2b(text, digest_size=5).hexdigest()

    def read(self, training: Training, seed: int, data: str) -> dict[str, Any]:
        """Reads what a trial measured.

        Args:
            training: Its training.
            seed: Its seed.
            data: Digest of its images.

        Returns:
            `numbers`, those of each measurement by its name, `seconds` and `images`, the digest of
            what it needed beside those of training, likewise; empty if it is not there or damaged.
        """
        try:
            content = json.loads(self._file_of(training, seed).read_bytes())
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        record = self._record(training, seed, data)
        if any(content.get(name) != value for name, value in record.items()):
            return {}
        results = content.get("results")
        return results if _is_whole(results) else {}

    def write(
        self, training: Training, seed: int, data: str, results: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Writes what a trial measured, beside what of the same trial is there already."""
        path = self._file_of(training, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        earlier = self.read(training, seed, data)
        results = {name: {**earlier.get(name, {}), **one} for name, one in results.items()}
        write_json(path, {**self._record(training, seed, data), "results": results})

    def _file_of(self, training: Training, seed: int) -> pathlib.Path:
        return self._folder / self._place / training.digest / f"seed-{seed}.json"

    def _record(self, training: Training, seed: int, data: str) -> dict[str, Any]:
        return {
            "training": training.record,
            "seed": seed,
            "data": data,
            "environment": self._environment,
        }


def _is_whole(results: Any) -> bool:
    """Returns whether results are what `TrialStore.write` writes."""
    parts = [results.get(name) for name in _PARTS] if isinstance(results, dict) else []
    if not parts or not all(isinstance(part, dict) for part in parts):
        return False
    numbers, seconds, images = parts
    found = [number for one in numbers.values() for number in _values(one)]
    return (
        all(numbers.values())
        and numbers.keys() == images.keys() <= seconds.keys()
        and all(is_number(one) or one != one for one in [*found, *seconds.values()])
    )


def _values(numbers: Any) -> list[Any]:
    return list(numbers.values()) if isinstance(numbers, dict) else [None]
