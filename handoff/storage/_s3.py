"""Objects on S3, through the client of s3fs: conditional requests, and large ones in parts."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

from handoff.spool import Source
from handoff.storage import Entry, Mark, _calls, _faults
from handoff.storage._objects import PART, AnyObjects, Standing, check_size, clock, seconds
from handoff.storage._spool import Spool

_ATTEMPT, _TOKEN = "handoff-attempt", "handoff-token"
_AT_ONCE = 3  # parts in memory
_CONNECTIONS = 32  # for many at once; the client's own default is 10
_MOST_PARTS = 10_000
_IN_ONE = 16 * 1024**2
_PIECE = 256 * 1024


class S3Objects(AnyObjects):
    """See `handoff.storage._objects.Objects`."""

    has_conditions = True

    @staticmethod
    def options(given: Mapping[str, Any], *, is_async: bool) -> dict[str, Any]:
        # The client tries once, since this library tries again by itself.
        config = {"max_pool_connections": _CONNECTIONS, "retries": {"total_max_attempts": 1}}
        config |= given.get("config_kwargs", {})
        return {**AnyObjects.options(given, is_async=is_async), "config_kwargs": config}

    def __init__(self, filesystem: Any, patience: Any) -> None:
        super().__init__(filesystem, patience)
        filesystem.retries = 1

    async def _ask(self, method: str, key: str, **kwargs: Any) -> Any:
        """Make a request, and again where it fails in passing."""
        return await self.patience.attempt(lambda: self._ask_once(method, key, **kwargs))

    async def _ask_once(self, method: str, key: str, **kwargs: Any) -> Any:
        bucket, _, name = key.partition("/")
        named = {"Bucket": bucket, "Key": name} if name else {"Bucket": bucket}
        call = self.filesystem._call_s3  # noqa: SLF001 - it adds what the user's options ask for in every request
        return await call(method, **named, **kwargs)

    async def put(self, key: str, body: Source, mark: Mark, onto: str | None) -> None:
        condition = {} if onto is None else {"IfMatch": onto} if onto else {"IfNoneMatch": "*"}
        marked = {"Metadata": {_ATTEMPT: str(mark.attempt), _TOKEN: mark.token}}
        if body.size <= _IN_ONE:
            await self._ask("put_object", key, Body=body.data(), **marked, **condition)
            return
        upload = (await self._ask("create_multipart_upload", key, **marked))["UploadId"]
        try:
            parts = await self._send(key, upload, body)
            whole = {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in parts]}
            await self._ask("complete_multipart_upload", key, UploadId=upload, MultipartUpload=whole, **condition)
        except BaseException:
            await _calls.to_its_end(self._abort(key, upload))
            raise

    async def _send(self, key: str, upload: str, body: Source) -> list[tuple[int, str]]:
        size = max(PART, -(-body.size // _MOST_PARTS))

        async def send(number: int) -> tuple[int, str]:
            part = body.at((number - 1) * size, size)
            sent = await self._ask("upload_part", key, UploadId=upload, PartNumber=number, Body=part)
            return number, sent["ETag"]

        numbers = range(1, -(-body.size // size) + 1)
        return await _calls.side_by_side([functools.partial(send, number) for number in numbers], _AT_ONCE)

    async def _abort(self, key: str, upload: str) -> None:
        with contextlib.suppress(Exception):  # the error that led here is the one to be told
            await self._ask("abort_multipart_upload", key, UploadId=upload)

    async def get(self, key: str, start: int, end: int) -> bytes:
        async def read() -> bytes:
            found = await self._ask_once("get_object", key, Range=f"bytes={start}-{end - 1}")
            async with found["Body"] as body:
                data: bytes = await body.read()
                return data

        return await self.patience.attempt(read)

    async def fetch(self, key: str, spool: Spool, most: int) -> None:
        place, tag = 0, ""
        waits = [*_calls.WAITS]
        while True:
            version = {"Range": f"bytes={place}-", "IfMatch": tag} if tag else {}
            found = await self._ask("get_object", key, **version)
            tag = found["ETag"]
            async with found["Body"] as body:
                check_size(place + found.get("ContentLength", 0), most)
                while True:
                    try:
                        piece = await self.patience.once(body.read(_PIECE))
                    except Exception as error:
                        if not waits or _faults.meaning(error) != "passing":
                            raise
                        if _faults.is_damage(error):  # which is told at the end: none of it is of use
                            place, tag = 0, ""
                            spool.restart()
                        break
                    if not piece:
                        return
                    place += spool.write(piece)
                    check_size(place, most)
            await _calls.pause(waits.pop(0))

    async def look(self, key: str) -> Standing | None:
        async def ask() -> Standing:
            found = await self._ask_once("head_object", key)
            if "ContentLength" not in found:
                raise _faults.Failure("", "an answer without a length")
            modified = seconds(found.get("LastModified"))
            return Standing(found["ETag"], found["ContentLength"], modified, _mark(found.get("Metadata", {})))

        return await self.patience.attempt(ask)

    async def delete(self, key: str, tag: str = "") -> None:
        await self._ask("delete_object", key, **({"IfMatch": tag} if tag else {}))

    async def delete_many(self, entries: Sequence[Entry]) -> dict[str, Exception]:
        bucket = entries[0].path.partition("/")[0]
        named = [({"Key": one.path.partition("/")[2]}, {"ETag": one.tag} if one.tag else {}) for one in entries]
        wanted = {"Objects": [key | tag for key, tag in named], "Quiet": True}
        found = await self._ask("delete_objects", f"{bucket}/", Delete=wanted)
        return {
            f"{bucket}/{failed['Key']}": _faults.Failure(failed.get("Code", ""), failed.get("Message", ""))
            for failed in found.get("Errors", ())
            if failed.get("Code") != "NoSuchKey"
        }

    async def has_bucket(self, bucket: str) -> bool:
        await self._ask("head_bucket", f"{bucket}/")
        return True

    async def page(self, prefix: str, token: Any) -> tuple[list[Entry], Any]:
        bucket, _, start = prefix.partition("/")
        more = {"ContinuationToken": token} if token else {}
        found = await self._ask("list_objects_v2", f"{bucket}/", Prefix=start, **more)
        listed = [
            Entry(f"{bucket}/{one['Key']}", seconds(one["LastModified"]), one["Size"], one["ETag"])
            for one in found.get("Contents", ())
        ]
        return listed, found.get("NextContinuationToken")

    async def uploads(self, prefix: str, token: Any) -> tuple[list[Entry], Any]:
        bucket, _, start = prefix.partition("/")
        found = await self._ask("list_multipart_uploads", f"{bucket}/", Prefix=start, **(token or {}))
        listed = [
            Entry(f"{bucket}/{one['Key']}", seconds(one["Initiated"]), tag=one["UploadId"])
            for one in found.get("Uploads", ())
        ]
        more = {"KeyMarker": found.get("NextKeyMarker", ""), "UploadIdMarker": found.get("NextUploadIdMarker", "")}
        return listed, more if found.get("IsTruncated") else None

    async def abort_many(self, entries: Sequence[Entry]) -> dict[str, Exception]:
        async def abort(one: Entry) -> None:
            try:
                await self._ask("abort_multipart_upload", one.path, UploadId=one.tag)
            except Exception as error:
                if _faults.meaning(error) != "conflict":  # it has ended meanwhile
                    raise

        return await self._each(entries, abort)

    async def now(self, bucket: str) -> float:
        found = await self._ask("head_bucket", f"{bucket}/")
        return clock(found["ResponseMetadata"]["HTTPHeaders"].get("date"))


def _mark(metadata: dict[str, str]) -> Mark | None:
    attempt = metadata.get(_ATTEMPT, "")
    return Mark(int(attempt), metadata.get(_TOKEN, "")) if attempt.isdecimal() else None
