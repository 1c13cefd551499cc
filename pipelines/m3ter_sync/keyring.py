"""The API secret from the system's keyring, where the package keyring is installed.

It is put there with `keyring set m3ter-sync ACCESS_KEY_ID`.
"""

import queue
import threading
from importlib.util import find_spec

SERVICE = "m3ter-sync"
# Somebody who is asked to unlock it can do so; where nobody is, a sync must not wait for ever.
_PATIENCE_SECONDS = 60.0


def ask_keyring(access_key_id: str, *, patience: float = _PATIENCE_SECONDS) -> tuple[str, str]:
    """Return the secret of an access key; where there is none, an empty text and why.

    Both are empty where the package keyring is not installed.

    Args:
        access_key_id: Under which name the secret is kept.
        patience: Seconds to wait for a keyring that is locked.
    """
    if find_spec("keyring") is None:
        return "", ""
    answers: queue.Queue[str | BaseException | None] = queue.Queue()

    def ask() -> None:
        try:
            import keyring

            answers.put(keyring.get_password(SERVICE, access_key_id))
        except BaseException as error:  # noqa: BLE001 - of any backend there is; told below
            answers.put(error)

    # A backend may ask a person, or a service that does not answer: it cannot be called off.
    threading.Thread(target=ask, name="keyring", daemon=True).start()
    try:
        answer = answers.get(timeout=patience)
    except queue.Empty:
        return "", f" The keyring did not answer in {patience:g} s: unlock it first."
    if isinstance(answer, str) and answer:
        return answer, ""
    if not isinstance(answer, BaseException):
        hint = f"keyring set {SERVICE} {access_key_id}"
        return "", f" The keyring has none either; to put it there: {hint}"
    # Its words may hold anything; its name says enough.
    name = type(answer).__name__
    if name == "NoKeyringError":
        return "", " There is no keyring on this machine."
    return "", f" The keyring cannot be read ({name}): unlock it, or uninstall keyring."
