import java.io.PrintStream;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BiConsumer;
import java.util.function.LongUnaryOperator;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.errors.TimeoutException;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * Writes events to Kafka with Kafka's own client until its standard input ends.
 *
 * <pre>java -cp 'kafka/lib/*' Producer.java BROKERS TOPIC METRIC,METRIC,… SEED</pre>
 *
 * It prints what became of each record, one a line: "client sequence fate". The fates: acked,
 * committed, aborted, abandoned (the producer went away within its transaction), failed. Records
 * carry client and sequence as the headers from and seq, and what the time really was as the header
 * wall, epoch ms.
 */
public class Producer {
  static final String[] CODECS = {"none", "gzip", "snappy", "lz4", "zstd"};
  static final String[] CLOCKS = {"fast", "still", "jumping", "right", "slow"};
  static final long MINUTE = 60_000;
  static final long BEGUN = System.currentTimeMillis();
  static final PrintStream OUT = System.out;

  static String brokers, topic;
  static String[] metrics;
  static Random random;

  static LongUnaryOperator clock(String name) {
    return switch (name) {
      case "slow" -> now -> now - 60 * MINUTE;
      case "fast" -> now -> now + 59 * MINUTE; // Kafka takes no record that is an hour ahead.
      case "still" -> now -> BEGUN;
      case "jumping" -> now -> now + List.of(0L, 0L, -59 * MINUTE, 59 * MINUTE, -(long) random.nextInt(300_000)).get(random.nextInt(5));
      default -> now -> now;
    };
  }

  static void say(String client, long seq, String fate) {
    OUT.print(client + " " + seq + " " + fate + "\n");
  }

  /** One producer with a codec and a clock of its own. */
  static class Client {
    final String name;
    final LongUnaryOperator clock;
    final Properties options = new Properties();
    KafkaProducer<String, String> producer;
    long seq;

    Client(String name, String codec, String clock) {
      this.name = "java-" + name + codec + "-" + clock;
      this.clock = clock(clock);
      options.put("bootstrap.servers", brokers);
      options.put("compression.type", codec);
      options.put("linger.ms", "5");
      options.put("buffer.memory", "4194304");
      options.put("key.serializer", StringSerializer.class.getName());
      options.put("value.serializer", StringSerializer.class.getName());
    }

    KafkaProducer<String, String> make() {
      return new KafkaProducer<>(options);
    }

    /** Writes a record; then gets its sequence and error once it is decided. */
    void send(BiConsumer<Long, Exception> then) {
      long n = ++seq, now = System.currentTimeMillis();
      String metric = metrics[random.nextInt(metrics.length)];
      List<String> events = new ArrayList<>();
      for (int i = random.nextInt(2); i < 2; i++) {
        String time = random.nextInt(10) < 7 ? ",\"event_time\":" + (now - random.nextInt(100)) : "";
        events.add(String.format("{\"value\":%d,\"tags\":{\"host\":\"h%d\",\"region\":\"%s\"}%s}",
            random.nextInt(2001) - 1000, random.nextInt(6), random.nextBoolean() ? "eu" : "us", time));
      }
      var record = new ProducerRecord<>(topic, null, clock.applyAsLong(now), metric,
          "{\"metric_name\":\"" + metric + "\",\"events\":[" + String.join(",", events) + "]}");
      record.headers().add("from", name.getBytes()).add("seq", Long.toString(n).getBytes()).add("wall", Long.toString(now).getBytes());
      producer.send(record, (metadata, error) -> then.accept(n, error));
    }

    void step() {
      send((n, error) -> say(name, n, error == null ? "acked" : "failed"));
    }

    void stop() {
      producer.close();
    }
  }

  /** Transactions that are committed, aborted, left open for a while, and abandoned. */
  static class Transactional extends Client {
    List<Long> records; // Of the transaction that is open.
    long until;

    Transactional(String codec, String clock) {
      super("transactions-", codec, clock);
      options.put("transactional.id", name);
      options.put("transaction.timeout.ms", "60000");
    }

    @Override
    KafkaProducer<String, String> make() {
      var made = super.make();
      made.initTransactions();
      return made;
    }

    @Override
    void step() {
      long now = System.nanoTime() / 1_000_000;
      if (producer == null) {
        if (now > until) {
          producer = make(); // Which aborts what the one before left.
        }
      } else if (records == null) {
        if (random.nextInt(10) == 0) {
          producer.beginTransaction();
          records = new ArrayList<>();
          until = now + List.of(100, 300, 1000, 3000, 3000, 10_000 + random.nextInt(15_000)).get(random.nextInt(6));
        }
      } else if (now < until) {
        if (random.nextInt(4) == 0) {
          try {
            send((n, error) -> {}); // The commit tells.
            records.add(seq);
          } catch (KafkaException e) { // Of a record before: this transaction can only be aborted.
            end("aborted");
          }
        }
      } else {
        int n = random.nextInt(10);
        end(n < 6 ? "committed" : n < 9 ? "aborted" : "abandoned");
      }
    }

    void end(String fate) {
      switch (fate) {
        case "committed" -> {
          try {
            producer.commitTransaction();
          } catch (TimeoutException e) {
            throw e; // It may be committed, or not.
          } catch (KafkaException e) {
            producer.abortTransaction();
            fate = "aborted";
          }
        }
        case "aborted" -> producer.abortTransaction();
        default -> {
          producer.close(Duration.ZERO);
          producer = null;
          until = System.nanoTime() / 1_000_000 + 1000 + random.nextInt(7000);
        }
      }
      for (long n : records) {
        say(name, n, fate);
      }
      records = null;
    }

    @Override
    void stop() {
      if (producer == null) {
        producer = make();
      }
      if (records != null) {
        end("committed");
      }
      super.stop();
    }
  }

  public static void main(String[] args) throws Exception {
    System.setOut(System.err); // What is logged.
    brokers = args[0];
    topic = args[1];
    metrics = args[2].split(",");
    random = new Random(Long.parseLong(args[3]));
    var ended = new AtomicBoolean();
    var input = new Thread(() -> {
      try {
        while (System.in.read() >= 0) {}
      } catch (java.io.IOException e) {
        // It has ended.
      }
      ended.set(true);
    });
    input.setDaemon(true);
    input.start();

    List<Client> plain = new ArrayList<>(), all = new ArrayList<>();
    for (int i = 0; i < CODECS.length; i++) {
      plain.add(new Client("", CODECS[i], CLOCKS[i]));
    }
    all.addAll(plain);
    all.add(new Transactional("none", "right"));
    all.add(new Transactional("gzip", "fast"));
    all.add(new Transactional("lz4", "still"));
    for (Client c : all) {
      c.producer = c.make();
    }
    for (int n = 1; !ended.get(); n++) {
      Thread.sleep(40);
      plain.get(random.nextInt(plain.size())).step();
      for (Client c : all.subList(plain.size(), all.size())) {
        c.step();
      }
    }
    for (Client c : all) {
      c.stop();
    }
    OUT.flush();
  }
}
