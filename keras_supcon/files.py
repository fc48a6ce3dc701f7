"""Files written whole or not at all, and directories with one writing process at a time."""

import contextlib
import errno
import hashlib
import os
import pathlib
import re
import secrets
import socket
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is refused
    fcntl = None

_LOCK = "in-use.lock"
_UNFINISHED = "unfinished-"
# Errors of file systems that cannot flush a directory.
_NO_DIRECTORY_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
# Errors of `lockf` where another process holds the lock, and of file systems without locks.
_HELD_ELSEWHERE = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK)


@contextlib.contextmanager
def whole_file(path: pathlib.Path, keep: bool = True) -> Iterator[pathlib.Path]:
    """Yields the path of an unfinished file, which is renamed to the file once it is on the disk.

    The unfinished file is in the same folder. Concurrent writers have one each; the last to finish
    determines the content. As with `open`, a symbolic link is kept and its target written, and an
    existing file keeps its permissions. Leftovers of processes that died while they wrote the file
    are removed.

    Args:
        path: The file.
        keep: Whether the file of this writer is kept.

    Raises:
        OSError: If it cannot be written. An existing file is left unchanged.
        InUseError: If this process had locked the folder and another one has taken the lock since.
            An existing file is left unchanged.
    """
    target = pathlib.Path(os.path.realpath(path))
    _remove_leftovers(target)
    unfinished = unfinished_path(target)
    _IN_WORK.add(unfinished.name)
    try:
        renew_locks_over(path)
        yield unfinished
        if keep:
            with unfinished.open("r+b") as file:  # Windows flushes only what may be written to
                os.fsync(file.fileno())
            # There may be no earlier file, and the file system may have no permissions.
            with contextlib.suppress(OSError):
                unfinished.chmod(stat.S_IMODE(target.stat().st_mode))
            renew_locks_over(path)  # it may have taken minutes to write
            os.replace(unfinished, target)
            flush_directory(target.parent)
    except OSError as error:
        raise OSError(
            error.errno, f"The file could not be written ({error.strerror or error})", str(path)
        ) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        _IN_WORK.discard(unfinished.name)


_IN_WORK: set[str] = set()
# A file that was not changed for so long has no living writer.
_SECONDS_TO_WRITE = 3600
_LONGEST_ENDING = 200


def unfinished_path(path: pathlib.Path) -> pathlib.Path:
    """Returns a new name beside a file that identifies the writing process and machine."""
    return path.with_name(
        f"{_UNFINISHED}{_machine()}-{os.getpid()}-{secrets.token_hex(4)}-{_ending(path)}"
    )


def _ending(path: pathlib.Path) -> str:
    """Returns the name of a file, or the last part of a long name: names have at most 255 bytes."""
    return os.fsdecode(os.fsencode(path.name)[-_LONGEST_ENDING:].decode(errors="ignore"))


def _machine() -> str:
    """Identifies the machine, and the container, in which process ids have another meaning."""
    name = socket.gethostname()
    with contextlib.suppress(OSError):  # only on Linux
        name += (
            os.readlink("/proc/self/ns/pid")
            + pathlib.Path("/proc/sys/kernel/random/boot_id").read_text()
        )
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def _remove_leftovers(path: pathlib.Path) -> None:
    """Removes the unfinished files of dead writers of a file."""
    of_writer = re.compile(
        rf"{_UNFINISHED}([0-9a-f]{{8}})-([0-9]+)-[0-9a-f]{{8}}-{re.escape(_ending(path))}"
    )
    with contextlib.suppress(OSError):
        for name in os.listdir(path.parent):
            match = of_writer.fullmatch(name)
            if match and name not in _IN_WORK:
                left = path.with_name(name)
                with contextlib.suppress(OSError):
                    if (
                        _has_ended(match[1], int(match[2]))
                        or time.time() - left.stat().st_mtime > _SECONDS_TO_WRITE
                    ):
                        left.unlink()


def _has_ended(machine: str, process: int) -> bool:
    """Checks whether a process has certainly ended, or is this one.

    Files that this process still writes are excluded before.
    """
    if machine != _machine() or os.name != "posix":  # elsewhere `os.kill` sends something
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # of another user
        return False
    return process == os.getpid()


def flush_directory(directory: pathlib.Path) -> None:
    """Makes a new name in the directory survive a loss of power."""
    if os.name != "posix":  # elsewhere directories cannot be opened
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_FLUSH:
            raise
    finally:
        os.close(descriptor)


def make_writable(directory: pathlib.Path) -> None:
    """Creates a directory if it is missing, and briefly a file in it.

    Permissions alone do not tell whether that works: not for root, on a read-only file system or on
    a full one.

    Raises:
        OSError: If the directory cannot be created or written to, or is a file.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise _not_writable(directory, error) from error


def _not_writable(directory: pathlib.Path, error: OSError) -> OSError:
    reason = "it is a file" if directory.is_file() else error.strerror or str(error)
    if directory.is_symlink() and not directory.exists():
        reason = f"it is a link to {os.readlink(directory)!r}, which is not there"
    return OSError(error.errno, f"The directory cannot be written to ({reason})", str(directory))


class InUseError(RuntimeError):
    """Raised if another process or thread trains in a directory."""


class DirectoryLock:
    """Limits a directory to one training at a time, over all processes and machines that see it.

    The lock is a lock of the system on a file in the directory (`fcntl.lockf`, which network file
    systems support and child processes do not inherit). It ends with its process, however that
    ends. Where the system or the file system has no locks, as on Windows, nothing is refused.

    The system drops the lock as soon as this process closes any descriptor of that file, as after
    `shutil.copytree` of the directory. The lock also becomes void if someone deletes the file. So
    `renew`, which takes it again, should be called before each write; `whole_file` does so. Between
    two calls another process may begin in the directory. While it runs, `renew` raises. If it has
    ended by then, the lock is taken back; the caller has to notice what the other process wrote, as
    `Checkpoint` does.

    A directory that was created for the lock is removed with it if nothing was written there.

    Within a process, an earlier holder in the same thread loses the lock: its training must have
    ended by an exception.

    Args:
        directory: The directory.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        self._descriptor: int | None = None
        self._key: Any = None
        self._made = False

    @property
    def is_held(self) -> bool:
        return (
            self._key is not None
            and self._key[0] == os.getpid()
            and _HOLDERS.get(self._key) is self
        )

    def acquire(self) -> None:
        """Takes the lock, or renews it if it is held, and checks that the directory is writable.

        Raises:
            InUseError: If another process or thread trains in the directory.
            OSError: If the directory cannot be created or written to, or is a file.
        """
        if self.is_held:
            self.renew()
            return
        self._made = not self.directory.exists()
        make_writable(self.directory)
        key = (os.getpid(), os.path.realpath(self.directory))
        with _GUARD:
            earlier = _HOLDERS.get(key)
            if earlier is not None:
                if earlier._thread is not threading.current_thread() and earlier._thread.is_alive():
                    raise _in_use(self.directory, "another thread of this process")
                self._take(_lock_again(self.directory, earlier._descriptor), earlier)
            else:
                self._take(_lock(self.directory))
            self._thread, self._key = threading.current_thread(), key
            _HOLDERS[key] = self

    def renew(self) -> None:
        """Takes the lock again, which the system may have dropped; to be called before each write.

        Raises:
            InUseError: If another process, or a later training of this thread, has taken it.
            OSError: If the directory is no longer writable.
        """
        with _GUARD:
            if not self.is_held:
                raise InUseError(
                    f"{str(self.directory)!r} is in use: a later training of this thread has taken "
                    "it over. Nothing was written"
                )
            descriptor = _lock_again(self.directory, self._descriptor)
            if descriptor != self._descriptor:
                self._take(descriptor, self)

    def _take(self, descriptor: int | None, earlier: "DirectoryLock | None" = None) -> None:
        """Holds a descriptor from here on, and closes that of an earlier holder if it differs."""
        if earlier is not None:
            earlier._finalizer.detach()
            before, earlier._descriptor = earlier._descriptor, None
        self._descriptor = descriptor
        self._finalizer = weakref.finalize(self, _unlock, descriptor, self.directory, os.getpid())
        if earlier is not None and before not in (None, descriptor):
            os.close(before)

    def release(self) -> None:
        """Releases the lock; does nothing if it is not held."""
        with _GUARD:
            if self.is_held:
                del _HOLDERS[self._key]
                self._finalizer()
                if self._made:
                    with contextlib.suppress(OSError):  # something may have been written there
                        self.directory.rmdir()
            self._descriptor = self._key = None

    def __enter__(self) -> "DirectoryLock":
        self.acquire()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.release()


_GUARD = threading.RLock()
# From a process and a directory to its holder. A holder without references releases the lock.
_HOLDERS: "weakref.WeakValueDictionary[tuple[int, str], DirectoryLock]" = (
    weakref.WeakValueDictionary()
)


def release_locks() -> None:
    """Releases all locks of this process, before it exits at once.

    Other processes would ignore the files that it leaves.
    """
    for holder in list(_HOLDERS.values()):
        holder.release()


def renew_locks_over(path: pathlib.Path) -> None:
    """Renews the locks of this process on folders that hold a file.

    Raises:
        InUseError: As `DirectoryLock.renew`.
        OSError: As `DirectoryLock.renew`.
    """
    folder = pathlib.Path(os.path.realpath(path.parent))
    with _GUARD:
        for holder in list(_HOLDERS.values()):
            if holder.is_held and pathlib.Path(holder._key[1]) in (folder, *folder.parents):
                holder.renew()


def _lock(directory: pathlib.Path) -> int | None:
    """Returns the descriptor of the locked file, or None where there are no locks."""
    if fcntl is None:
        return None
    path = directory / _LOCK
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _not_writable(directory, error) from error
        try:
            is_locked = _lock_file(directory, descriptor)
            is_there = is_locked and _is_file_at(path, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        if is_there:
            return descriptor
        os.close(descriptor)
        if not is_locked:
            return None
        # The earlier holder has just removed it.


def _lock_again(directory: pathlib.Path, descriptor: int | None) -> int | None:
    """Returns the descriptor that was locked before, or that of a new file if its file is gone."""
    if descriptor is None:
        return None
    path = directory / _LOCK
    if _is_file_at(path, descriptor):
        _lock_file(directory, descriptor)
        if _is_file_at(path, descriptor):
            return descriptor
    return _lock(directory)


def _lock_file(directory: pathlib.Path, descriptor: int) -> bool:
    """Locks a file and writes its holder into it; returns False where there are no locks."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _HELD_ELSEWHERE:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
            raise _in_use(directory, f"another process{f' ({holder})' if holder else ''}") from None
        if error.errno in _NO_LOCKS:
            return False
        raise
    with contextlib.suppress(OSError):  # it is only for the message
        holder = f"process {os.getpid()} on {socket.gethostname()}\n".encode()
        if os.pread(descriptor, 200, 0) != holder:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder, 0)
    return True


def _is_file_at(path: pathlib.Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):  # the latter from network file systems
            return False
        raise


def _unlock(descriptor: int | None, directory: pathlib.Path, process: int) -> None:
    if descriptor is None or process != os.getpid():  # a child has neither the lock nor the file
        return
    with contextlib.suppress(OSError):  # it may be of another process by now
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_file_at(directory / _LOCK, descriptor):
            os.unlink(directory / _LOCK)
    os.close(descriptor)


def _in_use(directory: pathlib.Path, who: str) -> InUseError:
    return InUseError(
        f"{str(directory)!r} is in use: {who} trains in this folder. Wait until it has ended, end "
        "it, or give another folder"
    )
