"""Environments with other versions of things than ours, made from pinned requirements.

They are kept in pytest's cache. What cannot be installed fails: a promise that was not tested is
none.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements"


def run(*command: str | Path, **options: Any) -> str:
    """What a command prints; where it fails, so does the test."""
    done = subprocess.run(
        [*map(str, command)], capture_output=True, text=True, check=False, **options
    )
    if done.returncode:
        pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
    return done.stdout


class Environments:
    """Makes what is not in the cache yet; two test processes never make the same."""

    def __init__(self, config: pytest.Config, name: str) -> None:
        # pytest has a cache unless it was told to have none, and then this cannot work.
        self._cache = config.cache.mkdir(name)  # type: ignore[union-attr]
        self._requirements = REQUIREMENTS / name

    def make_python(self, name: str) -> Path:
        """A virtual environment with the requirements of this name; its folder of programs."""
        requirements = self._requirements / f"{name}.txt"
        with self._making(name, requirements) as (folder, is_new):
            if is_new:
                run(sys.executable, "-m", "venv", "--without-pip", folder)
                install = (sys.executable, "-m", "uv", "pip", "install", "--require-hashes")
                to = ("--python", folder / "bin/python")
                run(*install, *to, "--only-binary", ":all:", "--quiet", "-r", requirements)
        return folder / "bin"

    def make_node(self, name: str) -> tuple[Path, Path]:
        """Node, from the Python requirements of this name, and a folder with what npm pins."""
        programs = self.make_python(name)
        lock = self._requirements / "package-lock.json"
        with self._making("npm", lock) as (folder, is_new):
            if is_new:
                folder.mkdir()
                for file in (lock, self._requirements / "package.json"):
                    shutil.copy(file, folder)
                path = f"{programs}{os.pathsep}{os.environ['PATH']}"
                install = (programs / "npm", "install", "--ignore-scripts", "--no-audit")
                run(*install, cwd=folder, env=os.environ | {"PATH": path})
        return programs / "node", folder

    @contextmanager
    def _making(self, name: str, pinned: Path) -> Iterator[tuple[Path, bool]]:
        digest = hashlib.sha256(pinned.read_bytes() + sys.version.encode()).hexdigest()
        folder = self._cache / f"{name}-{digest[:12]}"
        with FileLock(f"{folder}.lock"):
            is_new = not (folder / "ready").exists()
            if is_new:
                shutil.rmtree(folder, ignore_errors=True)
            yield folder, is_new
            (folder / "ready").touch()
