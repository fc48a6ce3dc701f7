"""Packages of Debian, whose digest is checked before they are unpacked."""

import hashlib
import pathlib
import shutil
import subprocess

import fetch_debian_package
import pytest
from fetch_debian_package import Package, download, unpack

pytestmark = pytest.mark.skipif(
    shutil.which("dpkg-deb") is None, reason="dpkg-deb of Debian makes the package"
)


@pytest.fixture
def archive(tmp_path):
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(
        "Package: toys\nVersion: 1:2.0-1\nArchitecture: all\nMaintainer: none\nDescription: toys\n"
    )
    (root / "usr" / "share").mkdir(parents=True)
    (root / "usr" / "share" / "1.png").write_text("toys")
    path = tmp_path / "toys.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", root, path]
    subprocess.run(command, check=True, capture_output=True)
    return path


def toys(archive, **fields) -> Package:
    right = Package("toys", "1:2.0-1", hashlib.sha256(archive.read_bytes()).hexdigest())
    return right._replace(**fields)


def test_a_package_of_the_digest_is_unpacked(tmp_path, archive, capsys):
    target = tmp_path / "build" / "toys"
    unpack(archive, toys(archive), target)
    assert (target / "usr" / "share" / "1.png").read_text() == "toys"
    assert [*target.parent.iterdir()] == [target]
    assert capsys.readouterr() == ("", "")


def test_nothing_is_unpacked_of_another_digest(tmp_path, archive):
    with pytest.raises(ValueError, match=r"toys 1:2.0-1 should have the SHA-256 0. Received: \w+"):
        unpack(archive, toys(archive, sha256="0"), tmp_path / "build" / "toys")
    assert not (tmp_path / "build").exists()


def test_another_version_brings_a_warning(tmp_path, archive, capsys):
    target = tmp_path / "build" / "toys"
    unpack(archive, toys(archive, sha256="0", version="1:1.0-1"), target)
    assert (target / "usr" / "share" / "1.png").exists()
    assert "should be of version 1:1.0-1, " in (errors := capsys.readouterr().err)
    assert "Received: version 1:2.0-1" in errors


def test_a_broken_archive_leaves_nothing(tmp_path, archive):
    archive.write_bytes(archive.read_bytes()[:-40])
    with pytest.raises(subprocess.CalledProcessError):
        unpack(archive, toys(archive), tmp_path / "build" / "toys")
    assert [*(tmp_path / "build").iterdir()] == []


@pytest.mark.parametrize(
    ("offered", "asked"),
    [
        ("toys=1:2.0-1", ["download toys=1:2.0-1"]),
        (
            "toys",
            [
                "download toys=1:2.0-1",
                "update ",
                "download toys=1:2.0-1",
                "download toys",
            ],
        ),
    ],
)
def test_the_named_version_is_asked_for_first(tmp_path, archive, monkeypatch, offered, asked):
    """By a program in place of apt-get that notes what it is asked for."""
    program, notes = tmp_path / "bin" / "apt-get", tmp_path / "notes"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$1 $2" >> {notes}\n[ "$2" = "{offered}" ] && cp {archive} toys_2.deb\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    folder = tmp_path / "downloads"
    folder.mkdir()
    assert download(toys(archive), folder).read_bytes() == archive.read_bytes()
    assert notes.read_text().splitlines() == asked
    with pytest.raises(FileNotFoundError, match="The package other should be among those of"):
        download(toys(archive, name="other"), pathlib.Path(tmp_path / "bin"))


def test_the_program_names_the_packages_and_leaves_what_is_there(tmp_path, monkeypatch):
    with pytest.raises(SystemExit, match=r"(?s)openclipart-png. Received: build/toys"):
        fetch_debian_package.main(["build/toys"])
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "openclipart-png").mkdir()
    fetch_debian_package.main([str(tmp_path / "openclipart-png")])
    with pytest.raises(FileNotFoundError, match="The package dataset-fashion-mnist should be"):
        fetch_debian_package.main([str(tmp_path / "dataset-fashion-mnist")])
