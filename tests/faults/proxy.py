"""A network that misbehaves: it stands between the program and the sandbox.

It hands on each request and its answer; an answer may be spoiled on its way, by a toxic, and its
connection then ends. What PyPI has of this kind steers a program in Go (toxiproxy-python) or
spoils whole connections, not the answer to one request (asynctcpproxy).
"""

import re
import socket
import socketserver
import struct
import threading
from collections.abc import Callable

Toxic = Callable[[socket.socket, bytes], None]
"""Does with a connection and the answer that belongs there what it likes."""
Choose = Callable[[str], Toxic | None]
"""Which toxic the answer to a request gets, by the request's first line."""


class Proxy(socketserver.ThreadingTCPServer):
    """Stands before a port of this machine while the context lasts."""

    daemon_threads = True
    request_queue_size = 100

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        host, _, port = upstream.removeprefix("http://").partition(":")
        self.upstream = (host, int(port))
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.choose: Choose = lambda _: None
        self.last_request = b""

    def __enter__(self) -> "Proxy":
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Says nothing: the program hung up, as it may."""


class _Handler(socketserver.BaseRequestHandler):
    server: Proxy

    def handle(self) -> None:
        while request := self._read_request():
            self.server.last_request = request
            line = request.split(b"\r\n", 1)[0].decode()
            answer = self._ask(request)
            if toxic := self.server.choose(line):
                toxic(self.request, answer)
                return
            self.request.sendall(answer)

    def _read_request(self) -> bytes:
        request = b""
        while b"\r\n\r\n" not in request or len(request) < _length(request):
            piece = self.request.recv(65536)
            if not piece:
                return b""
            request += piece
        return request

    def _ask(self, request: bytes) -> bytes:
        """The whole answer: on a connection of its own, which ends with it."""
        with socket.create_connection(self.server.upstream) as upstream:
            upstream.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            answer = b"".join(iter(lambda: upstream.recv(65536), b""))
        return answer.replace(b"connection: close\r\n", b"")


def _length(message: bytes) -> int:
    head, _, _ = message.partition(b"\r\n\r\n")
    found = re.search(rb"(?i)content-length: *(\d+)", head)
    return len(head) + 4 + int(found[1] if found else 0)


def reset(connection: socket.socket, answer: bytes, *, after: float = 0.0) -> None:
    """Resets the connection after this share of the answer."""
    connection.sendall(answer[: int(len(answer) * after)])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def reset_midway(connection: socket.socket, answer: bytes) -> None:
    reset(connection, answer, after=0.5)


def cut_off(connection: socket.socket, answer: bytes) -> None:
    connection.sendall(answer[: len(answer) // 2])


def close(connection: socket.socket, answer: bytes) -> None:
    """Ends the connection without a word."""


def fall_silent(connection: socket.socket, answer: bytes) -> None:
    """Stops within the answer, and stays."""
    connection.sendall(answer[: len(answer) // 2])
    connection.recv(1)


def trickle(connection: socket.socket, answer: bytes) -> None:
    """A byte now and then, never late enough for the socket's own time-out."""
    for number in range(100):
        connection.sendall(answer[number : number + 1])
        threading.Event().wait(0.1)


def trickle_body(connection: socket.socket, answer: bytes) -> None:
    """The head at once, then a byte now and then."""
    head, _, body = answer.partition(b"\r\n\r\n")
    connection.sendall(head + b"\r\n\r\n")
    trickle(connection, body)


def say_length(factor: float) -> Toxic:
    """Gives the body a length that it does not have."""

    def toxic(connection: socket.socket, answer: bytes) -> None:
        said = re.sub(
            rb"(?i)(content-length: *)(\d+)",
            lambda found: found[1] + str(int(int(found[2]) * factor)).encode(),
            answer,
        )
        connection.sendall(said)
        if factor < 1:
            # Stays open: what is left over must not be taken for the next answer.
            connection.recv(1)

    return toxic


def say(head: str, body: bytes | None = None) -> Toxic:
    """Answers with these lines and this body, or with the true one."""

    def toxic(connection: socket.socket, answer: bytes) -> None:
        true_body = answer.partition(b"\r\n\r\n")[2]
        content = true_body if body is None else body
        lines = head.format(length=len(content)).replace("\n", "\r\n")
        connection.sendall(f"HTTP/1.1 {lines}\r\n\r\n".encode() + content)

    return toxic
