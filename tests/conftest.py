"""A world and a running sandbox for whoever asks."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from m3ter_sync.sandbox import Sandbox, World, build_world

NOW = datetime(2025, 11, 3, 6, 0, tzinfo=UTC)


@pytest.fixture
def world() -> World:
    return build_world(now=NOW, bills=60, notifications=40, runs=1200, open_runs=12)


@pytest.fixture
def sandbox(world: World) -> Iterator[Sandbox]:
    with Sandbox(world) as running:
        yield running
