"""The charts, as Vega-Lite says them. Colours are the page's own, so light, dark and print follow.

Each stands beside a table of the same numbers; its summary is what a screen reader says of it.
"""

import json
import os
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

Spec = dict[str, Any]

_ROW_HEIGHT = 30


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart, and how it is said without one."""

    id: str
    title: str
    summary: str
    table_id: str
    spec: Spec

    @property
    def json(self) -> str:
        """The chart for a script element: no text in it can end that element."""
        text = json.dumps(self.spec)
        return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def read_script(folder: Path | None = None) -> str:
    """The script that draws them: Vega, Vega-Lite and Vega-Embed, as vl-convert carries them.

    Args:
        folder: Where it is kept, once it was put together: that takes longer than all the rest of
            a report. Where nothing can be kept, it is put together each time.
    """
    kept = folder and folder / f"charts-{version('vl-convert-python')}.js"
    if kept and kept.exists():
        return kept.read_text(encoding="utf-8")
    script = _bundle_script()
    if folder and kept and os.access(folder, os.W_OK):
        for older in folder.glob("charts-*.js"):
            older.unlink()
        aside = kept.with_name(f".{kept.name}.{os.getpid()}")
        aside.write_text(script, encoding="utf-8")
        aside.replace(kept)
    return script


@cache
def _bundle_script() -> str:
    import vl_convert

    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return script


def draw_intervals(rows: list[dict[str, Any]]) -> Spec:
    """A line a lane: where its rate lies now, with its interval, and where it lay before."""
    names = [row["lane"] for row in rows]
    lane = {"field": "lane", "type": "nominal", "sort": names, "axis": _labels()}
    interval = {
        "mark": {"type": "rule", "color": "var(--accent)", "strokeWidth": 6, "opacity": 0.3},
        "encoding": {"x": _share("low"), "x2": {"field": "high"}},
    }
    before = {
        "mark": {"type": "tick", "color": "var(--muted)", "thickness": 2, "size": 16},
        "encoding": {"x": _share("before")},
    }
    now = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "encoding": {"x": _share("rate"), "color": _as_given("colour")},
    }
    # Vega complains of a field without a single value.
    has_before = any(row["before"] is not None for row in rows)
    return _chart(
        rows,
        height=_ROW_HEIGHT * len(rows),
        encoding={"y": lane, "tooltip": {"field": "tip"}},
        layer=[interval, *([before] if has_before else []), now],
    )


def draw_course(rows: list[dict[str, Any]], top: float) -> Spec:
    """A line over days, each with its interval behind it; hollow points are provisional."""
    days = {
        "field": "day",
        "type": "temporal",
        "timeUnit": "utcyearmonthdate",
        "title": None,
        "axis": {"format": "%-d %b", "tickCount": 4, "grid": False, "labelOverlap": True},
    }
    domain = {"domain": [0, top], "clamp": True}
    return _chart(
        rows,
        height=110,
        encoding={"x": days},
        layer=[
            {
                "mark": {
                    "type": "rule",
                    "color": "var(--accent)",
                    "opacity": 0.2,
                    "strokeWidth": 4,
                },
                "encoding": {"y": _share("low", vertical=True, **domain), "y2": {"field": "high"}},
            },
            {
                "mark": {"type": "line", "color": "var(--accent)", "strokeWidth": 1.5},
                "encoding": {"y": _share("rate", vertical=True, **domain)},
            },
            {
                "mark": {
                    "type": "point",
                    "filled": True,
                    "opacity": 1,
                    "stroke": "var(--accent)",
                    "strokeWidth": 1.2,
                    "clip": False,
                },
                "encoding": {
                    "y": _share("rate", vertical=True, **domain),
                    "fill": _as_given("fill"),
                    "shape": _as_given("shape"),
                    "size": {
                        "field": "size",
                        "type": "quantitative",
                        "scale": None,
                        "legend": None,
                    },
                    "tooltip": {"field": "tip"},
                },
            },
        ],
    )


def draw_counts(rows: list[dict[str, Any]]) -> Spec:
    """A column for each step of a scale, with its count above it."""
    steps = [row["step"] for row in rows]
    return _chart(
        rows,
        height=150,
        encoding={
            "x": {
                "field": "step",
                "type": "nominal",
                "sort": steps,
                "title": None,
                "axis": {"labelAngle": 0, "grid": False, "labelLimit": 90, "labelPadding": 6},
            },
            "y": {"field": "count", "type": "quantitative", "axis": None},
            "tooltip": {"field": "tip"},
        },
        layer=[
            {"mark": {"type": "bar", "color": "var(--accent)", "width": {"band": 0.7}}},
            {
                "mark": {"type": "text", "dy": -8, "color": "var(--ink)", "fontSize": 12},
                "encoding": {"text": {"field": "count", "format": ","}},
            },
        ],
    )


def draw_ladder(rows: list[dict[str, Any]]) -> Spec:
    """Bars for the steps of the ladder: how many event types stand on each."""
    steps = list(dict.fromkeys(row["step"] for row in rows))
    return _chart(
        rows,
        height=44 * len(steps),
        encoding={
            "y": {"field": "step", "type": "nominal", "sort": steps, "axis": _labels()},
            "yOffset": {"field": "scope", "sort": ["all", "critical"]},
            "x": _share("rate", domain=[0, 1]),
            "tooltip": {"field": "tip"},
        },
        layer=[
            {"mark": {"type": "bar", "height": 14}, "encoding": {"color": _as_given("colour")}},
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "color": "var(--ink)"},
                "encoding": {"text": {"field": "label"}},
            },
        ],
    )


def _chart(rows: list[dict[str, Any]], **rest: Any) -> Spec:
    return {"width": "container", "data": {"values": rows}, "config": _CONFIG, **rest}


def _share(field: str, *, vertical: bool = False, **scale: Any) -> Spec:
    axis: Spec = {"format": ".0%", "tickCount": 4 if vertical else 5}
    return {
        "field": field,
        "type": "quantitative",
        "title": None,
        "axis": axis,
        "scale": {"zero": True, "nice": not scale, **scale},
    }


def _labels() -> Spec:
    return {"title": None, "labelLimit": 190, "ticks": False, "domain": False, "labelPadding": 8}


def _as_given(field: str) -> Spec:
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


_CONFIG: Spec = {
    "background": "transparent",
    "font": "system-ui, sans-serif",
    "mark": {"aria": False},  # the page says what each chart shows, and has a table of it
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--muted)",
        "labelFontSize": 12,
        "aria": False,
        "gridColor": "var(--line)",
        "domainColor": "var(--line)",
        "tickColor": "var(--line)",
    },
    "text": {"fontSize": 12},
}
