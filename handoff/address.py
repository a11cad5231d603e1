"""Where a value belongs, and the path that says so."""

from __future__ import annotations

import hashlib
import re

import msgspec

from handoff.errors import ConfigError, IdentityError

#: The key of what a task returns, as in XCom.
RETURN_VALUE = "return_value"

# A segment leaves room for three ids, an index, an item, a key and a root within the 1,024 bytes of an object's key.
_LONGEST_SEGMENT = 200
_LARGEST_INDEX = 2**31 - 1
_ESCAPED = re.compile(rb"[^A-Za-z0-9_+\-@.]|\A\.|\.\Z")
_UNESCAPED = re.compile(r"%([0-9A-F]{2})")
_PATH = re.compile(
    r"\Adag_id=([^/]+)/run_id=([^/]+)/task_id=([^/]+)/map_index=(-1|0|[1-9][0-9]*)/(?:item=(0|[1-9][0-9]*)/)?([^/=]+)\Z"
)


class Address(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one value belongs: one address, one artifact, whoever writes it and however often.

    Arguments: the ids as the orchestrator spells them, any non-empty text without NUL or lone surrogates;
    ``map_index`` -1 for a task that is not mapped; ``key`` as in XCom; ``item`` for one element of a result.

    Raises: `IdentityError` where a part is missing or cannot be written down.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    key: str = RETURN_VALUE
    item: int | None = None

    def __post_init__(self) -> None:
        for name in ("dag_id", "run_id", "task_id", "key"):
            _check_text(name, getattr(self, name))
        _check_index("map_index", self.map_index, -1)
        if self.item is not None:
            _check_index("item", self.item, 0)

    @property
    def path(self) -> str:
        """The path below the root: Hive-style, ASCII, and within 1,024 bytes whatever the ids hold."""
        item = "" if self.item is None else f"/item={self.item}"
        folder = folder_of(self.dag_id, self.run_id, self.task_id, self.map_index)
        return f"{folder}{item}/{_segment('', self.key)}"

    @classmethod
    def from_path(cls, path: str) -> Address:
        """Read an address back from its ``path``.

        Raises: `ConfigError` where the path is not exactly what some address gives, or where an id was too
        long to stand in it: then only the artifact's header knows the address.
        """
        match = _PATH.match(path)
        if match is not None and is_in_full(path):
            *ids, map_index, item, key = match.groups()
            try:
                dag_id, run_id, task_id = map(_decode, ids)
                found = cls(dag_id, run_id, task_id, int(map_index), _decode(key), None if item is None else int(item))
            except (UnicodeError, IdentityError):
                found = None
            if found is not None and found.path == path:
                return found
        raise ConfigError(f"{path!r} is not the path of an address", remedy="List the store to see its addresses")


def folder_of(dag_id: str, run_id: str | None = None, task_id: str | None = None, map_index: int | None = None) -> str:
    """Give the folder that holds all artifacts of a DAG, of one of its runs, of a task in that, or of its instance."""
    segments = [_segment("dag_id=", dag_id)]
    if run_id is not None:
        segments.append(_segment("run_id=", run_id))
        if task_id is not None:
            segments.append(_segment("task_id=", task_id))
            if map_index is not None:
                segments.append(f"map_index={map_index}")
    return "/".join(segments)


def may_be_path(path: str) -> bool:
    """Whether a path has the shape of an address's, one with shortened ids included."""
    return _PATH.match(path) is not None


def is_in_full(path: str) -> bool:
    """Whether a path of an address has all ids in it, none of them shortened."""
    return "~" not in path


def is_text(value: str) -> bool:
    """Whether every metadata database keeps a text: it holds no NUL and no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def _segment(name: str, value: str) -> str:
    segment = name + _ESCAPED.sub(lambda match: b"%%%02X" % match[0][0], value.encode()).decode("ascii")
    if len(segment) <= _LONGEST_SEGMENT:
        return segment
    # A tilde is otherwise always escaped: a shortened id can never be another id's full spelling.
    prefix = segment[: _LONGEST_SEGMENT - 65]
    prefix = prefix[: prefix.find("%", len(prefix) - 2)] if "%" in prefix[-2:] else prefix
    return f"{prefix}~{hashlib.sha256(value.encode()).hexdigest()}"


def _decode(text: str) -> str:
    # Latin-1 gives each byte its own character, so what was escaped becomes the UTF-8 bytes it was.
    return _UNESCAPED.sub(lambda match: chr(int(match[1], 16)), text).encode("latin-1").decode()


def _check_text(name: str, value: object) -> None:
    if type(value) is not str or not value:
        raise IdentityError(f"{name} must be non-empty text, not {value!r}", remedy="Say which task this value is of")
    if not is_text(value):
        raise IdentityError(
            f"{name} {value!r} holds a NUL or a lone surrogate, which no metadata database keeps",
            remedy="Give it another id",
        )


def _check_index(name: str, value: object, least: int) -> None:
    if type(value) is not int or not least <= value <= _LARGEST_INDEX:
        raise IdentityError(f"{name} must be an integer from {least} to {_LARGEST_INDEX}, not {value!r}")
