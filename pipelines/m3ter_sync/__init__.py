"""m3ter's integration runs and notification configurations in DuckDB."""
