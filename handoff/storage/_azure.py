"""Objects on Azure Blob Storage, through the client of adlfs: conditional requests, and large ones in blocks."""

from __future__ import annotations

import base64
import functools
import io
from typing import Any

from handoff.spool import Source
from handoff.storage import Entry, Mark, _calls
from handoff.storage._objects import PART, AnyObjects, Standing, check_size, clock, seconds
from handoff.storage._spool import Spool

_ATTEMPT, _TOKEN = "handoff_attempt", "handoff_token"
_IN_ONE = 16 * 1024**2
_MOST_BLOCKS = 50_000
_AT_ONCE = 3  # blocks in memory
# The client does not try again: this library does.
_ONCE = {"retry_total": 0}


class AzureObjects(AnyObjects):
    """See `handoff.storage._objects.Objects`."""

    has_conditions = True

    def _container(self, bucket: str) -> Any:
        # As in container@account.dfs.core.windows.net.
        return self.filesystem.service_client.get_container_client(bucket.partition("@")[0])

    def _object(self, key: str) -> Any:
        bucket, _, name = key.partition("/")
        return self._container(bucket).get_blob_client(name)

    async def put(self, key: str, body: Source, mark: Mark, onto: str | None) -> None:
        from azure.core import MatchConditions

        condition: dict[str, Any] = {}
        if onto is not None:
            match = MatchConditions.IfNotModified if onto else MatchConditions.IfMissing
            condition = {"etag": onto, "match_condition": match} if onto else {"match_condition": match}
        noted = {"metadata": {_ATTEMPT: str(mark.attempt), _TOKEN: mark.token, "is_directory": "false"}}
        there = self._object(key)
        if body.size <= _IN_ONE:
            data = body.data()
            await self.patience.attempt(lambda: there.upload_blob(data, overwrite=True, **noted, **condition, **_ONCE))
            return
        blocks = await self._send(there, body, mark.token)
        await self.patience.attempt(lambda: there.commit_block_list(blocks, **noted, **condition, **_ONCE))

    async def _send(self, there: Any, body: Source, token: str) -> list[Any]:
        from azure.storage.blob import BlobBlock

        size = max(PART, -(-body.size // _MOST_BLOCKS))

        async def send(number: int) -> Any:
            # Two writers' blocks wait beside the same object: none may take the place of another's.
            name, part = base64.b64encode(f"{token}{number:08d}".encode()).decode(), body.at(number * size, size)
            # As bytes it would be sent in one go.
            await self.patience.attempt(lambda: there.stage_block(name, io.BytesIO(part), len(part), **_ONCE))
            return BlobBlock(block_id=name)

        numbers = range(-(-body.size // size))
        return await _calls.side_by_side([functools.partial(send, number) for number in numbers], _AT_ONCE)

    async def get(self, key: str, start: int, end: int) -> bytes:
        async def read() -> bytes:
            stream = await self._object(key).download_blob(start, end - start, max_concurrency=1, **_ONCE)
            data: bytes = await stream.readall()
            return data

        return await self.patience.attempt(read)

    async def fetch(self, key: str, spool: Spool, most: int) -> None:
        # What follows the first request is bound to the version of it by the client.
        stream = await self.patience.attempt(lambda: self._object(key).download_blob(max_concurrency=1, **_ONCE))
        check_size(stream.size, most)
        pieces = aiter(stream.chunks())
        while piece := await self.patience.once(anext(pieces, b"")):
            spool.write(piece)

    async def look(self, key: str) -> Standing | None:
        found = await self.patience.attempt(lambda: self._object(key).get_blob_properties(**_ONCE))
        metadata = found.metadata or {}
        attempt = metadata.get(_ATTEMPT, "")
        mark = Mark(int(attempt), metadata.get(_TOKEN, "")) if attempt.isdecimal() else None
        return Standing(found.etag, found.size, seconds(found.last_modified), mark)

    async def delete(self, key: str, tag: str = "") -> None:
        from azure.core import MatchConditions

        condition: dict[str, Any] = {"etag": tag, "match_condition": MatchConditions.IfNotModified} if tag else {}
        await self.patience.attempt(lambda: self._object(key).delete_blob(**condition, **_ONCE))

    async def has_bucket(self, bucket: str) -> bool:
        return bool(await self.now(bucket))

    async def now(self, bucket: str) -> float:
        said: list[str | None] = []

        async def read() -> None:
            listed = self._container(bucket).list_blobs(
                results_per_page=1,
                raw_response_hook=lambda answer: said.append(answer.http_response.headers.get("Date")),
                **_ONCE,
            )
            await anext(listed.by_page())

        await self.patience.attempt(read)
        return clock(said[-1])

    async def page(self, prefix: str, token: Any) -> tuple[list[Entry], Any]:
        bucket, _, start = prefix.partition("/")

        async def read() -> tuple[list[Entry], Any]:
            listed = self._container(bucket).list_blobs(name_starts_with=start, results_per_page=1_000, **_ONCE)
            pages = listed.by_page(continuation_token=token)
            found = [
                Entry(f"{bucket}/{one.name}", seconds(one.last_modified), one.size, one.etag)
                async for one in await anext(pages)
            ]
            return found, pages.continuation_token or None

        return await self.patience.attempt(read)
