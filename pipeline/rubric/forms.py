"""What may be written in a rubric, as typed models.

A rule is a pydantic model, and its fields are the keys of the file: their types, bounds, defaults
and what they mean. Reading a file (:func:`read`) and the JSON Schema for editors
(``json_schema.py``) are made from the same models. A value that is more than text, number or flag
names how it is read (:class:`Reads`); ``parsing.py`` holds the readers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal, NoReturn, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, core_schema

from pipeline.rubric.located import Located
from pipeline.text.phonetic.phrases import Phrase

Reader = Callable[[Located], Any]


class Reads(str):
    """How a value is read, by the name of its reader; pydantic takes what the reader gives."""

    def __get_pydantic_core_schema__(self, source: object, handler: object) -> Any:
        """Any value: the reader has checked it."""
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, schema: object, handler: object) -> dict[str, Any]:
        """A reference to what the reader takes."""
        return {"$reads": str(self)}


class _OneOrMore:
    """One value may stand for a list of one."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        """One item, or a list of them."""
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


Who = Literal["agent", "customer"]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Phrases = Annotated[tuple[Phrase, ...], Reads("phrases")]
Patterns = Annotated[tuple[re.Pattern[str], ...], Reads("patterns")]
ONE_OR_MORE = (BeforeValidator(lambda v: v if isinstance(v, (list, tuple)) else [v]), _OneOrMore())


def entry(default: Any, about: str, name: str | None = None, **bounds: Any) -> Any:
    """A key of the file: its default, what it means, its name there, and its bounds."""
    return Field(default, description=about, validation_alias=name, **bounds)


class Form(BaseModel):
    """A mapping of the file. ``unwritten`` are fields that do not come from it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True,
        validate_by_name=True, validate_by_alias=True,
    )  # fmt: skip
    unwritten: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def written(cls) -> dict[str, str]:
        """The keys of the file, each with the field that holds it."""
        fields = cls.model_fields.items()
        return {str(f.validation_alias or n): n for n, f in fields if n not in cls.unwritten}


F = TypeVar("F", bound=Form)


def read(form: type[F], at: Located, readers: Mapping[str, Reader], /, **usual: Any) -> F:
    """Read a mapping of the file; ``usual`` are values of fields that it may leave out.

    Raises
    ------
    RubricError
        With file, line, key and what is allowed.
    """
    names = form.written()
    body = at.mapping(names)
    values = dict(usual)
    for written, child in body.items():
        kinds = form.model_fields[names[written]].metadata
        how = next((m for m in kinds if isinstance(m, Reads)), None)
        values[names[written]] = readers[how](child) if how is not None else child.plain()
    try:
        return form.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = names.get(str(first["loc"][0]), first["loc"][0]) if first["loc"] else ""
        if first["type"] == "missing":
            about = form.model_fields[str(field)].description
            at.fail(f'the key "{first["loc"][0]}" is missing.', f"It says: {about}.")
        _refuse(first, at, next((c for k, c in body.items() if names[k] == field), None))


def _refuse(error: ErrorDetails, at: Located, child: Located | None) -> NoReturn:
    """Say what is wrong where it stands, in the words of the other errors of a rubric."""
    inside = error["loc"][1:2]
    at = child or at
    if inside and isinstance(at.value, list) and isinstance(inside[0], int):
        at = at.value[inside[0]]
    kind, said = error["type"], error["msg"].removeprefix("Input should be ")
    if kind == "literal_error":
        at.choice(re.findall(r"'([^']*)'", error["ctx"]["expected"]))
    if kind.startswith(("int", "float")):
        at.integer()
    if kind == "bool_type":
        at.flag()
    if kind == "value_error":
        at.fail(str(error["ctx"]["error"]))
    if kind.startswith(("greater", "less")):
        at.fail(f"{error['input']} is out of range; it must be {said}.")
    at.fail(f"{said[:1].lower()}{said[1:]} is needed here.")
