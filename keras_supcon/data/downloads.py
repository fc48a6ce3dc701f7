"""Whether what TensorFlow Datasets would download can be reached."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from keras_supcon.arguments import name_some

# TensorFlow Datasets sets no limit for a connection and repeats each ten times, 204 seconds in all
# where names do not resolve.
_CONNECT_SECONDS = 10
_MOST_AT_ONCE = 32
_MOST_NAMED = 3


def why_unreachable(builder: Any) -> str | None:
    """Says why nothing can be downloaded for a TFDS builder, after one short connection to each
    host.

    The connections are made as TFDS makes them, proxies of the environment included. An answer of
    any kind will do.

    Args:
        builder: A `tfds.core.DatasetBuilder`.

    Returns:
        The hosts and what went wrong. None if a host answers, and if TFDS may do without: the
            addresses are not known
        beforehand, some files are there already, or the user provides them.
    """
    urls = list(builder.url_infos or ())
    hosts = {urlsplit(url).netloc: url for url in urls if urlsplit(url).scheme in ("http", "https")}
    is_known = hosts and all(urlsplit(url).netloc in hosts for url in urls)
    if not is_known or builder.MANUAL_DOWNLOAD_INSTRUCTIONS or _has_downloaded(builder, urls):
        return None
    with ThreadPoolExecutor(min(len(hosts), _MOST_AT_ONCE)) as pool:
        failures = list(pool.map(_connection_failure, hosts.values()))
    if not all(failures):
        return None
    reasons = [
        f"{host} cannot be reached ({failure})"
        for host, failure in zip(hosts, failures, strict=True)
    ]
    return name_some(reasons, _MOST_NAMED)


def _has_downloaded(builder: Any, urls: list[str]) -> bool:
    """Whether a file that TFDS would download is among those that it keeps from earlier."""
    folder = builder.data_dir_root / "downloads"
    if not folder.exists():
        return False
    names = [info.filename for info in builder.url_infos.values() if info.filename]
    if any((folder / "manual" / name).exists() for name in names):
        return True
    for pattern in (
        "*.INFO",
        "*/*.INFO",
        f"{builder.name}/*/*.INFO",
    ):  # as older and newer TFDS keep them
        for file in folder.glob(pattern):
            try:
                kept = json.loads(file.read_text()).get("urls", ())
            except (OSError, ValueError, AttributeError):
                continue
            if set(kept) & set(urls):
                return True
    return False


def _connection_failure(url: str) -> str | None:
    """What keeps a connection from being made, twice, or None if there is one."""
    import requests

    failure = None
    for wait in (1, 0):
        try:
            with requests.get(url, stream=True, timeout=_CONNECT_SECONDS):
                return None
        except requests.exceptions.ConnectTimeout:
            return f"no connection in {_CONNECT_SECONDS} seconds"
        except requests.exceptions.ConnectionError as error:
            failure = (
                str(getattr(error.args[0], "reason", error)) if error.args else type(error).__name__
            )
        except (
            requests.exceptions.RequestException
        ):  # it answers late, or not as expected: TFDS will see
            return None
        time.sleep(wait)
    return failure
