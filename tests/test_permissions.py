"""Permissions: the policy of docs/stores/s3.md is what the library's requests need, and no more."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from handoff import Address, File, MissingError, Store

PAGE = Path(__file__).parent.parent / "docs" / "stores" / "s3.md"
AT = Address("dag", "run", "task")
# What AWS asks for, by the operation of its API.
ACTIONS = {
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "complete_multipart_upload": "s3:PutObject",
    "create_multipart_upload": "s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "delete_objects": "s3:DeleteObject",
    "get_object": "s3:GetObject",
    "head_bucket": "s3:ListBucket",
    "head_object": "s3:GetObject",
    "list_objects_v2": "s3:ListBucket",
    "put_object": "s3:PutObject",
    "upload_part": "s3:PutObject",
}


def test_the_policy_is_what_the_library_needs(
    s3: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every operation of a store asks for no other permission than the page names, and the page names none in vain."""
    import s3fs

    asked: set[str] = set()
    call = s3fs.S3FileSystem._call_s3

    async def noted(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        asked.add(ACTIONS[method])
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", noted)
    store = Store(f"s3://bucket/{tmp_path.name}", storage_options=s3)
    large = tmp_path / "large"
    large.write_bytes(os.urandom(20 * 2**20))
    for attempt in (1, 2):
        store.put((1,), AT, inline_limit=0, attempt=attempt)
        store.put_many([(2,), (3,)], Address("dag", "run", "many"), inline_limit=0, attempt=attempt)
        with store.get(store.put(File(large), Address("dag", "run", "large"), attempt=attempt)):
            pass
    assert (1,) == store.get(AT)
    assert [store.latest("dag", "task")] == list(store.list("dag", "run", "task"))
    assert store.exists(AT)
    assert store.delete(AT)
    with pytest.raises(MissingError):
        store.get(AT)
    policy = json.loads(PAGE.read_text().partition("```json\n")[2].partition("```")[0])
    named = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert named - {"s3:AbortMultipartUpload"} == asked - {"s3:AbortMultipartUpload"}  # that is for uploads that fail
