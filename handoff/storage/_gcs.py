"""Objects on Google Cloud Storage by its JSON API, with the session and the credentials of gcsfs.

Requests are made here and not by gcsfs: it tries for half a minute by itself, knows one of the conditions, and marks
the end of a small body by text that the body may hold.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import secrets
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec

from handoff.spool import Source
from handoff.storage import Entry, Mark, _calls, _faults
from handoff.storage._faults import Failure
from handoff.storage._objects import PART, AnyObjects, Standing, check_size, clock, moment, seconds
from handoff.storage._spool import Spool

_ATTEMPT, _TOKEN = "handoff-attempt", "handoff-token"
_GENERATION: Final = "X-Goog-Generation"
_PIECE = 256 * 1024
_IN_ONE = 16 * 1024**2
_REFUSED, _MORE = 400, 308
_CONNECT, _SILENCE = 10, 30  # seconds


class GcsObjects(AnyObjects):
    """See `handoff.storage._objects.Objects`."""

    has_conditions = True

    @contextlib.asynccontextmanager
    async def _answer(self, method: str, url: str, params: Mapping[str, Any], **request: Any) -> AsyncGenerator[Any]:
        import aiohttp

        filesystem = self.filesystem
        session = await filesystem._set_session()  # noqa: SLF001 - the session, its credentials and who pays are its own
        request["headers"] = filesystem._get_headers(request.get("headers"))  # noqa: SLF001 - as above
        if "data" in request:
            request["data"] = io.BytesIO(request["data"])  # as bytes it would be sent in one go
        limits = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT, sock_read=_SILENCE)
        async with session.request(
            method,
            url,
            params=filesystem._get_params(dict(params)),  # noqa: SLF001 - as above
            timeout=limits,
            allow_redirects=False,
            **request,
        ) as answer:
            if answer.status >= _REFUSED:
                raise _failure(answer.status, await answer.read())
            yield answer

    async def _ask(self, method: str, url: str, params: Mapping[str, Any] | None = None, **request: Any) -> Any:
        """Make a request, again where it fails in passing, and give its headers and its body."""
        return await self.patience.attempt(lambda: self._ask_once(method, url, params, **request))

    async def _ask_once(self, method: str, url: str, params: Mapping[str, Any] | None = None, **request: Any) -> Any:
        async with self._answer(method, url, params or {}, **request) as answer:
            return answer.headers, await answer.read()

    async def _told(self, url: str, params: Mapping[str, Any] | None = None) -> Any:
        """Give what the store says of its objects; again where it does not say all of it."""

        async def ask() -> Any:
            _, found = await self._ask_once("GET", url, params)
            return msgspec.json.decode(found)

        return await self.patience.attempt(ask)

    async def put(self, key: str, body: Source, mark: Mark, onto: str | None) -> None:
        bucket, _, name = key.partition("/")
        url = f"{self.filesystem._location}/upload/storage/v1/b/{quote(bucket)}/o"  # noqa: SLF001 - as above
        params = {} if onto is None else {"ifGenerationMatch": onto or "0"}
        said = {"name": name, "metadata": {_ATTEMPT: str(mark.attempt), _TOKEN: mark.token}, "md5Hash": _md5(body)}
        if body.size > _IN_ONE:
            await self._check(key, said, await self._send(url, params, said, body))
            return
        boundary = secrets.token_hex(16)
        parts = [
            ("application/json; charset=UTF-8", msgspec.json.encode(said)),
            ("application/octet-stream", body.data()),
        ]
        lines = [
            b"--%b\r\nContent-Type: %b\r\n\r\n%b\r\n" % (boundary.encode(), kind.encode(), data) for kind, data in parts
        ]
        headers = {"Content-Type": f'multipart/related; boundary="{boundary}"'}
        data = b"".join((*lines, b"--%b--" % boundary.encode()))

        async def send() -> None:
            asked = {"uploadType": "multipart", **params}
            _, answer = await self._ask_once("POST", url, asked, headers=headers, data=data)
            await self._check(key, said, answer)

        await self.patience.attempt(send)

    async def _check(self, key: str, said: Mapping[str, Any], answer: bytes) -> None:
        """Take an object back that was damaged on its way: not every store refuses it."""
        made = msgspec.json.decode(answer)
        if made.get("md5Hash", said["md5Hash"]) != said["md5Hash"]:
            await self._ask("DELETE", self._url(key), {"ifGenerationMatch": made["generation"]})
            raise Failure("BadDigest", "what arrived at the store is not what was sent")

    async def _send(self, url: str, params: Mapping[str, str], said: Mapping[str, Any], body: Source) -> bytes:
        begun, _ = await self._ask("POST", url, {"uploadType": "resumable", **params}, json=said)
        session, place = begun["Location"], 0
        try:
            while True:
                part = body.at(place, PART)
                range_ = f"bytes {place}-{place + len(part) - 1}/{body.size}"
                headers, answer = await self._ask("PUT", session, headers={"Content-Range": range_}, data=part)
                # As far as the store has it, which may be less than was sent; of the last part, it need not say.
                place = int(headers.get("Range", f"-{place + len(part) - 1}").rpartition("-")[2]) + 1
                if place >= body.size:
                    return bytes(answer)
        except BaseException:
            await _calls.to_its_end(self._abort(session))
            raise

    async def _abort(self, session: str) -> None:
        with contextlib.suppress(Exception):  # the error that led here is the one to be told; the store answers by one
            await self._ask("DELETE", session)

    async def get(self, key: str, start: int, end: int) -> bytes:
        headers = {"Range": f"bytes={start}-{end - 1}"}
        _, found = await self._ask("GET", self._url(key), {"alt": "media"}, headers=headers)
        return bytes(found)

    async def fetch(self, key: str, spool: Spool, most: int) -> None:
        place, generation = 0, ""
        waits = [*_calls.WAITS]
        while True:
            params = {"alt": "media"} | ({"ifGenerationMatch": generation} if generation else {})
            headers = {"Range": f"bytes={place}-"} if place else {}
            try:
                async with self._answer("GET", self._url(key), params, headers=headers) as answer:
                    begun, generation = generation, answer.headers.get(_GENERATION, "")
                    _check_version(begun, generation)
                    check_size(place + (answer.content_length or 0), most)
                    async for piece in answer.content.iter_chunked(_PIECE):
                        place += spool.write(piece)
                        check_size(place, most)
                    return
            except Exception as error:
                if not waits or _faults.meaning(error) != "passing" or (place and not generation):
                    raise
            await _calls.pause(waits.pop(0))

    async def look(self, key: str) -> Standing | None:
        said = await self._told(self._url(key))
        return Standing(
            str(said["generation"]), int(said["size"]), seconds(moment(said)), _mark(said.get("metadata") or {})
        )

    async def delete(self, key: str, tag: str = "") -> None:
        await self._ask("DELETE", self._url(key), {"ifGenerationMatch": tag} if tag else {})

    async def has_bucket(self, bucket: str) -> bool:
        return bool(await self.now(bucket))

    async def now(self, bucket: str) -> float:
        headers, _ = await self._ask("GET", f"{self.filesystem.base}b/{quote(bucket)}/o", {"maxResults": 1})
        return clock(headers.get("Date"))

    async def page(self, prefix: str, token: Any) -> tuple[list[Entry], Any]:
        bucket, _, start = prefix.partition("/")
        fields = "nextPageToken,items(name,updated,size,generation)"
        params = {"prefix": start, "pageToken": token, "fields": fields}
        said = await self._told(f"{self.filesystem.base}b/{quote(bucket)}/o", params)
        listed = [
            Entry(f"{bucket}/{one['name']}", seconds(moment(one)), int(one["size"]), str(one["generation"]))
            for one in said.get("items", ())
        ]
        return listed, said.get("nextPageToken") or None

    def _url(self, key: str) -> str:
        bucket, _, name = key.partition("/")
        return f"{self.filesystem.base}b/{quote(bucket)}/o/{quote(name, safe='')}"


def _check_version(begun: str, found: str) -> None:
    """Refuse the rest of another version: not every server looks at the condition."""
    if begun not in ("", found):
        raise Failure("ConditionNotMet", "another version stands there now")


def _md5(body: Source) -> str:
    """Give the checksum by which the store refuses what was damaged on its way."""
    found = hashlib.md5(usedforsecurity=False)
    for piece in body.pieces():
        found.update(piece)
    return base64.b64encode(found.digest()).decode()


def _mark(metadata: Mapping[str, str]) -> Mark | None:
    attempt = metadata.get(_ATTEMPT, "")
    return Mark(int(attempt), metadata.get(_TOKEN, "")) if attempt.isdecimal() else None


def _failure(status: int, body: bytes) -> Failure:
    try:
        text = str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        text = body[:300].decode(errors="replace")
    return Failure("", f"{status} {text}", status)
