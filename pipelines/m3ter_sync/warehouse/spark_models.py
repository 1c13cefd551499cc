"""Builds the models on Spark SQL."""

import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from m3ter_sync.warehouse.models import BuildResult, BuiltRelation, check_settings
from m3ter_sync.warehouse.rendering import (
    FIRST,
    comment_on,
    create_relation,
    create_schemas,
    render_model,
)
from m3ter_sync.warehouse.sql_files import ModelError, read_models

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def build_models_on_spark(
    session: "SparkSession",
    *,
    raw_columns: Mapping[str, Collection[str]],
    settings: Mapping[str, object] | None = None,
    folder: Path | None = None,
) -> BuildResult:
    """Builds every model anew in the session's catalog, one after the other.

    Spark has no transaction: whoever reads meanwhile may see new relations beside old ones.

    Args:
        session: Its catalog has the tables or views of `m3ter_raw` that `raw_columns` names.
        raw_columns: Columns by table of what was loaded. What is not there is NULL.
        settings: Values by name, as for `build_models`.
        folder: The SQL files, where they are not those of the package.

    Raises:
        ModelError: a model or a setting cannot be used; the relations before it are new already.
    """
    from pyspark.errors import AnalysisException

    models = read_models(folder)
    given = check_settings(models, settings or {})
    began = time.monotonic()
    for statement in (*FIRST["spark"], *create_schemas("spark")):
        session.sql(statement)
    built = []
    for model in models:
        started = time.monotonic()
        select = render_model(
            model, "spark", raw_columns=raw_columns, settings=given, folder=folder
        )
        try:
            for statement in (
                *create_relation(model, select, "spark"),
                *comment_on(model, "spark"),
            ):
                session.sql(statement)
        except AnalysisException as error:
            message = str(error).strip().splitlines()[0]
            raise ModelError(f"{model.full_name}: {message}") from error
        built.append(BuiltRelation(model.full_name, model.kind, time.monotonic() - started))
    return BuildResult(tuple(built), time.monotonic() - began)
