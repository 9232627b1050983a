package aggregate

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Table holds accumulators by slice and series: what a bundle of events, or a
// slice of pipeline time, amounts to. The keys of series begin as SeriesKey says.
type Table map[int64]map[string]*Acc

// Add counts one event of a series, given as bytes so that a known series costs no allocation.
func (t Table) Add(slice int64, series []byte, value float64, eventTime int64) {
	t.acc(slice, series).Add(value, eventTime)
}

// AddFor is Add for series of which more is needed.
func (t Table) AddFor(n Needs, slice int64, series []byte, value float64, eventTime int64) {
	t.acc(slice, series).AddFor(n, value, eventTime)
}

func (t Table) acc(slice int64, series []byte) *Acc {
	row := t[slice]
	if row == nil {
		row = make(map[string]*Acc)
		t[slice] = row
	}
	a := row[string(series)]
	if a == nil {
		a = new(Acc)
		row[string(series)] = a
	}
	return a
}

// Merge adds the events of o to t. It may keep parts of o, which must not be
// used any more, and never changes an accumulator that it has not taken over.
func (t Table) Merge(o Table) {
	for slice, from := range o {
		to := t[slice]
		if to == nil {
			t[slice] = from
			continue
		}
		for series, a := range from {
			if b := to[series]; b != nil {
				b.Merge(a)
			} else {
				to[series] = a
			}
		}
	}
}

// Bytes returns about how many bytes of memory t takes.
func (t Table) Bytes() (n int64) {
	for _, row := range t {
		for series, a := range row {
			n += int64(len(series)) + accSize + mapSlot + a.needed()
		}
	}
	return n
}

// SeriesKey returns the name of a series: the metric, and the tags in the form that
// keeps different tags apart.
func SeriesKey(dst []byte, metric string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(metric)))
	return append(dst, metric...)
}

// maxName is the longest name of a metric that CutSeriesKey reads, in bytes.
const maxName = 1<<14 - 1

// CutSeriesKey splits what SeriesKey began: the metric, and the tags that were appended.
func CutSeriesKey(series string) (metric, tags string, ok bool) {
	// Names have at most 200 characters: one or two bytes of length.
	var n, w int
	switch {
	case len(series) > 0 && series[0] < 0x80:
		n, w = int(series[0]), 1
	case len(series) > 1 && series[1] < 0x80:
		n, w = int(series[0]&0x7f)|int(series[1])<<7, 2
	default:
		return "", "", false
	}
	if len(series) < w+n {
		return "", "", false
	}
	return series[w : w+n], series[w+n:], true
}

// tableVersion is the first byte of an encoded table. Another form gets another number.
const tableVersion = 5

// EncodeTable returns the wire form: version, then per slice its index and its
// metrics, then per metric its name and its series, then per series its tags,
// count, newest event time, sum, min and max, packed as in a block, and sketch.
// Runners keep tables for as long as windows reach back: a name stands once.
func EncodeTable(t Table) []byte {
	b := []byte{tableVersion}
	b = binary.AppendUvarint(b, uint64(len(t)))
	byMetric := make(map[string][]string)
	for slice, row := range t {
		clear(byMetric)
		for key := range row {
			metric, _, ok := CutSeriesKey(key)
			if !ok {
				panic(fmt.Sprintf("%q is in a table, and no key of a series", key))
			}
			byMetric[metric] = append(byMetric[metric], key)
		}
		b = binary.AppendVarint(b, slice)
		b = binary.AppendUvarint(b, uint64(len(byMetric)))
		newest := int64(0)
		for metric, keys := range byMetric {
			b = appendText(b, metric)
			b = binary.AppendUvarint(b, uint64(len(keys)))
			for _, key := range keys {
				_, tags, _ := CutSeriesKey(key)
				b = appendText(b, tags)
				b = appendPackedAcc(b, row[key], &newest)
			}
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// ErrTable is the error of bytes that are no encoded table.
var ErrTable = errors.New("not an encoded slice table")

// DecodeTable reads what EncodeTable wrote.
func DecodeTable(b []byte) (Table, error) {
	if len(b) == 0 || b[0] != tableVersion {
		return nil, fmt.Errorf("%w: unknown version", ErrTable)
	}
	r := Reader{Rest: b[1:]}
	n := r.Uvarint()
	t := make(Table, min(n, 1<<12))
	for range n {
		slice := r.Varint()
		m := r.Uvarint()
		if r.Bad {
			break
		}
		t[slice] = r.row(m)
	}
	if r.Bad || len(r.Rest) > 0 {
		return nil, fmt.Errorf("%w: wrong length", ErrTable)
	}
	return t, nil
}

func (r *Reader) row(metrics uint64) map[string]*Acc {
	row := make(map[string]*Acc)
	var key []byte
	newest := int64(0)
	for range metrics {
		metric := r.Text()
		if len(metric) > maxName {
			r.Bad = true
			break
		}
		key = SeriesKey(key[:0], metric)
		name := len(key)
		n := r.Uvarint()
		if r.Bad {
			break
		}
		accs := make([]Acc, 0, min(n, 1<<16)) // One allocation for a metric.
		for range n {
			key = append(key[:name], r.Text()...)
			accs = append(accs, Acc{})
			r.packedAcc(&accs[len(accs)-1], &newest, nil)
			if r.Bad {
				return row
			}
			row[string(key)] = &accs[len(accs)-1]
		}
	}
	return row
}

// Reader reads the numbers of an encoded form one by one. Once one is missing Bad is set, and all that follow are 0.
type Reader struct {
	Rest []byte // What has not been read yet.
	Bad  bool
}

// Uvarint reads what binary.AppendUvarint wrote.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.Rest)
	return v * uint64(r.skip(n))
}

// Varint reads what binary.AppendVarint wrote.
func (r *Reader) Varint() int64 {
	v, n := binary.Varint(r.Rest)
	return v * int64(r.skip(n))
}

// skip moves on by n bytes and returns 1, or 0 when n says that there was nothing to read.
func (r *Reader) skip(n int) int {
	if n <= 0 || r.Bad {
		r.Bad = true
		return 0
	}
	r.Rest = r.Rest[n:]
	return 1
}

// Text reads a text behind its length.
func (r *Reader) Text() string { return string(r.bytes()) }

// bytes reads bytes behind their length. They are part of what is read.
func (r *Reader) bytes() []byte {
	n := r.Uvarint()
	if r.Bad || uint64(len(r.Rest)) < n {
		r.Bad = true
		return nil
	}
	b := r.Rest[:n]
	r.Rest = r.Rest[n:]
	return b
}
