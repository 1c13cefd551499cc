"""A secret that is nowhere else comes from the keyring, and no keyring keeps anybody waiting."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends.fail import Keyring as NoKeyring
from keyring.errors import KeyringLocked

from m3ter_sync.keyring import ask_keyring
from m3ter_sync.settings import SettingsError, load_settings


class Ring(KeyringBackend):
    """Holds one secret, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str]] = []

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append((service, username))
        return "from the keyring" if username == "key" else None

    def set_password(self, service: str, username: str, password: str) -> None: ...


class Locked(Ring):
    def get_password(self, service: str, username: str) -> str | None:
        raise KeyringLocked("s3cret: somebody dismissed the prompt")


class Silent(Ring):
    def get_password(self, service: str, username: str) -> str | None:
        threading.Event().wait()
        return None


@pytest.fixture(autouse=True)
def ring(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Ring]:
    for name in os.environ:
        if name.startswith(("SOURCES__M3TER", "M3TER_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def test_a_secret_that_is_nowhere_else_comes_from_the_keyring(ring: Ring) -> None:
    settings = load_settings(org_id="org", access_key_id="key")
    assert settings.api_secret == "from the keyring"
    assert ring.asked == [("m3ter-sync", "key")]
    assert "from the keyring" not in repr(settings)


def test_the_keyring_is_not_asked_where_the_secret_is_given(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("M3TER_API_SECRET", "from the environment")
    assert load_settings(org_id="org", access_key_id="key").api_secret == "from the environment"
    with pytest.raises(SettingsError, match="Missing: access_key_id"):
        load_settings(org_id="org")
    assert ring.asked == []


def test_a_keyring_without_it_says_how_to_put_it_there() -> None:
    with pytest.raises(SettingsError, match=r"Missing: api_secret.* keyring set m3ter-sync other$"):
        load_settings(org_id="org", access_key_id="other")


def test_a_machine_without_a_keyring_is_told_of() -> None:
    keyring.set_keyring(NoKeyring())
    with pytest.raises(SettingsError, match=r"There is no keyring on this machine\.$"):
        load_settings(org_id="org", access_key_id="key")


def test_a_locked_keyring_is_told_of_without_its_words() -> None:
    keyring.set_keyring(Locked())
    with pytest.raises(SettingsError, match=r"cannot be read \(KeyringLocked\)") as caught:
        load_settings(org_id="org", access_key_id="key")
    assert "s3cret" not in str(caught.value)


def test_a_keyring_that_does_not_answer_is_not_waited_for_without_end() -> None:
    keyring.set_keyring(Silent())
    secret, why = ask_keyring("key", patience=0.05)
    assert secret == ""
    assert "did not answer in 0.05 s: unlock it" in why


def test_without_the_package_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("m3ter_sync.keyring.find_spec", lambda name: None)
    assert ask_keyring("key") == ("", "")
