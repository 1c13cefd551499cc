"""Reads a published copy with whatever DuckDB this Python has: alone, and through SQLAlchemy."""

import hashlib
import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import duckdb


def plain(value: Any) -> str:
    """The same text from every version of the driver."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def digest(rows: list[Any]) -> str:
    lines = sorted(json.dumps([*row], default=plain) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def read(path: str) -> dict[str, Any]:
    with duckdb.connect(path, read_only=True) as connection:
        tables = connection.execute("select table_name, comment from duckdb_tables()").fetchall()
        return {
            "duckdb": duckdb.__version__,
            "comments": sorted(tables),
            "tables": {
                name: digest(connection.execute(f"from {schema}{name}").fetchall())
                for schema in ("", "main.", "m3ter.")
                for name, _ in tables
            },
        }


def read_through_sqlalchemy(path: str) -> dict[str, str]:
    from sqlalchemy import create_engine, inspect, text
    from sqlalchemy.pool import NullPool

    engine = create_engine(
        f"duckdb:///{path}", connect_args={"read_only": True}, poolclass=NullPool
    )
    names = inspect(engine).get_table_names(schema="main")
    assert all(inspect(engine).get_columns(name, schema="main") for name in names)
    with engine.connect() as connection:
        return {
            name: digest(connection.execute(text(f"select * from main.{name}")).fetchall())
            for name in names
        }


if __name__ == "__main__":
    found = read(sys.argv[1])
    if "--sqlalchemy" in sys.argv:
        found["through_sqlalchemy"] = read_through_sqlalchemy(sys.argv[1])
    json.dump(found, sys.stdout)
