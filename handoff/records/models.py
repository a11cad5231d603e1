"""What pydantic's models call their fields, in data and out of them."""

from __future__ import annotations

import inspect
from typing import Any


def validate(model: Any, found: dict[str, Any]) -> Any:
    """Let a model check what is known by the names of its fields, whatever its aliases. It raises whatever it does."""
    if "by_name" in inspect.signature(model.model_validate).parameters:
        return model.model_validate(found, by_alias=False, by_name=True)
    names = {name: _choices(name, field)[0] for name, field in model.model_fields.items()}  # before pydantic 2.11
    odd = [name for name, alias in names.items() if name in found and not isinstance(alias, str)]
    if odd:
        raise ValueError(f"the alias of {odd[0]} is a path, by which this pydantic takes no plain value")
    return model.model_validate({names.get(name, name): node for name, node in found.items()})


def aliases(model: Any) -> dict[str, str | None]:
    """Give the field for each name that data may have; None for one below which a field is looked for."""
    config = model.model_config
    by_alias = config.get("validate_by_alias") is not False
    by_name = config.get("populate_by_name") or config.get("validate_by_name")
    found: dict[str, str | None] = {}
    paths: dict[str, None] = {}
    for name, field in model.model_fields.items():
        choices = _choices(name, field) if by_alias else []
        for choice in (*choices, *([name] if by_name else [])):
            if isinstance(choice, str):
                found[choice] = name
            else:
                paths[choice.path[0]] = None
    return paths | found


def has_default(attribute: Any) -> bool:
    """Whether a private attribute is there when a model is made."""
    return attribute.default_factory is not None or type(attribute.default).__name__ != "PydanticUndefinedType"


def _choices(name: str, field: Any) -> list[Any]:
    alias = field.validation_alias or name
    choices: list[Any] = getattr(alias, "choices", [alias])
    return choices
