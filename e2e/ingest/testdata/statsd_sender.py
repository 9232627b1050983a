"""Sends with a client of StatsD that others have written, and prints what it was asked to send.

Usage: statsd_sender.py statsd|datadog host port

Each line of the output is a call: its metric, kind (counter, gauge, timer or set), value, how often it counts, and tags.
A client leaves out what its sample rate says by chance; here chance always says to send, so that what arrives is known.
"""

import json
import random
import sys
import time

CLIENT, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.random = lambda: 0.0


def say(metric, kind, value, times=1, tags=None):
    print(json.dumps({"metric": metric, "kind": kind, "value": value, "times": times, "tags": tags or {}}))


def within_ten_seconds(seconds):
    """Waits until the ten seconds that sets count in last as long as that."""
    while time.time() % 10 > 10 - seconds:
        time.sleep(0.05)


def statsd():
    import statsd as library

    udp = library.StatsClient(HOST, PORT, prefix="py")
    tcp = library.TCPStatsClient(HOST, PORT, prefix="py")
    for i in range(200):
        for client in (udp, tcp):
            client.incr("views", 3)
            say("py.views", "counter", 3)
            client.decr("views")
            say("py.views", "counter", -1)
            client.incr("sampled", 2, rate=0.1)
            say("py.sampled", "counter", 2, 10)
            client.timing("latency", i + 0.5)
            say("py.latency", "timer", i + 0.5)
            client.timing("latency", 1000 - i, rate=0.5)
            say("py.latency", "timer", 1000 - i, 2)
    with udp.pipeline() as many:  # Many lines in a datagram.
        for i in range(100):
            many.incr("piped")
            say("py.piped", "counter", 1)
    tcp.gauge("queue", 10)
    tcp.gauge("queue", 7, delta=True)
    tcp.gauge("queue", -4, delta=True)
    say("py.queue", "gauge", 13)
    tcp.gauge("balance", -7)  # This client sets it to 0, then takes 7 away.
    say("py.balance", "gauge", -7)
    within_ten_seconds(5)
    for i in range(300):
        udp.set("users", "user-%d" % (i % 50))
        say("py.users", "set", "user-%d" % (i % 50))
    tcp.close()


def datadog():
    from datadog.dogstatsd import DogStatsd

    for buffered in (False, True):
        client = DogStatsd(host=HOST, port=PORT, namespace="dd", constant_tags=["env:prod", "canary"], disable_buffering=not buffered, max_buffer_len=1400)
        for i in range(200):
            host = "h%d" % (i % 3)
            tags = {"host": host, "env": "prod", "canary": "true"}
            client.increment("views", 2, tags=["host:" + host])
            say("dd.views", "counter", 2, tags=tags)
            client.increment("sampled", 3, tags=["host:" + host], sample_rate=0.25)
            say("dd.sampled", "counter", 3, 4, tags)
            client.histogram("size", i * 1.5, tags=["host:" + host])
            say("dd.size", "timer", i * 1.5, tags=tags)
            client.distribution("latency", i + 0.25, tags=["host:" + host], sample_rate=0.5)
            say("dd.latency", "timer", i + 0.25, 2, tags)
            client.timing("latency", i, tags=["host:" + host])
            say("dd.latency", "timer", i, tags=tags)
            client.gauge("temperature", -i, tags=["host:" + host])
            say("dd.temperature", "gauge", -i, tags=tags)
            if buffered or i % 3 == 2:
                time.sleep(0.002)  # Of gauges of one host the last one of a millisecond counts.
        client.count_with_timestamp("past", 5, int(time.time()) - 2)
        say("dd.past", "counter", 5, tags={"env": "prod", "canary": "true"})
        client.event("title", "text")
        client.service_check("check", client.OK)
        client.flush()
        within_ten_seconds(5)
        for i in range(60):
            value = "%s-%d" % (buffered, i % 20)
            client.set("users", value)
            say("dd.users", "set", value, tags={"env": "prod", "canary": "true"})
        client.flush()


{"statsd": statsd, "datadog": datadog}[CLIENT]()
