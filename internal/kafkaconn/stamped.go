package kafkaconn

// Stamped is set in the attributes of a batch of records whose greatest timestamp is
// when the broker took it, and counts for all of them: so the embedded Kafka does what
// LogAppendTime means (embedded, stamp.go). Kafka leaves the bit unused.
const Stamped = 1 << 14
