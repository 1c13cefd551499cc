"""A server proves who it is before it is told anything, and nothing can switch that off."""

import socket
import ssl
import threading
from inspect import signature

import pytest
import trustme

from m3ter_sync.api import M3terClient, M3terError, ServiceUnavailable
from m3ter_sync.settings import Settings

ENVIRONMENT = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR")


class TlsServer:
    """Answers over TLS; what arrives in the clear of it stands in `received`."""

    def __init__(self, certificate):
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self._context)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.received = b""
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            connection, _ = self._listening.accept()
            if self._listening.gettimeout() is not None:
                connection.close()
                return
            try:
                with self._context.wrap_socket(connection, server_side=True) as secure:
                    self.received += secure.recv(65536)
                    secure.sendall(b"HTTP/1.1 400 no\r\nContent-Length: 0\r\n\r\n")
            except OSError:
                connection.close()

    def close(self):
        self._listening.settimeout(9)
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listening.close()


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def serve(authority):
    running = []

    def start(name="localhost"):
        running.append(TlsServer(authority.issue_cert(name)))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch):
    for name in ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def fail(make_client):
    """What a client says that asks a server."""

    def ask(server):
        client = make_client(base_url=f"https://localhost:{server.port}")
        with pytest.raises(M3terError, match="POST /oauth/token") as caught:
            client.fetch("bills")
        return caught.value

    return ask


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"REQUESTS_CA_BUNDLE": ""},
        {"REQUESTS_CA_BUNDLE": "", "CURL_CA_BUNDLE": ""},
        {"PYTHONHTTPSVERIFY": "0"},
        {"SSL_CERT_FILE": "{ca}"},
        {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/dev/null"},
        {"GIT_SSL_NO_VERIFY": "1", "NODE_TLS_REJECT_UNAUTHORIZED": "0"},
    ],
)
def test_no_variable_lets_a_server_in_that_nobody_vouches_for(
    serve, authority, fail, monkeypatch, tmp_path, variables
):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(ca=tmp_path / "ca.pem"))
    server = serve()
    error = fail(server)
    assert isinstance(error, ServiceUnavailable)
    assert "its certificate is not trusted" in str(error)
    assert server.received == b""


def test_an_authority_that_the_environment_names_is_trusted_for_its_own_names(
    serve, authority, fail, monkeypatch, tmp_path
):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    trusted, other = serve(), serve("m3ter.example")
    assert "m3ter answered 400" in str(fail(trusted))
    assert b"Authorization: Basic " in trusted.received
    assert "its certificate is not trusted" in str(fail(other))
    assert other.received == b""


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_a_bundle_that_is_none_trusts_nobody(serve, fail, monkeypatch, tmp_path, content):
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    server = serve()
    error = fail(server)
    assert "REQUESTS_CA_BUNDLE" in str(error) or "certificate" in str(error)
    assert "\n" not in str(error)
    assert server.received == b""


def test_no_setting_and_no_argument_switches_it_off():
    names = [*signature(M3terClient).parameters, *Settings().get_resolvable_fields()]
    assert not [name for name in names if "verify" in name or "ssl" in name or "insecure" in name]
