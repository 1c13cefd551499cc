"""A peer: what one writes in an hour. `requests`, one request after the other, `INSERT`s."""

import json
import os
import sys

import duckdb
import requests

COLUMNS = (
    "id", "entityType", "entityId", "status", "destination", "destinationId", "version",
    "dtCreated", "dtLastModified", "dtStarted", "dtCompleted", "error", "url", "externalId",
    "parentIntegrationRunId", "createdBy", "lastModifiedBy",
)  # fmt: skip


def main(database: str) -> None:
    base = os.environ["M3TER_BASE_URL"]
    session = requests.Session()
    answer = session.post(
        f"{base}/oauth/token",
        auth=(os.environ["M3TER_API_KEY"], os.environ["M3TER_API_SECRET"]),
        data={"grant_type": "client_credentials"},
        timeout=60,
    )
    session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
    organization = f"{base}/organizations/{os.environ['M3TER_ORG_ID']}"
    sent = 1

    def pages(path: str, **params):
        nonlocal sent
        while True:
            page = session.get(f"{organization}/{path}", params=params, timeout=60).json()
            sent += 1
            yield page["data"]
            if not page.get("nextToken"):
                return
            params["nextToken"] = page["nextToken"]

    connection = duckdb.connect(database)
    columns = ", ".join(f"{name} varchar" for name in COLUMNS[1:])
    connection.execute(f"create table runs (id varchar, {columns})")
    marks = ", ".join("?" * len(COLUMNS))
    entities = [("Bill", row["id"]) for page in pages("bills", pageSize=100) for row in page]
    entities += [
        ("Notification", row["id"])
        for page in pages("notifications/configurations", pageSize=100)
        for row in page
    ]
    rows = 0
    for entity_type, entity_id in entities:
        connection.begin()
        for page in pages(f"integrationruns/{entity_type}/{entity_id}", pageSize=200):
            for row in page:
                values = [row.get(name) for name in COLUMNS]
                connection.execute(f"insert into runs values ({marks})", values)
                rows += 1
        connection.commit()
    print(json.dumps({"requests": sent, "rows": rows}))


if __name__ == "__main__":
    main(sys.argv[1])
