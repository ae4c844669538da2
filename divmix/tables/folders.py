"""Folders that appear whole or not at all, also where they take the place of another.

Beside a folder `run` stand, while it is worked on, `.run.lock` (held by the process that works),
`.run.new` (what is being built) and, where the two cannot be exchanged in one step, `.run.old`
(what it replaces). The next process to claim the folder clears away what a killed one left. Only
what is to outlive a killed process, such as a checkpoint, stands in the folder itself meanwhile.
"""

import ctypes
import errno
import fcntl
import os
import shutil
import stat
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from divmix.errors import OutputError
from divmix.tables.writing import sweep, sync_folder

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2  # of renameat2(2)


@contextmanager
def claimed_folder(
    folder: str | Path,
    own_names: Collection[str],
    *,
    overwrite: bool,
    meanwhile: Collection[str] = (),
) -> Iterator["ClaimedFolder"]:
    """A folder that no other process may claim until the block ends.

    `own_names` are the files that such a folder may hold. With `overwrite` one that stands is
    replaced; files of other names in it are kept. `meanwhile` are those that it holds only while
    it is unfinished: a folder with no others is taken for empty. Raises OutputError for a folder
    that stands (without `overwrite`), is not of this kind, cannot be replaced, or is claimed by a
    process that lives. What a dead one left is cleared away.
    """
    given = Path(folder)
    folder = Path(os.path.realpath(given))  # a symbolic link stays one
    missing = [p for p in (folder.parent, *folder.parent.parents) if not p.exists()]
    _check_parent(given, missing[-1].parent if missing else folder.parent)
    try:
        with _told(given):
            folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder, given):
            claimed = ClaimedFolder(folder, given, own_names, meanwhile)
            with _told(given):
                claimed.recover()
                claimed.check(overwrite)
            try:
                yield claimed
            finally:
                claimed.leave()
    finally:
        for empty in missing:  # where nothing was built after all
            with suppress(OSError):
                empty.rmdir()


class ClaimedFolder:
    """The folder while it is claimed. Made by `claimed_folder`."""

    def __init__(
        self,
        folder: Path,
        given: Path,
        own_names: Collection[str],
        meanwhile: Collection[str] = (),
    ) -> None:
        self._folder, self._given = folder, given
        self._meanwhile = frozenset(meanwhile)
        self._own = frozenset(own_names) | self._meanwhile
        self._stood = folder.is_dir()
        self._new = folder.with_name(f".{folder.name}.new")
        self._old = folder.with_name(f".{folder.name}.old")

    def check(self, overwrite: bool) -> None:
        """Raise OutputError for a folder that must not, or could not, be replaced."""
        if not os.path.lexists(self._folder):
            return
        if not self._folder.is_dir():
            raise OutputError(f"{self._given} is a file", hint="choose another folder with -o")
        entries = list(self._folder.iterdir())
        if {entry.name for entry in entries} - self._meanwhile and not overwrite:
            raise OutputError(
                f"the output folder {self._given} exists",
                hint="use --force to overwrite, or -o elsewhere",
            )
        if _is_mounted(self._folder) or self._folder in (Path.cwd(), *Path.cwd().parents):
            raise OutputError(
                f"{self._given} cannot be replaced: it is the working folder or above it, or a "
                "mounted one",
                hint=f"name a folder inside it, such as -o {self._given / 'run'}",
            )
        for entry in entries:
            if entry.name not in self._own and not entry.is_file():
                raise OutputError(
                    f"{self._given} holds {entry.name}, which is no part of a run",
                    hint="move it elsewhere, or choose another folder with -o",
                )

    def recover(self) -> None:
        """Put back the folder that a killed process had moved aside; remove what it left."""
        if self._old.is_dir() and not self._folder.exists():
            os.rename(self._old, self._folder)
        for leftover in (self._new, self._old):
            _remove(leftover)
        for name in self._meanwhile:
            sweep(self._folder / name)

    def path(self, name: str) -> Path:
        """A file of the folder as it stands, under the name that the user gave the folder."""
        return self._given / name

    def enter(self) -> None:
        """Make the folder, if there is none, for files that stand in it meanwhile."""
        with _told(self._given):
            self._folder.mkdir(exist_ok=True)

    def leave(self) -> None:
        """Remove the folder where it was made for files that were never written."""
        if not self._stood:
            with suppress(OSError):
                self._folder.rmdir()

    @contextmanager
    def built(self) -> Iterator[Path]:
        """An empty folder to write into, which takes the claimed one's place when the block ends.

        At every moment the name stands for the whole old folder or the whole new one; only where
        the system cannot exchange two names, it is missing for an instant, and then put back by
        the next claim. Permissions of the folder and of files with the same names are kept.
        Raises OutputError where it cannot be written.
        """
        try:
            with _told(self._given):
                self._new.mkdir()
            yield self._new
            with _told(self._given):
                self._adopt()
                sync_folder(self._new)
                self._swap()
        except OutputError as error:
            told = str(error).replace(str(self._new), str(self._given))
            raise OutputError(told, hint=error.hint) from error
        finally:
            _remove(self._new)

    def _adopt(self) -> None:
        """Give the new folder the permissions of the old one, and the files that others put in."""
        if not self._folder.is_dir():
            return
        for entry in self._folder.iterdir():
            twin = self._new / entry.name
            if entry.name not in self._own and not twin.exists():
                try:
                    os.link(entry, twin, follow_symlinks=False)
                except OSError:  # a file system without links
                    shutil.copy2(entry, twin, follow_symlinks=False)
            elif twin.exists():
                _copy_mode(entry, twin)
        _copy_mode(self._folder, self._new)

    def _swap(self) -> None:
        if not self._folder.is_dir() or not any(self._folder.iterdir()):
            os.rename(self._new, self._folder)
        elif not exchange(self._new, self._folder):
            try:
                os.rename(self._folder, self._old)
                os.rename(self._new, self._folder)
            finally:
                if not self._folder.exists():
                    os.rename(self._old, self._folder)
        sync_folder(self._folder.parent)
        _remove(self._old)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step. False where the system or the file system cannot."""
    rename = _renameat2()
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM):
        return False
    raise OSError(number, os.strerror(number), str(other))


def _renameat2() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)


@contextmanager
def locked(folder: Path, given: Path) -> Iterator[None]:
    """Hold `.NAME.lock` beside the folder. The system lets go of it when the process ends."""
    path = folder.with_name(f".{folder.name}.lock")
    while True:
        with _told(given):
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(handle)
            raise OutputError(
                f"another run is writing {given}",
                hint="wait until it has ended, or choose another folder with -o",
            ) from error
        except OSError:
            pass  # a file system without locks: nothing to hold
        # The one who held it before may have removed the file that has just been opened.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(handle)):
                break
        os.close(handle)
    try:
        yield
    finally:
        with suppress(OSError):
            path.unlink()
        os.close(handle)


def _check_parent(given: Path, standing: Path) -> None:
    if not standing.is_dir() or not os.access(standing, os.W_OK | os.X_OK):
        raise OutputError(
            f"cannot write to {given}: {standing} is no folder that can be written",
            hint="choose another folder with -o",
        )


def _is_mounted(folder: Path) -> bool:
    """Whether something is mounted there, bound folders included."""
    if os.path.ismount(folder):
        return True
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines()
    except OSError:
        return False
    escaped = str(folder).replace("\\", "\\134").replace(" ", "\\040")
    return any(line.split(" ")[4] == escaped for line in mounts)


def _copy_mode(source: Path, target: Path) -> None:
    found = source.stat()
    with suppress(OSError):  # only root can give a file away
        os.chown(target, found.st_uid, found.st_gid)
    os.chmod(target, stat.S_IMODE(found.st_mode))


def _remove(folder: Path) -> None:
    """Remove what is there as far as possible: the next claim does the rest."""
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written: {os.strerror(error.errno or errno.EIO)}",
            hint="check the folder's permissions and free space, or choose another -o",
        ) from error
