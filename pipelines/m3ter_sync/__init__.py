"""m3ter's integration runs and notification configurations in DuckDB, with the SQL to judge them.

    m3ter API ─► api: pages ─► source: dlt resources, Arrow ─► warehouse: dlt merge into m3ter_raw
                                                                  │
      report ◄─ published copy, Parquet ◄─ checks ◄─ sql: staging ─► marts

On the command line: `m3ter-sync demo` needs no account, `m3ter-sync sync` needs three settings.
In a pipeline of your own, to any dlt destination:

    import dlt
    from m3ter_sync import m3ter_source

    dlt.pipeline("m3ter", destination="duckdb", dataset_name="m3ter_raw").run(m3ter_source())
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from m3ter_sync.source import m3ter_source

__all__ = ["m3ter_source"]


def __getattr__(name: str) -> Any:
    # dlt and pyarrow take most of a second to import: only for whoever wants the source.
    if name == "m3ter_source":
        from m3ter_sync.source import m3ter_source

        return m3ter_source
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
