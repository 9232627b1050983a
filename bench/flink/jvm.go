package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// heap is what a JVM with the serial collector says of itself in its file of
// performance counters, the one that jstat reads: reading it costs nothing,
// while each start of jstat takes as much CPU time as Flink takes in seconds.
type heap struct {
	ok         bool
	used       int64 // What the newest collection left: the old generation and the survivors.
	afterFull  int64 // The old generation right after the newest full collection, 0 = there was none.
	young      int64 // Collections.
	full       int64
	gcSeconds  float64
	metaspace  int64
	baseFull   int64 // When measuring began.
	baseYoung  int64
	baseGCTime float64
}

func (h *heap) look(pid int) {
	files, _ := filepath.Glob("/tmp/hsperfdata_*/" + strconv.Itoa(pid)) // The JVM has no option for another folder.
	if len(files) == 0 {
		return
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		return
	}
	c := counters(b)
	frequency := c["sun.os.hrt.frequency"]
	if _, serial := c["sun.gc.collector.1.invocations"]; !serial || frequency == 0 {
		return
	}
	old, full := c["sun.gc.generation.1.space.0.used"], c["sun.gc.collector.1.invocations"]
	if h.ok && full != h.full {
		h.afterFull = old
	}
	h.ok, h.full, h.young = true, full, c["sun.gc.collector.0.invocations"]
	h.used = old + c["sun.gc.generation.0.space.1.used"] + c["sun.gc.generation.0.space.2.used"]
	h.metaspace = c["sun.gc.metaspace.used"]
	h.gcSeconds = float64(c["sun.gc.collector.0.time"]+c["sun.gc.collector.1.time"]) / float64(frequency)
}

func (h *heap) begin() { h.baseFull, h.baseYoung, h.baseGCTime = h.full, h.young, h.gcSeconds }

// live is what of a JVM's heap is in use.
type live struct{ bytes, tables int64 }

// lookLive has the JVM collect all of its heap, and counts what is left: bytes, and tables of state, each of
// which is a column family of RocksDB.
func lookLive(ctx context.Context, pid int) (l live, err error) {
	out, err := exec.CommandContext(ctx, "jcmd", strconv.Itoa(pid), "GC.class_histogram").Output()
	if err != nil {
		return l, fmt.Errorf("cannot count what lives in a JVM: %w", err)
	}
	for line := range strings.Lines(string(out)) { // "  12:  345  6789  class", and at the end "Total 123 4567".
		switch fields := strings.Fields(line); {
		case len(fields) == 3 && fields[0] == "Total":
			l.bytes, err = strconv.ParseInt(fields[2], 10, 64)
		case len(fields) >= 4 && fields[3] == "org.rocksdb.ColumnFamilyHandle":
			l.tables, err = strconv.ParseInt(fields[1], 10, 64)
		}
		if err != nil {
			return l, fmt.Errorf("cannot read %q: %w", line, err)
		}
	}
	return l, nil
}

// slope is by how much the values rise in an hour, by least squares.
func slope(at []time.Duration, values []float64) float64 {
	n, sumX, sumY, sumXX, sumXY := float64(len(at)), 0.0, 0.0, 0.0, 0.0
	for i, d := range at {
		x, y := d.Hours(), values[i]
		sumX, sumY, sumXX, sumXY = sumX+x, sumY+y, sumXX+x*x, sumXY+x*y
	}
	return (n*sumXY - sumX*sumY) / (n*sumXX - sumX*sumX)
}

// counters reads the numbers of a file of performance counters (HotSpot's
// perfMemory.hpp): a head, then entries of name and value.
func counters(b []byte) map[string]int64 {
	const head, entry = 32, 20
	out := map[string]int64{}
	if len(b) < head || binary.BigEndian.Uint32(b) != 0xcafec0c0 {
		return out
	}
	var order binary.ByteOrder = binary.BigEndian
	if b[4] == 1 {
		order = binary.LittleEndian
	}
	at, n := int(order.Uint32(b[24:])), int(order.Uint32(b[28:]))
	for ; n > 0 && at >= head && at+entry <= len(b); n-- {
		length := int(order.Uint32(b[at:]))
		name, value := at+int(order.Uint32(b[at+4:])), at+int(order.Uint32(b[at+16:]))
		if length < entry || at+length > len(b) || name > len(b) || value+8 > len(b) {
			break
		}
		if vector, kind := order.Uint32(b[at+8:]), b[at+12]; vector == 0 && kind == 'J' {
			text, _, _ := bytes.Cut(b[name:], []byte{0})
			out[string(text)] = int64(order.Uint64(b[value:]))
		}
		at += length
	}
	return out
}
