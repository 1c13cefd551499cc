"""Which listings failed, and whether any other is to be hoped for.

Why so: docs/decisions/0030-one-listing-that-fails.md.
"""

import copy

from m3ter_sync.api import (
    AccessRefused,
    M3terError,
    RequestRefused,
    ServiceUnavailable,
    UnexpectedAnswer,
)

# What may be wrong with one entity's listing and with no other.
OF_ONE_LISTING = (AccessRefused, RequestRefused, ServiceUnavailable, UnexpectedAnswer)
# After so many in a row none is hoped for. One that was repeated to the end counts for ten.
_IN_A_ROW, _WEIGHT_OF_SILENCE = 100, 10
# So few that m3ter lists and answers with 404 are believed, however large their share.
_GONE_AT_MOST = 10


class EntitiesVanished(M3terError):
    """So many of those that m3ter lists answer 404 that it is rather wrong than right."""


class Failures:
    """Counts what became of each listing.

    Args:
        total: How many listings there are.
        listed_count: Of how many entities m3ter says elsewhere that they are there.
        gone_limit: The largest share of these that is believed to be gone; 1 believes all.
    """

    def __init__(self, total: int, listed_count: int, gone_limit: float) -> None:
        self._total = total
        self._most_gone = max(_GONE_AT_MOST, listed_count * gone_limit)
        self._doubts_gone = gone_limit < 1
        self._failed: list[BaseException] = []
        self._gone: list[str] = []
        self._in_a_row = 0

    def count_success(self) -> None:
        """A listing came to its end."""
        self._in_a_row = 0

    def count_failure(self, error: BaseException) -> None:
        """A listing failed for good."""
        self._failed.append(error)
        self._in_a_row += _WEIGHT_OF_SILENCE if isinstance(error, ServiceUnavailable) else 1

    def count_gone(self, entity: str) -> None:
        """An entity answered 404 though m3ter lists it."""
        self._gone.append(entity)
        self._in_a_row += self._doubts_gone

    @property
    def is_hopeless(self) -> bool:
        """Whether so many failed in a row that the others would, too."""
        return self._in_a_row >= _IN_A_ROW

    @property
    def vanished(self) -> EntitiesVanished | None:
        """What to tell where too many are said to be gone."""
        if not (self.is_hopeless and self._gone) and len(self._gone) <= self._most_gone:
            return None
        return EntitiesVanished(
            f"m3ter lists {self._gone[0]} and {len(self._gone) - 1:,} others, yet answers 404 "
            "when asked for their integration runs. That is not believed: nothing is marked as "
            "gone, and what the others brought is loaded. Check base_url and any proxy; if they "
            "were really deleted, sync with --accept-shrink (or set shrink_limit to 1)."
        )

    @property
    def error(self) -> BaseException | None:
        """The first failure, and of how many it was the first; None without any."""
        if not self._failed:
            return None
        told = copy.copy(self._failed[0])
        told.args = (
            f"{told} {len(self._failed):,} of {self._total:,} listings of integration runs failed"
            f"{', too many in a row to try more' if self.is_hopeless else ''}; what the others "
            "brought is loaded.",
        )
        return told
