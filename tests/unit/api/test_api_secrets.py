"""Secrets stay where they belong: in one header, sent to one host."""

import base64
import logging
import traceback

import pytest

from m3ter_sync.api import InsecureUrl, M3terClient, M3terError
from m3ter_sync.api.answers import describe_refusal
from m3ter_sync.api.connection import Answer
from m3ter_sync.redaction import redact


@pytest.fixture
def hidden(secret):
    basic = base64.b64encode(f"key-1:{secret}".encode()).decode()
    return (secret, basic)


def _everything(error):
    seen = [error]
    while seen[-1] is not None:
        seen.append(seen[-1].__cause__ or seen[-1].__context__)
    return "\n".join([*traceback.format_exception(error), *map(repr, seen)])


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 429, 500, 302])
def test_no_message_and_no_log_repeats_what_the_server_echoes(
    make_client, server, reply, hidden, status, caplog
):
    caplog.set_level(logging.DEBUG)
    client = make_client(max_attempts=2)
    client.fetch("bills")

    def echo(request):
        said = [*hidden, request.headers["Authorization"], "Bearer " + "x" * 40]
        return reply(status, {"message": " ".join(said)})

    server.otherwise = echo
    with pytest.raises(M3terError) as caught:
        client.fetch("bills", entity="Bill b-1")
    server.token_script = [reply(status, {"message": " ".join(hidden)})] * 2
    with pytest.raises(M3terError) as at_token:
        make_client(max_attempts=2).fetch("bills")
    text = _everything(caught.value) + _everything(at_token.value) + caplog.text + repr(client)
    assert "[hidden]" in str(caught.value)
    for one in (*hidden, "token-number-", "x" * 40):
        assert one not in text


def test_what_a_client_holds_is_hidden_in_whatever_a_library_logs(client, hidden):
    client.fetch("bills")
    for one in (*hidden, "token-number-1"):
        assert redact(f"urllib3 says {one}!") == "urllib3 says [hidden]!"


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"])
def test_no_error_keeps_the_request_with_its_token(make_client, server, reply, raw):
    client = make_client(max_attempts=2)
    server.otherwise = reply(raw=raw)
    with pytest.raises(M3terError) as caught:
        client.fetch("bills")
    error = caught.value
    while error is not None:
        assert not hasattr(error, "request")
        error = error.__cause__ or error.__context__


def test_the_repr_names_the_address_and_the_organization_alone(client, server):
    assert repr(client) == f"M3terClient('{server.url}', org_id='org-1')"


def test_a_login_in_netrc_does_not_replace_the_token(client, server, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login other password other\ndefault login x password y\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client.fetch("bills")
    assert server.asked[0].headers["Authorization"] == "Bearer token-number-1"
    assert server.log[0].headers["Authorization"].startswith("Basic a2V5LTE6")


def test_a_proxy_never_sees_what_goes_to_loopback_in_the_clear(make_client, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert make_client().fetch("bills") == {"data": []}


def test_a_proxy_from_the_environment_is_used_and_its_login_not_shown(
    make_client, server, reply, monkeypatch, caplog
):
    caplog.set_level(logging.DEBUG)
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    proxy = server.url.replace("http://", "http://user:proxy-pass@")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    server.otherwise = reply(502)
    client = make_client(base_url="https://api.m3ter.invalid")
    with pytest.raises(M3terError) as caught:
        client.fetch("bills")
    assert "the proxy did not let us through" in str(caught.value)
    assert "proxy-pass" not in _everything(caught.value) + caplog.text
    assert {request.method for request in server.log} == {"CONNECT"}
    assert not any("Authorization" in request.headers for request in server.log)


def _client(url):
    return M3terClient(org_id="o", access_key_id="k", api_secret="hush-hush", base_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.m3ter.com",
        "HTTP://api.m3ter.com",
        "http://localhost.evil.com",
        "http://127.0.0.1.evil.com",
        "http://128.0.0.1",
        "http://127.0.0.1@evil.com",
        "http://127.0.0.1\\@evil.com",
        "http://localhost@evil.com",
        "http://localhost:80@evil.com",
        "http://localhost%40evil.com",
        "http://evil.com#@localhost",
        "http://evil.com?@localhost",
        "http://localhost%2eevil.com",
        "http://localhost%00.evil.com",
        "http://localhost;evil.com",
        "http://localhost,evil.com",
        "http://localhost evil.com",
        "http://localhost\tevil.com",
        "http://localhost.",
        "http://localhost.localdomain",
        "http://127.0.0.1.",
        "http://127.1",
        "http://2130706433",
        "http://0x7f000001",
        "http://0177.0.0.1",
        "http://0.0.0.0",
        "http://[::]",
        "http://[::ffff:8.8.8.8]",
        "http://[fe80::1%25lo]",
        "http://[::1].evil.com",
        "http://[::1]evil.com",
        "http://evil.com/127.0.0.1",
        "http://\u2460\u2461\u2466.0.0.1",
        "http://127\u30020.0.1",
        "http://localhost\uff0f.evil.com",
        "http://\u217cocalhost",
        "http:///127.0.0.1",
        "http:/127.0.0.1",
        "http:127.0.0.1",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:-1",
        "http+unix://localhost",
        "file://localhost/etc/passwd",
        "https://:443",
        "https://api.m3ter.com:443:443",
        "https://user:pass@api.m3ter.com",
        "ftp://api.m3ter.com",
        "api.m3ter.com",
        "//api.m3ter.com",
        "https://",
        "https://api.m3ter.com?x=1",
        "https://api.m3ter.com#x",
        "https://api.m3ter.com\n",
        "https://api.m3ter.com:port",
        "https://[::1",
        "",
    ],
)
def test_only_https_and_loopback_are_fit_for_credentials(url):
    with pytest.raises(InsecureUrl) as caught:
        _client(url)
    assert "base_url" in str(caught.value)
    assert "user:pass" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.m3ter.com",
        "https://api.m3ter.com/",
        "HTTPS://api.m3ter.com",
        "http://localhost:8080",
        "http://127.0.0.1:1/prefix/",
        "http://127.8.9.1",
        "http://[::1]:80",
    ],
)
def test_https_and_loopback_are_accepted(url):
    _client(url).close()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"message": "no such bill"}', '404 "no such bill"'),
        (b'{"error": "a", "error_description": "b"}', '404 "b"'),
        (b'{"code": 7}', '404 "{"code":7}"'),
        (b"[1]", '404 "[1]"'),
        (b"", "404"),
        (b"<html><h1>Not\r\n\tfound</h1></html>", '404 "Not found"'),
        (b"\x1b[31mred\x07 \xff", '404 "[31mred \ufffd"'),
        (b"a" * 5000, '404 "' + "a" * 199 + '…"'),
    ],
)
def test_an_error_answer_is_told_in_one_short_line(body, said):
    assert describe_refusal(Answer(404, {}, body), ()) == said


def test_a_secret_is_hidden_in_its_url_form_too_and_before_the_text_is_cut():
    body = ("y" * 195 + "a/b+c=d" + "a%2Fb%2Bc%3Dd").encode()
    assert describe_refusal(Answer(400, {}, body), ["a/b+c=d"]) == '400 "' + "y" * 195 + '[hid…"'
