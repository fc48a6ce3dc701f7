"""Packages that not every user of this one needs: the extras of setup.py."""

import importlib.util
import sys


def require_extra(extra: str, *packages: str, by: str) -> None:
    """Raises `ImportError` with the command that helps, if one of the packages is not installed.

    Args:
        extra: The extra of setup.py that installs them.
        *packages: Names to import.
        by: Name of the function or class that needs them.

    Raises:
        ImportError: If one is missing.

    Example:

    >>> from keras_supcon.extras import require_extra
    >>> require_extra("report", "no_such_package", by="`draw`")
    Traceback (most recent call last):
        ...
    ImportError: `draw` needs no_such_package, which is not installed: `pip install 'keras-supcon[report]'` installs it.
    """
    # What is imported already is not looked for: AutoGraph would warn of `find_spec` where
    # `tf.data` calls this.
    missing = [
        package
        for package in packages
        if sys.modules.get(package) is None and importlib.util.find_spec(package) is None
    ]
    if missing:
        raise ImportError(
            f"{by} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} "
            "not installed: "
            f"`pip install 'keras-supcon[{extra}]'` installs "
            f"{'it' if len(missing) == 1 else 'them'}."
        )
