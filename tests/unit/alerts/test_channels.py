"""Messages arrive as each service expects them, and no secret of a URL is ever shown."""

import email
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import default
from typing import Any

import apprise
import pytest
from aiosmtpd.controller import Controller
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from m3ter_sync.alerts import send_test
from m3ter_sync.alerts.channels import open_channels, send_all
from m3ter_sync.alerts.messages import Message
from m3ter_sync.alerts.words import plain

HOSTILE = (
    "<!channel> <@U123> @here @everyone <script>alert(1)</script> <b>x</b> "
    "[pay](https://evil.example/login?token=t) **now** _or_ `else` www.evil.example"
)
MESSAGE = Message(
    "m3ter-sync: NETSUITE is failing (bills)",
    f'3 deliveries failed\nLast error: "{plain(HOSTILE)}"\n\nData as of 2025-06-30 12:00 UTC.',
    "failure",
)


def deliver(url: str) -> None:
    (channel,) = open_channels([url])
    (delivery,) = send_all({channel: MESSAGE}).values()
    assert delivery.failure is None


def assert_harmless(text: str) -> None:
    assert "evil" not in text
    for danger in ("<!", "<@", "@here", "@everyone", "<script", "<b>", "](", "**", "`", "://evil"):
        assert danger not in text, danger


def test_a_webhook_gets_json(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/hook", method="POST").respond_with_data("ok")
    deliver(f"json://127.0.0.1:{httpserver.port}/hook")
    ((request, _),) = httpserver.log
    sent = request.get_json()
    assert (sent["title"], sent["message"], sent["type"]) == (
        MESSAGE.title,
        MESSAGE.body,
        "failure",
    )
    assert_harmless(sent["message"])


def test_a_webhook_gets_a_form(httpserver: HTTPServer) -> None:
    sent = {}

    def take(request: Request) -> Response:
        sent.update(request.form)
        return Response("ok")

    httpserver.expect_request("/hook", method="POST").respond_with_handler(take)
    deliver(f"form://127.0.0.1:{httpserver.port}/hook")
    assert (sent["title"], sent["message"]) == (MESSAGE.title, MESSAGE.body)


@pytest.mark.parametrize(
    ("service", "address", "url", "answer"),
    [
        ("NotifySlack", "webhook_url", "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi", "ok"),
        ("NotifyDiscord", "notify_url", "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", ""),
        ("NotifyMattermost", None, "mmost://127.0.0.1:{port}/3ccdd113474722377935511fc8", "ok"),
    ],
)  # fmt: skip
def test_chat_programs_get_no_mention_and_no_markup_of_others(
    httpserver: HTTPServer,
    monkeypatch: pytest.MonkeyPatch,
    service: str,
    address: str | None,
    url: str,
    answer: str,
) -> None:
    httpserver.expect_request(re.compile("/.*"), method="POST").respond_with_data(answer)
    if address:
        # Apprise knows one host for these; it stands in a constant.
        plugin = {p.__name__: p for p in apprise.NotificationManager().plugins()}[service]
        monkeypatch.setattr(plugin, address, httpserver.url_for("/chat"))
    deliver(url.format(port=httpserver.port))
    ((request, _),) = httpserver.log
    text = request.get_data(as_text=True)
    assert "NETSUITE is failing" in text
    assert_harmless(text)


class Inbox:
    """Keeps the mails that it is given."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.mails.append(email.message_from_bytes(envelope.content, policy=default))  # type: ignore[arg-type]
        return "250 OK"


@pytest.mark.parametrize("kind", ["plain", "html"])
def test_a_mail_runs_no_html_of_others(kind: str) -> None:
    inbox = Inbox()
    # Port 0 is no port to the controller, which connects to itself to see that it is up.
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(inbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        raw = Message(MESSAGE.title, f"{MESSAGE.body}\n{HOSTILE}", "failure")
        url = f"mailto://127.0.0.1:{port}?from=sync@example.com&to=finance@example.com"
        form = "&format=html" if kind == "html" else ""
        (channel,) = open_channels([f"{url}&mode=insecure{form}"])
        (delivery,) = send_all({channel: raw}).values()
        assert delivery.failure is None
    finally:
        controller.stop()
    (mail,) = inbox.mails
    assert mail["Subject"] == MESSAGE.title
    assert mail["To"] == "finance@example.com"
    body = mail.get_body((kind,))
    assert body is not None
    text = body.get_content().replace("&nbsp;", " ")
    assert "3 deliveries failed" in text
    if kind == "plain":
        assert mail.get_body(("html",)) is None
    else:
        assert "&lt;script&gt;" in text
        assert "<script" not in text
        assert "<b>x" not in text
        assert "<a " not in text


SECRET_URLS = {
    "slack://hushAAAAA/hushBBBBB/hushcccccccccccccccccccc": "alert URL 1 (slack)",
    "https://hooks.slack.com/services/hushAAAAA/hushBBBBB/hushcccccccccccccccccccc": (
        "alert URL 1 (https)"
    ),
    "discord://4174216298/hush_token": "alert URL 1 (discord)",
    "pagerduty://hushkey@hushapikey/source/component": "alert URL 1 (pagerduty)",
    "pagerduty://hushkey@hush.api.key": "alert URL 1 (pagerduty)",
    "ntfy://hushtopic": "alert URL 1 (ntfy)",
    "opsgenie://hush-secret-apikey": "alert URL 1 (opsgenie)",
    "tgram://123456789:hush_hijklmnop/12315544/": "alert URL 1 (tgram)",
    "mailto://hush:hushpass@gmail.com": "alert URL 1 (mailto at gmail.com)",
    "workflows://127.0.0.1:1/hushid/hushsignature": "alert URL 1 (workflows at 127.0.0.1)",
    "json://hush:hushpass@127.0.0.1:1/hushpath?hush=hush": "alert URL 1 (json at 127.0.0.1)",
    "jsons://hush@[::1]:1/hushpath": "alert URL 1 (jsons at ::1)",
    "bogus://hush": "alert URL 1",
    "hush-without-a-schema": "alert URL 1",
    "slack://hush": "alert URL 1",
}


@pytest.mark.parametrize("url", SECRET_URLS)
def test_a_channel_is_named_without_its_secrets(url: str) -> None:
    (channel,) = open_channels([url])
    assert channel.name == SECRET_URLS[url]


def test_no_log_holds_a_secret_however_much_is_logged() -> None:
    """In a program of its own: pytest listens to loggers that nobody else hears."""
    code = (
        "import logging, sys\n"
        "logging.basicConfig(level=1)\n"
        "from m3ter_sync.alerts import send_test\n"
        "from m3ter_sync.alerts.channels import open_channels\n"
        "for name in ('apprise', 'urllib3'): logging.getLogger(name).setLevel(1)\n"
        "open_channels(sys.argv[1:])\n"
        "local = [url for url in sys.argv[1:] if '127.0.0.1' in url or '//' not in url]\n"
        "print([each.failure for each in send_test(local, 'here')])\n"
        "logging.info('the end')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *SECRET_URLS],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.count("it cannot be reached") == 2
    assert result.stdout.count("Apprise knows no such URL") == 1
    assert "the end" in result.stderr
    assert "hush" not in result.stdout + result.stderr


@pytest.mark.parametrize(
    ("status", "failure"), [(200, None), (401, "it answered 401"), (500, "it answered 500")]
)
def test_a_test_says_of_each_url_whether_it_went(
    httpserver: HTTPServer, status: int, failure: str | None
) -> None:
    httpserver.expect_request("/one").respond_with_data("", status=status)
    httpserver.expect_request("/two").respond_with_data("ok")
    urls = [f"json://127.0.0.1:{httpserver.port}/{each}" for each in ("one", "two")]
    assert [each.failure for each in send_test(urls, "here")] == [failure, None]


def test_a_redirect_is_not_followed(httpserver: HTTPServer) -> None:
    elsewhere = {"Location": httpserver.url_for("/elsewhere")}
    httpserver.expect_request("/hook").respond_with_data("", status=307, headers=elsewhere)
    httpserver.expect_request("/elsewhere").respond_with_data("ok")
    (delivery,) = send_test([f"json://127.0.0.1:{httpserver.port}/hook"], "here")
    assert delivery.failure == "it answered 307"
    assert len(httpserver.log) == 1


@contextmanager
def dripping_server() -> Iterator[int]:
    """Answers a byte at a time, without end: no time limit of a socket ever runs out."""
    stopped = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection:
            try:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
                while not stopped.wait(0.1):
                    connection.sendall(b"x")
            except OSError:
                return

    def serve() -> None:
        while not stopped.is_set():
            try:
                threading.Thread(target=drip, args=(server.accept()[0],), daemon=True).start()
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            stopped.set()
            server.shutdown(socket.SHUT_RDWR)


def test_a_channel_that_hangs_holds_up_neither_the_others_nor_the_end_of_the_program(
    httpserver: HTTPServer,
) -> None:
    httpserver.expect_request("/hook").respond_with_data("ok")
    code = (
        "import sys\n"
        "from m3ter_sync.alerts import send_test\n"
        "print([each.failure for each in send_test(sys.argv[1:], 'here', patience=5)])"
    )
    with dripping_server() as port:
        urls = [f"json://127.0.0.1:{port}/", f"json://127.0.0.1:{httpserver.port}/hook"]
        result = subprocess.run(
            [sys.executable, "-c", code, *urls],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert result.stdout.strip() == "['it did not take the message within 5 s', None]"
    assert result.stderr == ""
