// Package wire is everything that crosses the border of a process: the JSON of
// events, the records of Kafka, results and histories in Redis, the query set, and
// the messages of the stream. Encoding and decoding stand side by side; testdata
// holds an example of each, which Go and TypeScript read. The contract is
// docs/protocol.md, and the types of the page are generated from here.
//
//	event.go, quick.go      POST /ingest: events as JSON     → Decoder, Batch
//	record.go               Kafka: events of one metric      ⇄ AppendRecord, Decoder.Record
//	result.go               Redis: a window of one query     ⇄ Result
//	history.go              Redis: names and ids of histories
//	registry.go             Redis: query set, views, notices  ⇄ QueryEntry, View, Notice
//	stream.go, snapshot.go  WebSocket and SSE: server        → Append…
//	message.go, read.go     the same, read                   → the messages' types; Message, which skips values
//	hello.go                WebSocket: client                ⇄ Hello
//	scan.go                 what their readers share
package wire
