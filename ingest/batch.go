package ingest

import (
	"encoding/binary"
	"hash/crc32"
	"strconv"

	"pulseboard/wire"
)

// traceHeader is the header of W3C Trace Context, as it came over HTTP.
const traceHeader = "traceparent"

const batchHead = 61 // Bytes of a record batch before its records.

// appendBatch appends the record batch (version 2 of Kafka's format) that holds
// records, after its length, as a produce request has it. Encoding it once
// makes a retry the same bytes.
func appendBatch(dst []byte, records []*record) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, 4+batchHead)...)
	first, newest := records[0].stamp, records[0].stamp
	for i, r := range records {
		dst = appendRecord(dst, r, r.stamp-first, int64(i))
		newest = max(newest, r.stamp)
	}
	be := binary.BigEndian
	be.PutUint32(dst[start:], uint32(len(dst)-start-4))
	h := dst[start+4:]
	be.PutUint32(h[8:], uint32(len(h)-12))
	be.PutUint32(h[12:], 0xffffffff) // The leader's epoch is its own to fill in.
	h[16] = 2                        // The format.
	be.PutUint32(h[23:], uint32(len(records)-1))
	be.PutUint64(h[27:], uint64(first))
	be.PutUint64(h[35:], uint64(newest))
	be.PutUint64(h[43:], 0xffffffffffffffff) // No producer id.
	be.PutUint16(h[51:], 0xffff)             // Nor its epoch.
	be.PutUint32(h[53:], 0xffffffff)         // Nor a sequence.
	be.PutUint32(h[57:], uint32(len(records)))
	sum := crc32.Checksum(h[21:], crc32.MakeTable(crc32.Castagnoli)) // Of everything after it.
	be.PutUint32(h[17:], sum)
	return dst
}

func appendRecord(dst []byte, r *record, time, offset int64) []byte {
	var space [64]byte
	id := strconv.AppendInt(append(append(space[:0], r.id...), '-'), int64(r.chunk), 10)
	headers, bytes := int64(1), textBytes(len(wire.IDHeader))+textBytes(len(id))
	if r.traceparent != "" {
		headers, bytes = 2, bytes+textBytes(len(traceHeader))+textBytes(len(r.traceparent))
	}
	bytes += 1 + varintBytes(time) + varintBytes(offset) + textBytes(len(r.metric)) + textBytes(len(r.value)) + 1
	dst = binary.AppendVarint(dst, int64(bytes))
	dst = append(dst, 0) // Attributes, of which there are none.
	dst = binary.AppendVarint(dst, time)
	dst = binary.AppendVarint(dst, offset)
	dst = appendText(dst, r.metric)
	dst = appendText(dst, r.value)
	dst = binary.AppendVarint(dst, headers)
	dst = appendText(dst, wire.IDHeader)
	dst = appendText(dst, id)
	if r.traceparent != "" {
		dst = appendText(dst, traceHeader)
		dst = appendText(dst, r.traceparent)
	}
	return dst
}

// appendText appends a text after its length.
func appendText[T string | []byte](dst []byte, text T) []byte {
	return append(binary.AppendVarint(dst, int64(len(text))), text...)
}

// textBytes is what appendText appends.
func textBytes(length int) int { return varintBytes(int64(length)) + length }

func varintBytes(v int64) int {
	var space [binary.MaxVarintLen64]byte
	return binary.PutVarint(space[:], v)
}
