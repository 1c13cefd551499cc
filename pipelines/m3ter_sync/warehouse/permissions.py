"""Who may read what is written: its owner alone; what is published, whoever the umask lets.

Why so: docs/decisions/0020-who-may-read-the-files.md.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# The umask of whoever started the program, while another is in force.
_given: list[int] = []


@contextmanager
def private_files() -> Iterator[None]:
    """Makes every file its owner's alone: the umask is the process's, so libraries obey it too."""
    _given.append(os.umask(0o077))
    try:
        yield
    finally:
        os.umask(_given.pop())


def open_by_umask(path: Path, mode: int = 0o666) -> None:
    """Lets whoever the umask lets read a file, or go into a folder (mode 0o777)."""
    path.chmod(mode & ~_read_umask())


def make_data_folder(path: Path) -> None:
    """Makes a folder, and those above it, that can be passed through and not listed by others.

    What is published lies in it. A folder that is there already stays as it is.
    """
    missing = [each for each in (path, *path.parents) if not each.exists()]
    for each in reversed(missing):
        each.mkdir(exist_ok=True)
        open_by_umask(each, 0o711)


def _read_umask() -> int:
    if _given:
        return _given[0]
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
