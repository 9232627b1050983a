"""Records metrics with OpenTelemetry's SDK and sends them over OTLP/HTTP, and prints what it records.

Usage: otlp_sender.py cumulative|delta endpoint

Each line of the output is a call: its metric, kind, value and tags. Values are halves, whose sums are exact.
"""

import json
import random
import sys
import time

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk import metrics
from opentelemetry.sdk.metrics import export, view
from opentelemetry.sdk.resources import Resource

TEMPORALITY, ENDPOINT = sys.argv[1], sys.argv[2]
BOUNDS = [0, 5, 10, 25, 50, 75, 100]
PREFIX = "py." + TEMPORALITY

kinds = (metrics.Counter, metrics.UpDownCounter, metrics.Histogram)
wanted = {kind: getattr(export.AggregationTemporality, TEMPORALITY.upper()) for kind in kinds}


def provider(instance):
    exporter = OTLPMetricExporter(endpoint=ENDPOINT, compression=Compression.Gzip, preferred_temporality=wanted)
    reader = export.PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    return metrics.MeterProvider(
        metric_readers=[reader],
        resource=Resource.create({"service.name": "shop", "service.instance.id": instance}),
        views=[
            view.View(instrument_name=PREFIX + ".lag", aggregation=view.ExponentialBucketHistogramAggregation()),
            view.View(instrument_name=PREFIX + ".latency", aggregation=view.ExplicitBucketHistogramAggregation(BOUNDS)),
        ],
    )


def say(metric, kind, value, host):
    print(json.dumps({"metric": metric, "kind": kind, "value": value, "tags": {"host": host}}))


def run(instance):
    p = provider(instance)
    meter = p.get_meter("e2e")
    requests = meter.create_counter(PREFIX + ".requests")
    in_flight = meter.create_up_down_counter(PREFIX + ".in_flight." + instance)
    temperature = meter.create_gauge(PREFIX + ".temperature")
    latency = meter.create_histogram(PREFIX + ".latency")
    lag = meter.create_histogram(PREFIX + ".lag")
    for _ in range(10):
        for _ in range(20):
            host = random.choice("ab")
            tags = {"host": host}
            n = random.randrange(5)
            requests.add(n, tags)
            say(PREFIX + ".requests", "counter", n, host)
            n = random.randrange(-3, 4)
            in_flight.add(n, tags)
            say(PREFIX + ".in_flight." + instance, "changes" if TEMPORALITY == "cumulative" else "deltas", n, host)
            v = random.randrange(300) / 2
            temperature.set(v, tags)
            say(PREFIX + ".temperature", "gauge", v, host)
            v = random.randrange(300) / 2
            latency.record(v, tags)
            say(PREFIX + ".latency", "histogram", v, host)
            v = random.randrange(300) / 2
            lag.record(v, tags)
            say(PREFIX + ".lag", "exponential", v, host)
        p.force_flush()
        time.sleep(0.05)
    p.shutdown()


run("one")
run("two")
