"""What can go wrong between us and m3ter.

Each message is one line: which endpoint, which entity, what happened, what to do. None ever holds
a secret or a token.
"""


class M3terError(Exception):
    """Anything that keeps m3ter from being read."""


class InsecureUrl(M3terError):
    """The base URL would send the credentials in the clear, or is no address at all."""


class CredentialsRefused(M3terError):
    """m3ter gives no token for this access key and secret."""


class AccessRefused(M3terError):
    """m3ter refuses a valid, new token: another organization, or a missing permission."""


class EntityNotFound(M3terError):
    """The bill or notification that was asked about is not there (404)."""


class RequestRefused(M3terError):
    """m3ter, or this package before it, finds the request wrong: repeating it cannot help.

    Attributes:
        status: The HTTP status; None when the request was never sent.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class TooLarge(RequestRefused):
    """The answer would be too large (413): ask for a smaller page."""


class ServiceUnavailable(M3terError):
    """m3ter could not be reached, or did not answer properly, however often it was asked."""


class UnexpectedAnswer(M3terError):
    """m3ter answered something that its reference does not describe."""


class Stopped(M3terError):
    """The client was told to stop while this request waited."""
