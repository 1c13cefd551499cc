"""A run in which all goes wrong leaves no secret and no token anywhere."""

import base64
import gzip
import itertools
import re
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import duckdb
import pyarrow.parquet as pq

from . import proxy, test_network
from .conftest import Case
from .proxy import Toxic
from .test_machine import run, sync_command


def echo(case: Case) -> Toxic:
    """Refuses a request and repeats its token."""

    def toxic(connection: socket.socket, answer: bytes) -> None:
        (token,) = re.findall(rb"(?i)authorization: .*", case.proxy.last_request)
        proxy.say("400 Bad\nContent-Length: {length}", token.strip())(connection, answer)

    return toxic


def read_everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file: as it is, unpacked, and a database or a table row by row."""
    for path in folder.rglob("*"):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield str(path), content
        if content.startswith(b"\x1f\x8b"):
            yield str(path), gzip.decompress(content)
        if path.suffix == ".parquet":
            yield str(path), repr(pq.read_table(path).to_pylist()).encode()
        if path.suffix == ".duckdb":
            with duckdb.connect(path, read_only=True) as database:
                for schema, table in database.execute(
                    "select schema_name, table_name from duckdb_tables()"
                ).fetchall():
                    rows = database.execute(f'from "{schema}"."{table}"').fetchall()
                    yield f"{path}: {schema}.{table}", repr(rows).encode()


def forms(secret: str) -> set[bytes]:
    return {
        secret.encode(),
        quote(secret, safe="").encode(),
        base64.b64encode(secret.encode()).rstrip(b"="),
    }


def test_a_faulty_run_leaves_no_secret_and_no_token_anywhere(case: Case, tmp_path: Path) -> None:
    case.sandbox.behaviour.api_secret = secret = secrets.token_urlsafe(24)
    bills = [f"/Bill/{bill}" for bill in case.world.bills]
    toxics: list[Toxic] = [echo(case), *(each.cause for each in test_network.NETWORK)]
    spoiled = dict(zip(bills, itertools.cycle(toxics), strict=False))
    listed = itertools.count()

    def choose(line: str) -> Toxic | None:
        if next(listed) in (8, 14):
            case.sandbox.expire_tokens()
        found = (toxic for bill, toxic in spoiled.items() if bill in line)
        return next(found, None)

    case.proxy.choose = choose
    outputs = []
    good: Callable[[str], Toxic | None] = lambda _: None  # noqa: E731
    for faults, code in ((choose, 1), (good, 0)):
        case.proxy.choose = faults
        done = run(case, [*sync_command(case), "-v"], timeout_seconds=2, threads=3)
        assert done.returncode == code, done.stderr
        outputs += [("output", done.stdout.encode()), ("log", done.stderr.encode())]
    assert run(case, [*sync_command(case)[:1], "report", *sync_command(case)[2:]]).returncode == 0

    assert len(case.sandbox.tokens_given) >= 4
    login = f"{case.sandbox.access_key_id}:{secret}"
    hidden = set().union(*map(forms, [secret, login, *case.sandbox.tokens_given]))
    everything = [*outputs, *read_everything(tmp_path)]
    leaks = {name for name, content in everything for form in hidden if form in content}
    assert leaks == set()
    # The search finds what is there.
    bill = bills[0].rpartition("/")[2].encode()
    places = {name.rpartition(".")[2] for name, content in everything if bill in content}
    assert {"log", "parquet", "integration_runs", "bills"} <= places
