"""The first import of every program: less noise, and a sentence for a missing package."""

import contextlib
import os
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator
from types import TracebackType

# From the imported name to the extras of setup.py that install it.
_EXTRAS = {
    "absl": "tensorflow,report",
    "keras": "tensorflow,report",
    "keras_supcon": "tensorflow,report",
    "numpy": "tensorflow,report",
    "jax": "jax",
    "jinja2": "report",
    "matplotlib": "report",
    "scipy": "report",
    "sklearn": "report",
    "tensorflow": "tensorflow",
    "tensorflow_datasets": "tensorflow",
    "torch": "torch",
}
# TensorFlow 2.21 writes these lines when it is imported, at any level of its log.
_NOISE = re.compile(rb"before absl::InitializeLog\(\)|oneDNN custom operations are on")


def _name_missing_package(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Prints a sentence in place of the traceback if a package is not installed."""
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package not in _EXTRAS:
        sys.__excepthook__(kind, error, trace)
        return
    print(
        f"{pathlib.Path(sys.argv[0]).name} needs {package}, which is not installed: `pip install "
        f"'.[{_EXTRAS[package]}]'` in the folder of the clone installs it, and `make demo` all "
        "that the demo needs, into .venv. Keras computes with TensorFlow unless KERAS_BACKEND is "
        "jax or torch.",
        file=sys.stderr,
    )


@contextlib.contextmanager
def _without_noise() -> Iterator[None]:
    """Holds back standard error, that of C++ too, and then writes all but the noise."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held, os.fdopen(os.dup(2), "wb") as stderr:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr.fileno(), 2)
            held.seek(0)
            stderr.writelines(line for line in held if not _NOISE.search(line))


sys.excepthook = _name_missing_package
# As standard error does: a terminal may not be able to show the name of a folder.
if hasattr(sys.stdout, "reconfigure"):
    sys.stdout.reconfigure(errors="backslashreplace")
if "TF_CONFIG" not in os.environ:  # of several workers every line may matter
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # 0 brings the lines back
    with _without_noise():
        import keras  # noqa: F401
