"""What a record holds, taken apart so that nothing is lost: one that keeps more than its fields is refused."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from handoff import records
from handoff.codecs._scalars import Unencodable
from handoff.records import models, name_of

_HEAP = 1 << 9  # of classes that were made by Python code: they keep nothing but attributes
_OWN_SLOTS = {"__dict__", "__weakref__", "_attrs_cached_hash", "__orig_class__"}
_ADVICE = "Declare it as a field, or remove it before the record is handed over"

#: Gives the fields of a record by their names, and the names of those that were set where not all were.
Take = Callable[[Any], tuple[dict[str, Any], list[str] | None]]


def taker(kind: type) -> Take | None:
    """Give what takes the records of a class apart; None for a class of no records. Raises: `Unencodable`."""
    mark = records.kind_of(kind)
    if mark in (None, "enum", "typeddict"):
        return None
    if mark == "pydantic":
        return _take_model
    names = tuple(field.name for field in records.fields_of(kind))
    return _take_tuple if mark == "namedtuple" else _take_attributes(kind, names, plain=mark != "struct")


def _take_attributes(kind: type, names: tuple[str, ...], *, plain: bool) -> Take:
    bases = [base for base in kind.__mro__ if not base.__flags__ & _HEAP and base is not object]
    if bases and plain:
        raise Unencodable(
            f"{name_of(kind)}, a record that is a {name_of(bases[0])} too", "Make that a field of the record"
        )
    all_names = set(names)
    hidden = {slot: inspect.getattr_static(kind, slot) for slot in slots_of(kind) if slot not in all_names}
    get: Any = attrgetter(*names) if names else lambda _: ()

    def take(value: Any) -> tuple[dict[str, Any], None]:
        state = getattr(value, "__dict__", None)
        if state and not all_names.issuperset(state):
            _refuse_more(kind, state.keys() - all_names - _OWN_SLOTS)
        if hidden:
            _refuse_more(kind, [slot for slot, own in hidden.items() if _is_set(own, value)])
        try:
            found = get(value)
        except AttributeError as error:
            raise Unencodable(f"{name_of(kind)}, a field of which has no value: {error}", "Set it") from None
        return dict(zip(names, found if len(names) != 1 else (found,), strict=True)), None

    return take


def _is_set(slot: Any, value: Any) -> bool:
    """Whether a slot holds anything; to ask for the attribute might compute it."""
    try:
        slot.__get__(value)
    except AttributeError:
        return False
    return True


def slots_of(kind: type) -> list[str]:
    """Name the slots of a class and of its bases, as attributes; of those that hold no state, none."""
    found: list[str] = []
    for base in kind.__mro__:
        slots = vars(base).get("__slots__", ())
        for slot in (slots,) if isinstance(slots, str) else slots:
            is_private = slot.startswith("__") and not slot.endswith("__")
            found.append(f"_{base.__name__.lstrip('_')}{slot}" if is_private else slot)
    return [slot for slot in found if slot not in _OWN_SLOTS]


def _take_tuple(value: Any) -> tuple[dict[str, Any], None]:
    kind = type(value)
    _refuse_more(kind, getattr(value, "__dict__", ()))
    if len(value) != len(kind._fields):
        raise Unencodable(f"{name_of(kind)} with {len(value)} elements for its {len(kind._fields)} fields", "Mend it")
    return dict(zip(kind._fields, tuple.__iter__(value), strict=True)), None


def _take_model(value: Any) -> tuple[dict[str, Any], list[str] | None]:
    kind = type(value)
    names = kind.model_fields
    state, extra, private = value.__dict__, value.__pydantic_extra__ or {}, value.__pydantic_private__ or {}
    _refuse_more(kind, state.keys() - names.keys())
    missing = [name for name in names if name not in state]
    hidden = kind.__private_attributes__
    missing += [name for name in hidden if name not in private and models.has_default(hidden[name])]
    if missing:
        raise Unencodable(f"{name_of(kind)}, whose field {missing[0]!r} has no value", "Set it")
    _refuse_more(kind, [name for name in extra if name in names or name in kind.__private_attributes__])
    public = {name: state[name] for name in names} | extra
    given = value.__pydantic_fields_set__
    _refuse_more(kind, given - public.keys())
    some = None if len(given) == len(public) else [name for name in public if name in given]
    return public | private, some


def _refuse_more(kind: type, names: Iterable[Any]) -> None:
    for name in sorted(map(str, names)):
        raise Unencodable(f"{name_of(kind)}, which also holds {name!r}, and that is no field of its own", _ADVICE)
