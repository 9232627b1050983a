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
	be.PutUint32(dst[start:], uint32(len(dst)-start-4)) //nolint:gosec // At most maxBatchBytes and one record.
	h := dst[start+4:]
	be.PutUint32(h[8:], uint32(len(h)-12))                           //nolint:gosec // As above: bytes after this field.
	be.PutUint32(h[12:], 0xffffffff)                                 // The leader's epoch is its own to fill in.
	h[16] = 2                                                        // The format.
	be.PutUint32(h[23:], uint32(len(records)-1))                     //nolint:gosec // As above: offset of the last record.
	be.PutUint64(h[27:], uint64(first))                              //nolint:gosec // A time of this century.
	be.PutUint64(h[35:], uint64(newest))                             //nolint:gosec // The same.
	be.PutUint64(h[43:], 0xffffffffffffffff)                         // No producer id.
	be.PutUint16(h[51:], 0xffff)                                     // Nor its epoch.
	be.PutUint32(h[53:], 0xffffffff)                                 // Nor a sequence.
	be.PutUint32(h[57:], uint32(len(records)))                       //nolint:gosec // As above.
	sum := crc32.Checksum(h[21:], crc32.MakeTable(crc32.Castagnoli)) // Of everything after it.
	be.PutUint32(h[17:], sum)
	return dst
}

func appendRecord(dst []byte, r *record, time, offset int64) []byte {
	idLength := len(r.id) + 1 + digits(r.chunk)
	headers, bytes := int64(1), headerBytes(wire.IDHeader, idLength)
	if r.traceparent != "" {
		headers, bytes = 2, bytes+headerBytes(traceHeader, len(r.traceparent))
	}
	bytes += 1 + varintBytes(time) + varintBytes(offset) + textBytes(len(r.metric)) + textBytes(len(r.value)) + 1
	dst = binary.AppendVarint(dst, int64(bytes))
	dst = append(dst, 0) // Attributes, of which there are none.
	dst = binary.AppendVarint(dst, time)
	dst = binary.AppendVarint(dst, offset)
	dst = append(binary.AppendVarint(dst, int64(len(r.metric))), r.metric...)
	dst = append(binary.AppendVarint(dst, int64(len(r.value))), r.value...)
	dst = binary.AppendVarint(dst, headers)
	dst = append(binary.AppendVarint(dst, int64(len(wire.IDHeader))), wire.IDHeader...)
	dst = append(append(binary.AppendVarint(dst, int64(idLength)), r.id...), '-')
	dst = strconv.AppendInt(dst, int64(r.chunk), 10)
	if r.traceparent != "" {
		dst = append(binary.AppendVarint(dst, int64(len(traceHeader))), traceHeader...)
		dst = append(binary.AppendVarint(dst, int64(len(r.traceparent))), r.traceparent...)
	}
	return dst
}

func varintBytes(v int64) int {
	n := 1
	for u := uint64(v)<<1 ^ uint64(v>>63); u >= 0x80; u >>= 7 { //nolint:gosec // The zigzag form of varints.
		n++
	}
	return n
}

func textBytes(length int) int { return varintBytes(int64(length)) + length }

func headerBytes(name string, length int) int { return textBytes(len(name)) + textBytes(length) }

func digits(n int) int {
	d := 1
	for ; n >= 10; n /= 10 {
		d++
	}
	return d
}
