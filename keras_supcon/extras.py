"""Packages that not every user needs: the extras of setup.py."""

import importlib.util
import sys


def require_extra(extra: str, *packages: str, by: str) -> None:
    """Raises `ImportError` with a command that helps, if one of the packages is not installed.

    Args:
        extra: The extra of setup.py that installs them.
        *packages: Names to import.
        by: Name of the function or class that needs them.

    Raises:
        ImportError: If one is missing.

    Example:

    >>> from keras_supcon.extras import require_extra
    >>> try:
    ...     require_extra("report", "no_such_package", by="`draw`")
    ... except ImportError as error:
    ...     print(str(error).split(":")[0])
    `draw` needs no_such_package, which is not installed
    """
    # Imported packages are skipped, since AutoGraph would warn of `find_spec` inside `tf.data`.
    missing = [
        package
        for package in packages
        if sys.modules.get(package) is None and importlib.util.find_spec(package) is None
    ]
    if missing:
        raise ImportError(
            f"{by} needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not "
            f"installed: `pip install 'keras-supcon[{extra}]'` installs "
            f"{'it' if len(missing) == 1 else 'them'}."
        )
