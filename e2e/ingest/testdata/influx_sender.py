"""Writes with a client of InfluxDB that others have written, and notes what it was asked to write before it does.

Usage: influx_sender.py v1|v2 url journal batches

It asks what such clients ask before they write. A journal that is there already is of a sender before this one: its last
points are written again, as nobody knows whether they arrived. Each batch has the points of the one before it too. What is
not answered well is written again. At the end it says done. v2 writes in the precision that it has by itself, nanoseconds,
and two points of each millisecond.
"""

import json
import os
import sys
import time

CLIENT, URL, JOURNAL, BATCHES = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
HOSTS = ("a", "b c")


def patient(write):
    """Repeats what fails, for as long as the test lets it."""
    while True:
        try:
            return write()
        except Exception as e:
            print("again:", type(e).__name__, str(e)[:200], flush=True)
            time.sleep(0.2)


def v1():
    from influxdb import InfluxDBClient

    host, port = URL.removeprefix("http://").split(":")
    client = InfluxDBClient(host, int(port), database="shop", retries=1)
    assert client.ping(), "ping"
    client.create_database("shop")
    names = [d["name"] for d in client.get_list_database()]
    assert "shop" in names, names
    client.create_retention_policy("short", "1d", 1, database="shop")
    assert client.get_list_retention_policies("shop")[0]["name"] == "autogen"

    def write(points):
        client.write_points(
            [{"measurement": "influx.v1", "tags": {"host": p["host"]}, "time": p["time"], "fields": fields(p)} for p in points], time_precision="ms"
        )

    return write


def v2():
    from influxdb_client import InfluxDBClient, Point
    from influxdb_client.client.write_api import SYNCHRONOUS

    client = InfluxDBClient(url=URL, token="none", org="o", enable_gzip=True)
    assert client.ping(), "ping"
    health = client.health()
    assert health.status == "pass", health
    assert client.ready().status == "ready"
    assert client.buckets_api().find_bucket_by_name("shop").name == "shop"
    assert client.organizations_api().find_organizations(org="o")[0].name == "o"
    api = client.write_api(write_options=SYNCHRONOUS)

    def write(points):
        record = []
        for p in points:
            point = Point("influx.v2").tag("host", p["host"]).time(p["time"])
            for key, value in fields(p).items():
                point = point.field(key, value)
            record.append(point)
        api.write(bucket="shop", record=record)

    return write


def fields(p):
    return {"load": p["load"], "n": p["n"], "up": True, "note": 'a "string", of which = nothing\nis shown'}


write = {"v1": v1, "v2": v2}[CLIENT]()
noted = []
if os.path.exists(JOURNAL):
    noted = [json.loads(line) for line in open(JOURNAL)]
    patient(lambda: write(noted[-20:]))
journal = open(JOURNAL, "a")
before = noted[-4:]
for i in range(BATCHES):
    now = time.time_ns() // 1_000_000
    times = [now] if CLIENT == "v1" else [now * 1_000_000 + 999_998, now * 1_000_000 + 999_999]
    batch = [{"host": h, "time": t, "load": (len(noted) + i) * 0.25 + j + 0.125, "n": i} for h in HOSTS for j, t in enumerate(reversed(times))]
    for p in batch:
        journal.write(json.dumps(p) + "\n")
    journal.flush()
    patient(lambda: write(before + batch))
    before = batch
    print("written", i, flush=True)
    time.sleep(0.02)
print("done", flush=True)
