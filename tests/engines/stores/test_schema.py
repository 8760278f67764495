"""The columns of records and their Arrow types are one thing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import pyarrow as pa

from campaign.engines.stores.schema import (
    arrow_schema,
    column_docs,
    row_of,
    to_records,
    to_table,
)
from campaign.records import COLUMNS, SCHEMA_VERSION, TrialRecord

Make = Callable[..., TrialRecord]


def test_every_column_has_a_type_and_a_text() -> None:
    schema = arrow_schema()
    assert tuple(schema.names) == COLUMNS
    assert schema.metadata == {b"campaign.schema_version": str(SCHEMA_VERSION).encode()}
    for name in COLUMNS:
        text = column_docs()[name]
        assert text.endswith("."), name
        assert schema.field(name).metadata == {b"doc": text.encode()}


def test_types_hold_the_annotations() -> None:
    arrow = {pa.string(): "str", pa.int64(): "int", pa.float64(): "float"}
    for field in fields(TrialRecord):
        assert str(field.type).split(" | ")[0] == arrow[arrow_schema().field(field.name).type]


def test_records_survive_a_table_and_back(make_record: Make) -> None:
    records = [make_record(n) for n in range(5)] + [
        make_record(5, status="error", n_correct=None, error="x: y\nz", error_type="ValueError")
    ]
    table = to_table([row_of(record) for record in records])
    assert to_records(table) == records
    assert to_records(table.slice(0, 0)) == []
