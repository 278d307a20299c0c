"""Reads lists page by page, and refuses a list that repeats a page or does not end."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from aks_entra.errors import Refused

if TYPE_CHECKING:
    from azure.core.async_paging import AsyncItemPaged

_T = TypeVar("_T")
MOST: Final = 2000
"""The most pages of one list. A page of ARM and Graph has about 100 items, and one of an API server 500."""


class PageTrail:
    """Counts the pages of one list. `doing` completes "could not …"."""

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self._seen: set[str] = set()

    def next(self, link: str) -> None:
        """Count a page before it is read. Refused (code EndlessList) if it was read already, or after `MOST` pages."""
        if link in self._seen or len(self._seen) >= MOST:
            why = "the same page comes again" if link in self._seen else f"it has more than {MOST} pages"
            raise Refused(
                f"could not {self._doing}: the list has no end ({why})",
                remedy="something answers instead of the service, or the service has a fault: try again later",
                code="EndlessList",
            )
        self._seen.add(link)


async def every(paged: AsyncIterable[_T], doing: str) -> AsyncIterator[_T]:
    """Return the items of a list of Azure's SDK, page by page. Refused (code EndlessList) if it does not end."""
    seen = PageTrail(doing)
    by_page: Any = cast("AsyncItemPaged[_T]", paged).by_page()
    async for page in by_page:
        async for item in page:
            yield item
        if by_page.continuation_token:
            seen.next(str(by_page.continuation_token))
