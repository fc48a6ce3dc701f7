"""Fetches a package of Debian that holds pictures, checks its digest and unpacks it.

    python tools/fetch_debian_package.py build/openclipart-png

It works by `apt-get download`, which itself compares the file with the signed list of packages.
Where Debian offers another version than the one that is named here, that one is unpacked, with a
warning.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import tempfile
from typing import NamedTuple


class Package(NamedTuple):
    """A version of a package, and what `apt-cache show NAME` says of it."""

    name: str
    version: str
    sha256: str


PACKAGES = (
    Package(
        "dataset-fashion-mnist",
        "0.0~git20200523.55506a9-1",
        "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    ),
    Package(
        "openclipart-png",
        "1:0.18+dfsg-19",
        "f07f1545a2970c2cf3fa339bc2405da1a95cf2b1827bfa05bf73eb1c20291c02",
    ),
)


def download(package: Package, folder: pathlib.Path) -> pathlib.Path:
    """Downloads a package into a folder and returns the path of its archive.

    Another version is downloaded where there is no such one.

    Raises:
        FileNotFoundError: If no version can be downloaded.
    """
    if shutil.which("apt-get"):
        exact = ["apt-get", "download", f"{package.name}={package.version}"]
        update, any_version = ["apt-get", "update"], ["apt-get", "download", package.name]
        for command in (exact, update, exact, any_version):
            subprocess.run(command, cwd=folder, check=False, stdout=subprocess.DEVNULL)
            archives = list(folder.glob("*.deb"))
            if archives:
                return archives[0]
    raise FileNotFoundError(
        f"The package {package.name} should be among those of `apt-get download`, as on Debian. "
        "Received: none"
    )


def unpack(archive: pathlib.Path, package: Package, target: pathlib.Path) -> None:
    """Unpacks the archive of a package, whole or not at all.

    Raises:
        ValueError: If it is of the named version and does not have the digest; nothing is unpacked
            then.
    """
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != package.sha256:
        command = ["dpkg-deb", "--field", archive, "Version"]
        version = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        if version == package.version:
            raise ValueError(
                f"{package.name} {version} should have the SHA-256 {package.sha256}. Received: "
                f"{found}"
            )
        print(
            f"WARNING: the package {package.name} should be of version {package.version}, which "
            f"the documentation describes. Received: version {version}, whose pictures may differ",
            file=sys.stderr,
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="unfinished-") as unfinished:
        root = pathlib.Path(unfinished, "root")
        subprocess.run(["dpkg-deb", "--extract", archive, root], check=True)
        root.rename(target)


def main(arguments: list[str]) -> None:
    packages = {package.name: package for package in PACKAGES}
    if len(arguments) != 1 or pathlib.Path(arguments[0]).name not in packages:
        sys.exit(
            f"{__doc__}\nThe argument should be a path that ends in one of {', '.join(packages)}. "
            f"Received: {' '.join(arguments)}"
        )
    target = pathlib.Path(arguments[0])
    if target.exists():  # whole, by `unpack`
        return
    package = packages[target.name]
    with tempfile.TemporaryDirectory() as downloads:
        unpack(download(package, pathlib.Path(downloads)), package, target)


if __name__ == "__main__":
    main(sys.argv[1:])
