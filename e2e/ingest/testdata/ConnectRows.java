import java.math.BigDecimal;
import java.util.Date;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.connect.data.Decimal;
import org.apache.kafka.connect.data.Schema;
import org.apache.kafka.connect.data.SchemaBuilder;
import org.apache.kafka.connect.data.Struct;
import org.apache.kafka.connect.data.Timestamp;
import org.apache.kafka.connect.json.JsonConverter;

/** Writes rows of every type of Kafka Connect with its JsonConverter, as a source connector's task does: BROKER TOPIC SCHEMAS NUMBER. */
public final class ConnectRows {
    public static void main(String[] args) throws Exception {
        String topic = args[1];
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", args[2]), false);
        Schema inner = SchemaBuilder.struct().field("load", Schema.FLOAT32_SCHEMA).build();
        Schema row = SchemaBuilder.struct().name("row").version(1)
            .field("host", Schema.STRING_SCHEMA)
            .field("price", Decimal.schema(2))
            .field("n", Schema.INT64_SCHEMA)
            .field("small", Schema.INT8_SCHEMA)
            .field("ok", Schema.BOOLEAN_SCHEMA)
            .field("at", Timestamp.SCHEMA)
            .field("made", Timestamp.SCHEMA)
            .field("note", Schema.OPTIONAL_STRING_SCHEMA)
            .field("missing", Schema.OPTIONAL_FLOAT64_SCHEMA)
            .field("raw", Schema.BYTES_SCHEMA)
            .field("inner", inner)
            .field("attributes", SchemaBuilder.map(Schema.STRING_SCHEMA, Schema.INT32_SCHEMA).build())
            .field("list", SchemaBuilder.array(Schema.INT32_SCHEMA).build())
            .build();
        Map<String, Object> config = Map.of("bootstrap.servers", args[0], "acks", "all");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int i = 0; i < Integer.parseInt(args[3]); i++) {
                Date now = new Date();
                Struct value = new Struct(row)
                    .put("host", "h" + i % 2).put("price", BigDecimal.valueOf(i * 25L - 700, 2)).put("n", (long) i).put("small", (byte) -3)
                    .put("ok", i % 4 == 0).put("at", now).put("made", now).put("raw", new byte[] {1, 2})
                    .put("inner", new Struct(inner).put("load", 0.5f)).put("attributes", Map.of("x", i)).put("list", List.of(1, 2));
                producer.send(new ProducerRecord<>(topic, converter.fromConnectData(topic, row, value))).get();
                producer.send(new ProducerRecord<>(topic, converter.fromConnectData(topic, null, null))).get(); // A tombstone.
            }
        }
    }
}
