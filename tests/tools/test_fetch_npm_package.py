"""Packages whose digest is checked before they are unpacked."""

import base64
import hashlib
import io
import subprocess
import sys
import tarfile

import pytest
from fetch_npm_package import PACKAGES, Package, main, unpack


@pytest.fixture
def archive(tmp_path):
    path = tmp_path / "toys-1.0.0.tgz"
    with tarfile.open(path, "w:gz") as files:
        for name in ("package/package.json", "package/img/1.png"):
            member = tarfile.TarInfo(name)
            member.size = 4
            files.addfile(member, io.BytesIO(b"toys"))
    return path


def integrity(path) -> str:
    return f"sha512-{base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()}"


def test_a_package_is_unpacked_without_its_first_folder(tmp_path, archive):
    target = tmp_path / "npm" / "toys-1.0.0"
    unpack(archive, integrity(archive), target)
    assert {str(file.relative_to(target)) for file in target.rglob("*") if file.is_file()} == {
        "package.json",
        "img/1.png",
    }
    assert [*target.parent.iterdir()] == [target]


@pytest.mark.parametrize("damage", ["other digest", "other bytes", "short"])
def test_nothing_is_unpacked_of_another_digest_or_a_broken_archive(tmp_path, archive, damage):
    expected = integrity(archive)
    if damage == "other bytes":
        archive.write_bytes(archive.read_bytes() + b"more")
    elif damage == "short":
        archive.write_bytes(archive.read_bytes()[:-20])
    else:
        expected = PACKAGES[0].integrity
    with pytest.raises(
        ValueError, match=r"toys-1.0.0.tgz should have the digest sha512-.*Received"
    ):
        unpack(archive, expected, tmp_path / "npm" / "toys-1.0.0")
    assert not (tmp_path / "npm").exists()


def test_an_archive_that_breaks_off_leaves_nothing(tmp_path, archive):
    archive.write_bytes(archive.read_bytes()[:60])
    with pytest.raises((EOFError, tarfile.TarError)):
        unpack(archive, integrity(archive), tmp_path / "npm" / "toys-1.0.0")
    assert [*(tmp_path / "npm").iterdir()] == []


def test_a_scoped_package_has_a_plain_folder_and_the_address_of_the_registry():
    package = Package("@toys/of-wood", "1.2.3", "sha512-")
    assert package.folder == "toys-of-wood-1.2.3"
    assert package.address.endswith("/@toys/of-wood/-/of-wood-1.2.3.tgz")


def test_what_is_there_is_not_fetched_again(tmp_path, monkeypatch):
    monkeypatch.setattr("fetch_npm_package.download", lambda *_: pytest.fail("downloads"))
    (tmp_path / PACKAGES[0].folder).mkdir()
    main([str(tmp_path / PACKAGES[0].folder)])


def test_the_program_names_the_packages(tmp_path):
    program = sys.modules["fetch_npm_package"].__file__
    finished = subprocess.run(
        [sys.executable, program, "build/npm/toys-1.0.0"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 1
    assert "lobehub-fluent-emoji-3d-1.1.0" in finished.stderr
    assert "Received: build/npm/toys-1.0.0" in finished.stderr
    assert [*tmp_path.iterdir()] == []
