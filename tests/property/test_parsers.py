"""Any input gives a value or the error that is documented: never another one, never a secret."""

import html
import ipaddress
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import click
import orjson
import pytest
from dlt.common.configuration.container import Container
from dlt.common.configuration.providers.toml import TomlProviderReadException
from dlt.common.configuration.specs.config_providers_context import ConfigProvidersContainer
from dlt.common.configuration.specs.pluggable_run_context import PluggableRunContext
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from urllib3.util import parse_url

from m3ter_sync.api import InsecureUrl, UnexpectedAnswer
from m3ter_sync.api.answers import describe_refusal, parse_json, parse_token
from m3ter_sync.api.connection import Answer, check_base_url
from m3ter_sync.api.pages import _parse_page
from m3ter_sync.api.retry import LONGEST_RETRY_AFTER, Transient, parse_retry_after
from m3ter_sync.cli.options import Duration, Instant
from m3ter_sync.settings import Settings, SettingsError, load_settings
from m3ter_sync.source.parsing import UnreadableValue, parse_datetime
from m3ter_sync.warehouse.manifest import MANIFEST_NAME, read_manifest

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
# What is nearly right finds more than what is wrong altogether.
ALMOST_JSON = st.builds(
    lambda value, cut, extra: json.dumps(value).encode()[: cut or None] + extra,
    JSON,
    st.integers(0, 40),
    st.sampled_from([b"", b"", b"}", b"\xff", b"\\ud800", b"1e999", b"\x00"]),
)
BODY = st.binary() | ALMOST_JSON | TEXT.map(str.encode)


def objects(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """JSON in which each field may be right, wrong or missing."""
    return st.fixed_dictionaries({}, optional={name: JSON | one for name, one in fields.items()})


@given(BODY)
@example(b"[" * 100_000)
@example(b"9" * 100_000)
@example(b'"\\ud800"')
def test_a_body_is_json_or_a_failure_that_may_pass(body: bytes) -> None:
    try:
        orjson.dumps(parse_json(Answer(200, {}, body)))
    except Transient as error:
        assert len(str(error)) < 200


@given(JSON | objects(data=st.lists(JSON), nextToken=TEXT))
def test_a_page_is_rows_and_a_token_or_is_named_as_none(content: Any) -> None:
    try:
        rows, token = _parse_page(content, "data", "bills")
    except UnexpectedAnswer as error:
        assert str(error).startswith("GET bills: ")
    else:
        assert isinstance(rows, list)
        assert isinstance(token, str)


@given(JSON | objects(access_token=st.from_regex(r"[!-~]+", fullmatch=True), expires_in=JSON))
@example({"access_token": "a\r\nX: y"})
@example({"access_token": "a", "expires_in": 10**400})
def test_a_token_is_one_word_that_lives_for_a_while_or_none(content: Any) -> None:
    try:
        token = parse_token(Answer(200, {}, json.dumps(content).encode()))
    except Transient:
        return  # NaN, which JSON does not have
    if token is not None:
        assert token.value.isascii()
        assert token.value.isprintable()
        assert " " not in token.value
        assert 0 < token.expires_in < float("inf")
        assert repr(token) == f"Token(expires_in={token.expires_in!r})"


DATES = st.datetimes().map(lambda moment: moment.strftime("%a, %d %b %Y %H:%M:%S GMT"))


@given(TEXT | DATES | st.from_regex(r"-?\d+(\.\d+)?"), TEXT | DATES)
@example("٣", "")
@example("Mon, 01 Jan 0001 00:00:00 +2359", "")
@example("1 Jan 99999999999 0:0", "0")
def test_a_retry_after_is_a_wait_within_bounds_or_none(value: str, date: str) -> None:
    seconds = parse_retry_after({"Retry-After": value, "Date": date}, now=1e9)
    assert seconds is None or 0 <= seconds <= LONGEST_RETRY_AFTER


@given(TEXT | st.datetimes().map(datetime.isoformat) | st.from_regex(r"\d{4}-?[\dW][\dT:Z+.-]*"))
@example("2025-11-03T24:00:00Z")
@example("0001-01-01T00:00:00+23:59")
@example("9999-12-31T23:59:59-23:59")
@example("2025-W60")
def test_a_date_is_read_in_utc_or_refused(text: str) -> None:
    try:
        moment = parse_datetime(text)
    except UnreadableValue as error:
        assert "\n" not in str(error)
    else:
        assert moment.utcoffset() == timedelta(0)


@given(TEXT | st.from_regex(r"\d{1,400}(\.\d+)? ?[mhdw]"))
def test_an_option_is_a_date_a_duration_or_wrong_usage(text: str) -> None:
    for kind, expected in ((Instant(), datetime), (Duration(), timedelta)):
        try:
            assert isinstance(kind.convert(text, None, None), expected)
        except click.BadParameter as error:
            assert "Give" in str(error) or "too long" in str(error)


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6, max_size=24)
ANYWHERE = [str, quote, quote_plus, lambda secret: quote(secret, safe=""), "Bearer {}".format]
IN_JSON = [
    lambda secret: json.dumps(secret)[1:-1],
    lambda secret: "".join(f"\\u{ord(char):04x}" for char in secret),
]
IN_HTML = [html.escape, lambda secret: "".join(f"&#{ord(char)};" for char in secret)]
# What stands around a secret, and how it may be spelled there.
FRAMES = st.sampled_from(
    [
        (" {}", ANYWHERE),
        ("  {}\n\n", ANYWHERE),
        ("\x1b[31m{}\x07", ANYWHERE),
        ('{{"message": "{}"}}', ANYWHERE + IN_JSON),
        ('{{"errors": [{{"detail": "{}"}}]}}', ANYWHERE + IN_JSON),
        ("<html><b>{}</b></html>", ANYWHERE + IN_HTML),
        ("<p title='no'>{}</p>", ANYWHERE + IN_HTML),
    ]
)


@given(st.lists(SECRETS, min_size=1, max_size=3), FRAMES, TEXT, TEXT, st.data())
def test_no_refusal_shows_a_secret_however_the_server_spells_it(
    secrets: list[str], framing: tuple[str, list[Any]], before: str, after: str, data: st.DataObject
) -> None:
    frame, spellings = framing
    if frame.startswith("{{"):
        before, after = (json.dumps(text)[1:-1] for text in (before, after))
    spelled = [data.draw(st.sampled_from(spellings))(secret) for secret in secrets]
    plain = describe_refusal(Answer(403, {}, frame.format(before + after).encode()), ())
    # Else it is there by chance, in what has nothing to do with it.
    assume(not any(one in plain + "[hidden]" + frame for one in secrets + spelled))
    body = frame.format(before + " ".join(spelled) + after).encode()
    told = describe_refusal(Answer(403, {}, body), secrets)
    assert not any(one in told for one in secrets + spelled)
    assert told.isprintable()
    assert len(told) <= 210


@given(st.integers(100, 599), BODY)
def test_any_refusal_is_told_in_one_short_line(status: int, body: bytes) -> None:
    told = describe_refusal(Answer(status, {}, body), ["hush-hush"])
    assert told.startswith(str(status))
    assert told.isprintable()
    assert len(told) <= 210


HOSTS = st.sampled_from(
    ["localhost", "127.0.0.1", "[::1]", "evil.com", "api.m3ter.com", "127.1", "[::ffff:127.0.0.1]"]
)
URLS = TEXT | st.builds(
    "{}{}{}{}{}{}".format,
    st.sampled_from(["http://", "https://", "HTTP://", "http:", "//", "ftp://", "http:\\\\"]),
    st.sampled_from(["", "", "", "a@", "localhost@", "127.0.0.1:80@", "\t", "."]),
    HOSTS,
    st.sampled_from(["", "", "", ":80", ":", ":x", ".", "@", "#", "\\", "%", ";"]) | TEXT,
    st.sampled_from(["", "", "evil.com", ".evil.com", "@evil.com", ":80", "/"]),
    st.sampled_from(["", "/", "/prefix", "/@evil.com", "?x", "#y"]),
)


@given(URLS)
def test_a_base_url_keeps_credentials_between_us_and_its_host_or_is_refused(url: str) -> None:
    try:
        accepted = check_base_url(url)
    except InsecureUrl as error:
        assert "base_url" in str(error)
        assert str(error).isprintable()
        return
    # As what sends the request reads it.
    seen = parse_url(accepted)
    assert seen.auth is None
    host = (seen.host or "").strip("[]")
    assert host
    if seen.scheme != "https":
        assert seen.scheme == "http"
        assert host == "localhost" or ipaddress.ip_address(host).is_loopback


@given(
    JSON
    | objects(
        published_at=st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        as_of=st.none() | st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
        warehouse=TEXT,
        sync_id=st.none() | TEXT,
        load_id=st.none() | TEXT,
        failed_checks=st.lists(TEXT),
        schema_version=TEXT,
        m3ter_sync_version=TEXT,
        duckdb_version=TEXT,
        storage_version=TEXT,
        rows=st.dictionaries(TEXT, st.integers()),
        files=st.dictionaries(TEXT, st.integers()),
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_manifest_is_one_of_this_program_or_none(tmp_path: Path, content: Any) -> None:
    (tmp_path / MANIFEST_NAME).write_text(json.dumps(content), encoding="utf-8")
    manifest = read_manifest(tmp_path)
    if manifest is not None:
        assert isinstance(manifest.published_at, datetime)
        assert isinstance(manifest.as_of, datetime | None)
        assert isinstance(manifest.warehouse, str)
        assert all(isinstance(name, str) for name in (*manifest.files, *manifest.rows))
        (tmp_path / MANIFEST_NAME).write_text(manifest.to_json(), encoding="utf-8")
        assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize("text", ["[" * 100_000, "\x00", "{}", '{"published_at": 5}', "\ud800"])
def test_a_file_that_is_no_manifest_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST_NAME).write_bytes(text.encode("utf-8", "surrogatepass"))
    assert read_manifest(tmp_path) is None


NAMES = [name for name in Settings().get_resolvable_fields() if not name.startswith("_")]
TOML = JSON | st.dates() | st.datetimes() | st.binary()


@pytest.fixture(scope="module")
def _nothing_set() -> Iterator[None]:
    held = {
        name: os.environ.pop(name)
        for name in list(os.environ)
        if name.startswith(("SOURCES__", "M3TER_"))
    }
    yield
    os.environ.update(held)


def check_settings(**given_values: Any) -> None:
    try:
        found = load_settings(**given_values)
    except SettingsError as error:
        text = str(error)
        assert text.isprintable() or "\n" not in text
        assert "s3cret-key" not in text
        assert "s3cret-value" not in text
    else:
        assert isinstance(found.threads, int)
        assert 1 <= found.page_size <= 200
        assert isinstance(found.base_url, str)
        assert "s3cret" not in repr(found)


@pytest.mark.usefixtures("_nothing_set")
@given(st.dictionaries(st.sampled_from(NAMES), TOML, max_size=4))
def test_settings_of_any_type_are_taken_or_refused_by_name(given_values: dict[str, Any]) -> None:
    account = {"org_id": "org", "access_key_id": "s3cret-key", "api_secret": "s3cret-value"}
    check_settings(**(account | given_values))


@pytest.mark.usefixtures("_nothing_set")
@given(
    st.dictionaries(
        st.sampled_from(NAMES),
        TEXT.filter(lambda text: "\0" not in text) | st.floats().map(str) | JSON.map(json.dumps),
        max_size=4,
    )
)
def test_any_environment_is_taken_or_refused_by_name(variables: dict[str, str]) -> None:
    account = {"org_id": "org", "access_key_id": "s3cret-key", "api_secret": "s3cret-value"}
    variables = {
        f"SOURCES__M3TER__{name.upper()}": value for name, value in (account | variables).items()
    }
    os.environ.update(variables)
    try:
        check_settings()
    finally:
        for name in variables:
            del os.environ[name]


WRITTEN = [
    *("5", "-1", "0", "1.5", "1e999", "nan", "-inf", "true", "2025-11-03", "07:30:00", "[]"),
    *(
        "{a = 1}",
        '""',
        '"many"',
        '"7"',
        '"\\u0000"',
        '"a\\nb"',
        '"s3cret-value"',
        "9" * 400,
        "oops",
    ),
]


@pytest.mark.usefixtures("_nothing_set")
@pytest.mark.parametrize("file", ["config.toml", "secrets.toml"])
@given(st.dictionaries(st.sampled_from(NAMES), st.sampled_from(WRITTEN), max_size=4))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_any_file_of_settings_is_taken_or_refused_by_name(
    tmp_path: Path, file: str, written: dict[str, str]
) -> None:
    (tmp_path / ".dlt").mkdir(exist_ok=True)
    lines = [f"{name} = {value}\n" for name, value in written.items()]
    (tmp_path / ".dlt" / file).write_text("[sources.m3ter]\n" + "".join(lines))
    context = Container()[PluggableRunContext]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        try:
            # What dlt does once in the life of a program.
            read = ConfigProvidersContainer(context.context.initial_providers())
        except TomlProviderReadException:
            return
        patch.setattr(context, "providers", read)
        check_settings()
