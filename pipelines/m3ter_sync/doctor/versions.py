"""Whether what is installed is what m3ter-sync was made for."""

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires, version

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from m3ter_sync.doctor.findings import Finding, ok, problem

_DISTRIBUTION = "m3ter-sync"
_NAMED = ("dlt", "duckdb", "sqlglot", "pyarrow")


def check_versions() -> Iterator[Finding]:
    """Compares every dependency with the pins that the package itself declares."""
    python, pinned = platform.python_version(), metadata(_DISTRIBUTION)["Requires-Python"]
    found = {_DISTRIBUTION: version(_DISTRIBUTION), "Python": python}
    wrong = [] if python in SpecifierSet(pinned) else [f"Python {python} is not {pinned}"]
    to_install: list[str] = []
    for each in map(Requirement, requires(_DISTRIBUTION) or []):
        if each.marker and not each.marker.evaluate():
            continue
        try:
            installed = version(each.name)
        except PackageNotFoundError:
            wrong.append(f"{each.name} is missing")
            to_install.append(str(each))
            continue
        if each.name in _NAMED:
            found[each.name] = installed
        if not each.specifier.contains(installed, prereleases=True):
            wrong.append(f"{each.name} {installed} is not {each.specifier}")
            to_install.append(f"{each.name}{each.specifier}")
    names = ", ".join(f"{name} {number}" for name, number in found.items())
    if not wrong:
        yield ok("versions", f"{names}: all as m3ter-sync was made for", **found)
        return
    install = f"pip install {' '.join(map(repr, dict.fromkeys(to_install)))}"
    yield problem(
        "versions",
        f"{'; '.join(dict.fromkeys(wrong))} ({names})",
        f"Run: {install}" if to_install else f"Install it under Python {pinned}.",
        **found,
    )
