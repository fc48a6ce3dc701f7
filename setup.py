"""Packaging of keras_supcon; tool settings are in pyproject.toml."""

import pathlib
import re

from setuptools import find_packages, setup

HERE = pathlib.Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$', (HERE / "keras_supcon" / "version.py").read_text(), re.MULTILINE
).group(1)

# tensorflow-datasets 4.9.10 imports importlib_resources without declaring it.
DATASETS = [
    "tensorflow-datasets>=4.9.10",
    "importlib_resources>=6.5",
    "pillow>=11.3",
    "keras-cv>=0.9.0",
]
# What KerasHub imports. KerasHub itself is installed without its requirements, see the Makefile.
KERAS_HUB = ["kagglehub>=1.0", "regex", "rich", "sentencepiece", "tokenizers"]

setup(
    name="keras-supcon",
    version=VERSION,
    description="Supervised contrastive learning as Keras 3 building blocks",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["keras_supcon", "keras_supcon.*"]),
    package_data={
        "keras_supcon": ["py.typed"],
        "keras_supcon.data": ["digits.npz"],
        "keras_supcon.evaluation.reporting": ["report.html.j2"],
    },
    # Below 3.14 wrong inputs of a model end in Keras' own RuntimeError, and not in the sentences of
    # this package.
    install_requires=["keras>=3.14", "numpy>=2.0", "absl-py>=2.1"],
    entry_points={"console_scripts": ["keras-supcon = keras_supcon.cli:main"]},
    extras_require={
        "tensorflow": ["tensorflow>=2.19", *DATASETS],
        "tensorflow-cpu": ["tensorflow-cpu>=2.19", *DATASETS],
        "cuda": ["tensorflow[and-cuda]>=2.19", *DATASETS],
        "tpu": ["tensorflow-tpu>=2.19", *DATASETS],
        "jax": ["jax>=0.10.2"],
        "torch": ["torch>=2.13.0"],
        # Protocols of evaluation and their reports.
        "report": [
            "matplotlib>=3.10",
            "scikit-learn>=1.6",
            "scipy>=1.15",
            "jinja2>=3.1",
            "pillow>=11.3",
            "threadpoolctl>=3.5",
        ],
        "dev": [
            "pytest>=9.0",
            "pytest-xdist>=3.8",
            "hypothesis>=6.155",
            "allpairspy>=2.5.1",
            "ruff>=0.17",
            "import-linter>=2.16",
            "markdown-it-py>=4",
            "tensorboard>=2.20",
            *KERAS_HUB,
        ],
    },
    classifiers=[
        "License :: OSI Approved :: Apache Software License",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
