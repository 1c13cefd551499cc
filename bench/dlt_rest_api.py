"""A peer: dlt's declarative REST source, with an explicit paginator."""

import json
import os
import sys
from pathlib import Path


def main(database: str) -> None:
    folder = Path(database).parent
    os.environ["DLT_DATA_DIR"] = str(folder / "dlt")
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    import dlt
    import requests
    from dlt.sources.helpers.rest_client.paginators import JSONResponseCursorPaginator
    from dlt.sources.rest_api import rest_api_source

    base = os.environ["M3TER_BASE_URL"]
    # dlt's own OAuth helper has no Basic authentication, so the token is fetched here.
    answer = requests.post(
        f"{base}/oauth/token",
        auth=(os.environ["M3TER_API_KEY"], os.environ["M3TER_API_SECRET"]),
        data={"grant_type": "client_credentials"},
        timeout=60,
    )
    paginator = JSONResponseCursorPaginator(cursor_path="nextToken", cursor_param="nextToken")

    def parent(name: str, path: str) -> dict:
        endpoint = {"path": path, "params": {"pageSize": 100}, "data_selector": "data"}
        return {"name": name, "endpoint": endpoint}

    def runs(entity_type: str, parent_name: str) -> dict:
        return {
            "name": f"runs_of_{parent_name}",
            "table_name": "runs",
            "primary_key": "id",
            "write_disposition": "merge",
            "endpoint": {
                "path": f"integrationruns/{entity_type}/{{resources.{parent_name}.id}}",
                "params": {"pageSize": 200},
                "data_selector": "data",
            },
        }

    source = rest_api_source(
        {
            "client": {
                "base_url": f"{base}/organizations/{os.environ['M3TER_ORG_ID']}/",
                "auth": {"type": "bearer", "token": answer.json()["access_token"]},
                "paginator": paginator,
            },
            "resource_defaults": {"parallelized": True},
            "resources": [
                parent("bills", "bills"),
                parent("notifications", "notifications/configurations"),
                runs("Bill", "bills"),
                runs("Notification", "notifications"),
            ],
        }
    )
    pipeline = dlt.pipeline(
        "peer",
        destination=dlt.destinations.duckdb(database),
        dataset_name="raw",
        pipelines_dir=str(folder / "dlt"),
    )
    pipeline.run(source)
    with pipeline.sql_client() as client, client.execute_query("select count(*) from runs") as one:
        print(json.dumps({"rows": one.fetchall()[0][0]}))


if __name__ == "__main__":
    main(sys.argv[1])
