"""Files that appear whole or not at all, and directories in which one process writes at a time."""

import contextlib
import errno
import os
import pathlib
import socket
import tempfile
import threading
import weakref
from collections.abc import Iterator
from typing import Any

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is refused
    fcntl = None

_LOCK = "in-use.lock"
_UNFINISHED = "unfinished-"
# Said by file systems that cannot flush a directory.
_NO_DIRECTORY_FLUSH = (errno.EINVAL, errno.ENOTSUP, errno.EBADF)
# Said by `lockf` where another process holds the lock, and by file systems that know no locks.
_HELD_ELSEWHERE = (errno.EACCES, errno.EAGAIN)
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOLCK)


@contextlib.contextmanager
def whole_file(path: pathlib.Path, writer: int = 0, keep: bool = True) -> Iterator[pathlib.Path]:
    """Gives the path of an unfinished file in the same folder, which takes its name when all of it is on the disk.

    Args:
        path: The file.
        writer: Number of the process, of those that write one at the same time.
        keep: Whether the file of this one is kept.

    Raises:
        OSError: If it cannot be written; a file that was there before stays as it was.
    """
    unfinished = path.with_name(f"{_UNFINISHED}{writer}-{path.name}")
    try:
        yield unfinished
        if keep:
            with unfinished.open("r+b") as file:  # Windows flushes only what may be written to
                os.fsync(file.fileno())
            os.replace(unfinished, path)
            flush_directory(path.parent)
    except OSError as error:
        raise OSError(error.errno, f"The file could not be written ({error.strerror or error})", str(path)) from error
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


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
    """Makes a directory if it is missing, and a file in it for a moment.

    Permissions alone do not tell whether that works: not for root, on a read-only file system or on a full one.

    Raises:
        OSError: If the directory cannot be made or written to, or is a file.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(bytes(4096))
    except OSError as error:
        raise _not_writable(directory, error) from error


def _not_writable(directory: pathlib.Path, error: OSError) -> OSError:
    reason = "it is a file" if directory.is_file() else error.strerror or str(error)
    return OSError(error.errno, f"The directory cannot be written to ({reason})", str(directory))


class DirectoryLock:
    """Keeps a directory to one training at a time, over all processes that see it, on other machines too.

    The lock is one of the system on a file in the directory (`fcntl.lockf`, which network file systems know and child
    processes do not inherit): it ends with its process, however that ends. Where the system or the file system has no locks,
    nothing is refused.

    A directory that was made for it and in which nothing was written goes with it.

    Within a process, a holder of the same thread is taken for one whose training ended by an exception: it loses the lock.

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
        return self._key is not None and self._key[0] == os.getpid() and _HOLDERS.get(self._key) is self

    def acquire(self) -> None:
        """Takes the lock, unless it is held, and makes sure that the directory can be written to.

        Raises:
            RuntimeError: If another process or thread trains in the directory.
            OSError: If the directory cannot be made or written to, or is a file.
        """
        if self.is_held:
            return
        self._made = not self.directory.exists()
        make_writable(self.directory)
        key = (os.getpid(), os.path.realpath(self.directory))
        with _GUARD:
            earlier = _HOLDERS.get(key)
            if earlier is not None:
                if earlier._thread is not threading.current_thread() and earlier._thread.is_alive():
                    raise _in_use(self.directory, "another thread of this process")
                self._descriptor, earlier._descriptor = earlier._descriptor, None
                earlier._finalizer.detach()
            else:
                self._descriptor = _lock(self.directory)
            self._thread, self._key = threading.current_thread(), key
            self._finalizer = weakref.finalize(self, _unlock, self._descriptor, self.directory, os.getpid())
            _HOLDERS[key] = self

    def release(self) -> None:
        """Gives the lock back; does nothing if it is not held."""
        with _GUARD:
            if self.is_held:
                del _HOLDERS[self._key]
                self._finalizer()
                if self._made:
                    with contextlib.suppress(OSError):  # not if something was written there
                        self.directory.rmdir()
            self._descriptor = self._key = None

    def __enter__(self) -> "DirectoryLock":
        self.acquire()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.release()


_GUARD = threading.RLock()
# From a process and a directory to who holds it. A holder that nobody has any more gives it back.
_HOLDERS: "weakref.WeakValueDictionary[tuple[int, str], DirectoryLock]" = weakref.WeakValueDictionary()


def release_locks() -> None:
    """Gives back what this process holds. For one that ends at once; other processes would ignore the files it leaves."""
    for holder in list(_HOLDERS.values()):
        holder.release()


def _lock(directory: pathlib.Path) -> int | None:
    """The descriptor of the locked file, or None where there are no locks."""
    if fcntl is None:
        return None
    path = directory / _LOCK
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _not_writable(directory, error) from error
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.read(descriptor, 200).decode(errors="replace").strip()
            os.close(descriptor)
            if error.errno in _HELD_ELSEWHERE:
                raise _in_use(directory, f"another process{f' ({holder})' if holder else ''}") from None
            if error.errno in _NO_LOCKS:
                return None
            raise
        if _is_file_at(path, descriptor):
            with contextlib.suppress(OSError):  # it is only for the message
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)  # the earlier holder has just removed it


def _is_file_at(path: pathlib.Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _unlock(descriptor: int | None, directory: pathlib.Path, process: int) -> None:
    if descriptor is None or process != os.getpid():  # a child has neither the lock nor the file
        return
    with contextlib.suppress(OSError):
        os.unlink(directory / _LOCK)
    os.close(descriptor)


def _in_use(directory: pathlib.Path, who: str) -> RuntimeError:
    return RuntimeError(
        f"{str(directory)!r} is in use: {who} trains in this folder. Wait until it has ended, end it, or give another folder"
    )
