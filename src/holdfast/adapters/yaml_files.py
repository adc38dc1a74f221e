"""Reads a YAML file into a validated model, with errors that name the file, the key, the value and the remedy."""

from __future__ import annotations

import re
import types
from collections.abc import Hashable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError

from holdfast.errors import SettingsError
from holdfast.mapping import nearest

_SECRET_KEY = re.compile(r"(?i)(password|passwd|passphrase|api_?key|access_?key|private_?key|token)$")
# A password inside a URL, and the forms that widespread services give to their keys.
_SECRET_TEXT = re.compile(
    r"://[^/\s:@]+:[^/\s@]+@|-----BEGIN [A-Z ]*PRIVATE KEY|"
    r"\b(whsec_|sk_live_|xox[abp]-|gh[pousr]_|AKIA|hf_)[A-Za-z0-9+/=_-]{8,}"
)

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Safe YAML that refuses a key written twice, where the plain loader keeps the last one silently."""


def _unique_keys(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a word", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key {key!r} is written twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_keys)


def load(path: Path, model: type[Model]) -> Model:
    """The file's content as ``model``.

    Raises SettingsError naming the file, the key's path, the value and what to do, one line a fault.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506 - a SafeLoader
        literal = sorted(_literal_secrets(content))
    except FileNotFoundError as error:
        raise SettingsError(f"{path} does not exist. Create it, or point the settings at another file.") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}, byte {error.start}: not UTF-8. Save the file as UTF-8.") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path}: not valid YAML. {error}") from error
    except ValueError as error:  # a date or a number that there is not, such as 2017-02-30
        raise SettingsError(f"{path}: not valid YAML: {error}. Write the value in quotes if it is a text.") from error
    except RecursionError as error:
        raise SettingsError(f"{path}: nested too deeply. Write it flatter.") from error
    if literal:
        raise SettingsError(
            "\n".join(
                f"{path}: {key}: a secret is written literally. Change it, since others may have read it, and "
                "leave it out; secrets belong in the environment, in HOLDFAST_… variables"
                for key in literal
            )
        )
    try:
        return model.model_validate(content)
    except ValidationError as error:
        lines = [_explain(model, fault["loc"], fault) for fault in error.errors(include_url=False)]
        raise SettingsError("\n".join(f"{path}: {line}" for line in lines)) from error


def _literal_secrets(content: Any, place: str = "") -> Iterator[str]:
    """The places of what looks like a secret; never its text. The name of one (``secret: sms``) is none."""
    if isinstance(content, dict):
        for key, value in content.items():
            inner = f"{place}.{key}" if place else str(key)
            if isinstance(value, str) and _SECRET_KEY.search(str(key)):
                yield inner
            else:
                yield from _literal_secrets(value, inner)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _literal_secrets(value, f"{place}.{number}")
    elif isinstance(content, str) and _SECRET_TEXT.search(content):
        yield place


def _explain(model: type[BaseModel], place: tuple[int | str, ...], fault: Any) -> str:
    key = ".".join(str(part) for part in place) or "the whole file"
    if fault["type"] == "extra_forbidden":
        return f"{key}: unknown key; {nearest(str(place[-1]), _keys_at(model, place[:-1]))}"
    if fault["type"] == "missing":
        return f"{key}: missing. Add it."
    message = fault["msg"].removeprefix("Value error, ")
    value = fault["input"]
    return f"{key}: {message}" if isinstance(value, dict | list) else f"{key}: {value!r}: {message}"


def _keys_at(kind: Any, place: tuple[int | str, ...]) -> list[str]:
    """The keys known at ``place`` (pydantic's ``loc``) below a model or annotation."""
    kind = _bare(kind)
    origin = get_origin(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        fields = kind.model_fields
        return _keys_at(fields[str(place[0])].annotation, place[1:]) if place else list(fields)
    if origin in (Union, types.UnionType):
        if place and isinstance(place[0], int):
            return [key for member in get_args(kind) for key in _keys_at(member, place)]
        members = [_bare(member) for member in get_args(kind)]
        members = [member for member in members if isinstance(member, type) and issubclass(member, BaseModel)]
        # A tagged union puts the tag into the place; every member that knows the tag is meant.
        tagged = [member for member in members if place and _has_tag(member, place[0])]
        chosen = [(member, place[1:]) for member in tagged] or [(member, place) for member in members]
        return [key for member, rest in chosen for key in _keys_at(member, rest)]
    if origin in (dict, list) and place:
        return _keys_at(get_args(kind)[-1], place[1:])
    if origin is tuple and place:
        return _keys_at(get_args(kind)[0], place[1:])
    return []


def _bare(kind: Any) -> Any:
    """The type inside any annotations."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return kind


def _has_tag(member: type[BaseModel], tag: int | str) -> bool:
    return any(tag in get_args(field.annotation) for field in member.model_fields.values())
