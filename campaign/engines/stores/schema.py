"""The columns of a trial record as an Arrow schema, and records as Arrow tables and back."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from itertools import pairwise
from operator import attrgetter

import pyarrow as pa

from campaign.errors import DriftError
from campaign.records import COLUMNS, SCHEMA_VERSION, TrialRecord, column_types

Row = tuple[object, ...]
"""The values of one record in the order of `COLUMNS`."""

_ARROW: dict[str, pa.DataType] = {"str": pa.string(), "int": pa.int64(), "float": pa.float64()}
_VERSION = b"campaign.schema_version"

row_of = attrgetter(*COLUMNS)
"""Record -> `Row`."""


@cache
def column_docs() -> dict[str, str]:
    """Column -> the text below it in `TrialRecord`; empty where the source is not at hand.

    Example:
        >>> column_docs()["ber"]
        'Bit error rate, a probability; 0 is the fault-free trial.'
    """
    try:
        (cls,) = ast.parse(inspect.getsource(TrialRecord)).body
    except OSError:
        return {}
    body = cls.body if isinstance(cls, ast.ClassDef) else []
    return {
        field.target.id: text.value.value
        for field, text in pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


@cache
def arrow_schema() -> pa.Schema:
    """One field for each column, with its text under the key ``doc``, and the schema version.

    Every field is nullable, because rows that are older than a column lack it.
    """
    docs = column_docs()
    columns = [
        pa.field(name, _ARROW[kind], metadata={"doc": docs.get(name, "")})
        for name, kind in column_types().items()
    ]
    return pa.schema(columns, metadata={_VERSION: str(SCHEMA_VERSION).encode()})


def schema_of(columns: Collection[str] | None) -> pa.Schema:
    """The fields of `arrow_schema` for some columns, in its order; None is all."""
    schema = arrow_schema()
    if columns is None:
        return schema
    chosen = pa.schema([field for field in schema if field.name in columns])
    return chosen.with_metadata(schema.metadata)


def to_table(rows: Sequence[Row]) -> pa.Table:
    """Rows as a table of `arrow_schema`, in the order given."""
    schema = arrow_schema()
    columns = zip(*rows, strict=True) if rows else [()] * len(COLUMNS)
    arrays = [pa.array(c, type=f.type) for c, f in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def to_rows(table: pa.Table) -> list[Row]:
    """The rows of a table of `arrow_schema`."""
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def to_records(table: pa.Table) -> list[TrialRecord]:
    """The records of a table that `read_results` or a store gave."""
    return [TrialRecord(**dict(zip(COLUMNS, row, strict=True))) for row in to_rows(table)]  # type: ignore[arg-type]


def is_ours(schema: pa.Schema) -> bool:
    """Whether a file with this schema holds trial records."""
    return _VERSION in (schema.metadata or {})


def check_version(version: int, where: object) -> None:
    """Refuse rows whose columns mean something else than in this version.

    Raises:
        DriftError: If `version` is not `SCHEMA_VERSION`.
    """
    if version != SCHEMA_VERSION:
        raise DriftError(
            f"{where}: rows of schema version {version}, this version of campaign reads "
            f"{SCHEMA_VERSION}; read them with the version that wrote them, "
            "or run into another folder"
        )


def conform(table: pa.Table, where: object, columns: Collection[str] | None = None) -> pa.Table:
    """A table of records of any age in the columns of today, or in some of them.

    A column that the table lacks is null, one that is unknown today is dropped.

    Raises:
        DriftError: If the columns have another meaning; see `check_version`.
        ArrowInvalid: If the values of a column do not fit its type.
    """
    check_version(int((table.schema.metadata or {})[_VERSION]), where)
    schema, names = schema_of(columns), set(table.column_names)
    arrays = [
        table[f.name].cast(f.type) if f.name in names else pa.nulls(len(table), f.type)
        for f in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def concat(tables: Iterable[pa.Table], columns: Collection[str] | None = None) -> pa.Table:
    """Tables of `schema_of` below each other; none gives a table without rows."""
    return pa.concat_tables([*tables, schema_of(columns).empty_table()])
