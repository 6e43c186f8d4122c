"""Who asks, as a header of `requests`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from requests import PreparedRequest


class Authorization:
    """Sets this header and no other: requests would look into ~/.netrc where it is given nothing."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Return the request as it is to be sent."""
        if self._header is not None:
            request.headers["Authorization"] = self._header
        return request
