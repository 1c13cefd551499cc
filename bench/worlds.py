"""The m3ter that the benchmarks talk to: the sandbox, in a process of its own."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

SERVER = """
import sys, json
from datetime import UTC, datetime, timedelta
from m3ter_sync.sandbox import Behaviour, build_world, serve
given = json.loads(sys.argv[1])
world = build_world(seed=7, now=datetime.now(UTC) - timedelta(days=given.pop("age_days", 0)),
                    **given.pop("world"))
behaviour = Behaviour(**given.pop("behaviour"))
print(json.dumps([behaviour.org_id, behaviour.access_key_id, behaviour.api_secret]), flush=True)
serve(world, behaviour, port=given["port"])
"""


@dataclass(frozen=True)
class Server:
    base_url: str
    org_id: str
    access_key_id: str
    api_secret: str

    def environment(self) -> dict[str, str]:
        return {
            "M3TER_BASE_URL": self.base_url,
            "M3TER_ORG_ID": self.org_id,
            "M3TER_API_KEY": self.access_key_id,
            "M3TER_API_SECRET": self.api_secret,
        }

    def control(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(self.base_url + path, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read())


@contextmanager
def serve_world(
    *, port: int = 8791, age_days: float = 0, behaviour: dict[str, Any] | None = None, **world: int
) -> Iterator[Server]:
    """A sandbox with a world of the given size until the context ends."""
    given = {
        "port": port,
        "age_days": age_days,
        "world": world,
        "behaviour": {"log_requests": False, **(behaviour or {})},
    }
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER, json.dumps(given)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout
        credentials = json.loads(process.stdout.readline())
        server = Server(f"http://127.0.0.1:{port}", *credentials)
        for _ in range(300):
            try:
                server.control("/sandbox/requests")
                break
            except OSError:
                import time

                time.sleep(0.1)
        yield server
    finally:
        process.kill()
        process.wait()
