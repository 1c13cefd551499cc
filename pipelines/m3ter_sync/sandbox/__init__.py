"""A local m3ter API with believable data, for the demo and the tests.

    build_world(now=...) → World → Sandbox(world) → real HTTP on 127.0.0.1

Within `with Sandbox(world) as sandbox:` any client, m3ter's own SDK included, can read
`sandbox.base_url` with `sandbox.org_id`, `sandbox.access_key_id` and `sandbox.api_secret`.
"""

from .behaviour import Behaviour, LoggedRequest
from .build import build_world
from .faults import Fault, Faults
from .server import Sandbox, serve
from .tables import Row
from .world import FAKE_CREDENTIAL, World, WorldChanges

__all__ = [
    "FAKE_CREDENTIAL",
    "Behaviour",
    "Fault",
    "Faults",
    "LoggedRequest",
    "Row",
    "Sandbox",
    "World",
    "WorldChanges",
    "build_world",
    "serve",
]
