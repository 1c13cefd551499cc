"""How a fault is done to a page or a connection."""

import asyncio
import socket
import struct

from starlette.datastructures import QueryParams
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from .faults import Fault
from .listing import Page, Window, write_token

TRANSPORT = "sandbox.transport"
"""Where the server leaves the connection's transport in the ASGI scope."""


def spoil_page(page: Page, params: QueryParams, fault: Fault | None) -> Page:
    """Empties a page, or makes its token lead back to itself."""
    if fault is Fault.EMPTY_PAGE:
        window = Window.read(params, 200)
        return {"data": [], "nextToken": write_token(window.after, window.salt + 1)}
    if fault is Fault.REPEATED_TOKEN and params.get("nextToken"):
        return page | {"nextToken": params["nextToken"]}
    return page


async def reset(scope: Scope, receive: Receive) -> None:
    """Resets the connection: the client gets no byte."""
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]["transport"]
    # Without lingering, closing sends a reset where it would say goodbye.
    transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    transport.abort()
    await _until_gone(receive)


async def hang(receive: Receive, closing: asyncio.Event) -> None:
    """Says nothing until the client is gone or the server stops."""
    waiting = [asyncio.create_task(_until_gone(receive)), asyncio.create_task(closing.wait())]
    _, pending = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()


async def cut_off(response: Response, scope: Scope, receive: Receive, send: Send) -> None:
    """Promises the whole body, sends half of it, and closes."""
    await send(
        {
            "type": "http.response.start",
            "status": response.status_code,
            "headers": response.raw_headers,
        }
    )
    half = bytes(response.body)[: len(response.body) // 2]
    await send({"type": "http.response.body", "body": half, "more_body": True})
    transport: asyncio.Transport = scope["extensions"][TRANSPORT]["transport"]
    transport.close()
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
