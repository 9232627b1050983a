"""Writes events to Kafka with librdkafka until its standard input ends.

    producer.py BROKERS TOPIC METRIC,METRIC,... SEED

It prints what became of each record, one a line: "client sequence fate". The
fates: acked, committed, aborted, abandoned (the producer went away within its
transaction), failed. Records carry client and sequence as the headers from and
seq, and what the time really was as the header wall, epoch ms.
"""

import json
import random
import sys
import threading
import time

from confluent_kafka import KafkaException, Producer

BROKERS, TOPIC, METRICS, SEED = sys.argv[1:5]
METRICS = METRICS.split(",")
CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
MINUTE = 60_000
rnd = random.Random(int(SEED))
begun = int(time.time() * 1000)


def jumping(now):
    return now + rnd.choice([0, 0, -59 * MINUTE, 59 * MINUTE, -rnd.randrange(5 * MINUTE)])


# Kafka takes no record that is an hour ahead (message.timestamp.after.max.ms).
CLOCKS = {
    "right": lambda now: now,
    "slow": lambda now: now - 60 * MINUTE,
    "fast": lambda now: now + 59 * MINUTE,
    "still": lambda now: begun,
    "jumping": jumping,
}


def say(client, seq, fate):
    sys.stdout.write(f"{client} {seq} {fate}\n")


class Client:
    """One producer with a codec and a clock of its own."""

    def __init__(self, name, codec, clock):
        self.name = f"librdkafka-{name}{codec}-{clock}"
        self.clock = CLOCKS[clock]
        self.options = {
            "bootstrap.servers": BROKERS, "compression.type": codec, "enable.idempotence": True,
            "linger.ms": 5,
        }
        self.seq = 0
        self.producer = self.new()

    def new(self):
        return Producer(self.options)

    def send(self, then):
        """Writes a record; then gets its sequence and error once it is decided."""
        self.seq += 1
        seq, now, metric = self.seq, int(time.time() * 1000), rnd.choice(METRICS)
        events = []
        for _ in range(rnd.randint(1, 2)):
            event = {"value": rnd.randint(-1000, 1000), "tags": {"host": f"h{rnd.randrange(6)}", "region": rnd.choice(["eu", "us"])}}
            if rnd.random() < 0.7:
                event["event_time"] = now - rnd.randrange(100)
            events.append(event)
        self.producer.produce(
            TOPIC, key=metric, value=json.dumps({"metric_name": metric, "events": events}), timestamp=self.clock(now),
            headers={"from": self.name, "seq": str(seq), "wall": str(now)}, on_delivery=lambda error, _: then(seq, error))
        self.producer.poll(0)


class Idempotent(Client):
    def step(self):
        self.send(lambda seq, error: say(self.name, seq, "failed" if error else "acked"))

    def stop(self):
        self.producer.flush()


class Transactional(Client):
    """Transactions that are committed, aborted, left open for a while, and abandoned."""

    records = None  # Of the transaction that is open.

    def new(self):
        producer = Producer({**self.options, "transactional.id": self.name, "transaction.timeout.ms": 60_000})
        producer.init_transactions(60)
        return producer

    def step(self):
        now = time.monotonic()
        if self.producer is None:
            if now > self.until:
                self.producer = self.new()  # Which aborts what the one before left.
        elif self.records is None:
            if rnd.random() < 0.1:
                self.producer.begin_transaction()
                self.records, self.until = [], now + rnd.choice([0.1, 0.3, 1, 3, 3, rnd.uniform(10, 25)])
        elif now < self.until:
            if rnd.random() < 0.25:
                try:
                    self.send(lambda seq, error: None)  # The commit tells.
                    self.records.append(self.seq)
                except KafkaException:  # Of a record before: this transaction can only be aborted.
                    self.end("aborted")
        else:
            self.end(rnd.choices(["committed", "aborted", "abandoned"], [6, 3, 1])[0])

    def end(self, fate):
        if fate == "committed":
            try:
                self.producer.commit_transaction(60)
            except KafkaException as error:
                if not error.args[0].txn_requires_abort():
                    raise
                fate = "aborted"
        if fate == "aborted":
            self.producer.abort_transaction(60)
        elif fate == "abandoned":
            self.producer, self.until = None, time.monotonic() + rnd.uniform(1, 8)
        for seq in self.records:
            say(self.name, seq, fate)
        self.records = None

    def stop(self):
        if self.producer is None:
            self.producer = self.new()
        if self.records is not None:
            self.end("committed")


def main():
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    plain = [Idempotent("", codec, clock) for codec, clock in zip(CODECS, CLOCKS)]
    others = [Transactional("transactions-", codec, clock) for codec, clock in zip(CODECS[2:], ["right", "slow", "jumping"])]
    while not ended.wait(0.04):
        rnd.choice(plain).step()
        for client in others:
            client.step()
    for client in plain + others:
        client.stop()
    sys.stdout.flush()


main()
