"""The report: one HTML file that says how the integrations do, for people.

    published/m3ter.duckdb ─► published (rows) ─► fire · rates · course · errors ·
    recovery · coverage · freshness (sections: words, tables, charts) ─► templates ─► report.html

It reads the published copy alone, so it can be written while a sync runs. The file needs no
network: style, script, charts and rows are in it.

    from m3ter_sync.report import write_report
    write_report(Path("published/m3ter.duckdb"), Path("published/report.html"))
"""

from m3ter_sync.report.page import ReportNotWritten, write_report
from m3ter_sync.report.published import NothingPublished

__all__ = ["NothingPublished", "ReportNotWritten", "write_report"]
