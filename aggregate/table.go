package aggregate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Table holds accumulators by slice and series: what a bundle of events, or a slice of pipeline time, amounts to.
type Table map[int64]*Row

// Row is the accumulators of a slice, by series. A series may be in it several times, under several names of its: they add up.
type Row struct {
	names []*Name
	accs  []Acc
	index []*rowPage // By id: where the name is. A row that was merged has none.
}

// rowPage is where the names of some ids are in a row, plus one; 0 = nowhere.
type rowPage [rowPageSize]uint32

const rowPageSize = 64

// Add counts one event of a series.
func (t Table) Add(slice int64, n *Name, value float64, eventTime int64) {
	t.Row(slice).Acc(n).Add(value, eventTime)
}

// AddFor is Add for series of which more is needed.
func (t Table) AddFor(needs Needs, slice int64, n *Name, value float64, eventTime int64) {
	t.Row(slice).Acc(n).AddFor(needs, value, eventTime)
}

// Row returns that of a slice, new where there is none.
func (t Table) Row(slice int64) *Row {
	r := t[slice]
	if r == nil {
		r = new(Row)
		t[slice] = r
	}
	return r
}

// Acc returns the accumulator of a series, new where there is none. It is valid until the next call.
func (r *Row) Acc(n *Name) *Acc {
	// A slice has most of its events one after another, so the row is most likely that of last time.
	if i := int(n.at); i < len(r.names) && r.names[i] == n {
		return &r.accs[i]
	}
	p := r.page(n.id / rowPageSize)
	at := &p[n.id%rowPageSize]
	if i := *at; i > 0 && r.names[i-1] == n {
		n.at = i - 1
		return &r.accs[i-1]
	}
	n.at = uint32(len(r.names))
	r.names = append(r.names, n)
	r.accs = append(r.accs, Acc{})
	*at = uint32(len(r.accs))
	return &r.accs[len(r.accs)-1]
}

func (r *Row) page(i uint32) *rowPage {
	if int(i) >= len(r.index) {
		r.index = append(r.index, make([]*rowPage, int(i)+1-len(r.index))...)
	}
	p := r.index[i]
	if p == nil {
		p = new(rowPage)
		r.index[i] = p
	}
	return p
}

// Grow makes room for so many series.
func (r *Row) Grow(n int) {
	r.names, r.accs = slices.Grow(r.names, n), slices.Grow(r.accs, n)
}

// Widest is how many accumulators the row with the most has.
func (t Table) Widest() (n int) {
	for _, r := range t {
		n = max(n, r.Len())
	}
	return n
}

// Len is how many accumulators there are.
func (r *Row) Len() int { return len(r.accs) }

// All yields the accumulators by their names, in the order in which they came.
func (r *Row) All(yield func(*Name, *Acc) bool) {
	for i, n := range r.names {
		if !yield(n, &r.accs[i]) {
			return
		}
	}
}

// Merge adds the events of o to t. It may keep parts of o, which must not be used any more.
func (t Table) Merge(o Table) {
	for slice, from := range o {
		to := t[slice]
		if to == nil {
			t[slice] = from
			continue
		}
		// Who reads the row adds up what is there several times.
		to.names, to.accs = append(to.names, from.names...), append(to.accs, from.accs...)
		to.index = nil
	}
}

// Bytes returns about how many bytes of memory t takes, with the texts of its names, although tables share those.
func (t Table) Bytes() (n int64) {
	for _, r := range t {
		n += int64(cap(r.accs))*accSize + int64(cap(r.names)+cap(r.index))*8 + rowSize
		for _, p := range r.index {
			if p != nil {
				n += rowPageSize * 4
			}
		}
		for i := range r.accs {
			n += r.accs[i].needed() + int64(len(r.names[i].Tags))
		}
	}
	return n
}

const rowSize = 72 + mapSlot

// tableVersion is the first byte of an encoded table. Another form gets another number, which no history has had either.
const tableVersion = 13

// maxName is the longest name of a metric that is read, in bytes.
const maxName = 1<<14 - 1

// AppendTable appends the wire form: version, then per metric its name and its series by their tags, then per slice
// its index, how many accumulators it has, and these in parts of up to mostCells: a column of how far the series, in that
// list, is above the one before, and the columns of a block. A name stands once for all slices.
func AppendTable(b []byte, t Table) []byte {
	places, names := t.places()
	b = append(b, tableVersion)
	for i := 0; i < len(names); {
		n := i
		for n < len(names) && names[n].Metric == names[i].Metric {
			n++
		}
		b = binary.AppendUvarint(appendText(b, names[i].Metric), uint64(n-i))
		for ; i < n; i++ {
			b = appendText(b, names[i].Tags)
		}
	}
	b = append(b, 0) // No metric has an empty name: that was the last one.
	b = binary.AppendUvarint(b, uint64(len(t)))
	var order []placed
	var packed rowColumns
	for _, slice := range slices.Sorted(maps.Keys(t)) {
		r := t[slice]
		order = order[:0]
		for i, n := range r.names {
			order = append(order, placed{places[n], i})
		}
		slices.SortStableFunc(order, func(a, b placed) int { return a.place - b.place })
		b = binary.AppendUvarint(binary.AppendVarint(b, slice), uint64(len(order)))
		before := 0
		for part := range slices.Chunk(order, mostCells) {
			packed.reset()
			packed.steps = packed.steps[:0]
			for _, o := range part {
				packed.steps = append(packed.steps, int64(o.place-before))
				packed.add(&r.accs[o.at])
				before = o.place
			}
			b = packed.append(packed.appendInts(b, packed.steps))
		}
	}
	return b
}

// rowColumns are those of a part of a row.
type rowColumns struct {
	columns

	steps []int64 // From one series to the next.
}

// placed is where an accumulator is in a row, and its name in the list of names.
type placed struct{ place, at int }

// places returns the names of a table in the order of metrics and tags, and the place of each.
func (t Table) places() (places map[*Name]int, names []*Name) {
	places = make(map[*Name]int)
	for _, r := range t {
		for _, n := range r.names {
			if _, ok := places[n]; !ok {
				places[n] = 0
				names = append(names, n)
			}
		}
	}
	slices.SortFunc(names, (*Name).compare)
	for i, n := range names {
		places[n] = i
	}
	return places, names
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// ErrTable is the error of bytes that are no encoded table.
var ErrTable = errors.New("not an encoded slice table")

// DecodeTable reads what AppendTable wrote.
func DecodeTable(b []byte) (Table, error) {
	if len(b) == 0 || b[0] != tableVersion {
		return nil, fmt.Errorf("%w: unknown version", ErrTable)
	}
	r := Reader{Rest: b[1:]}
	var names []*Name
	for metric := r.Text(); metric != ""; metric = r.Text() {
		n := r.Uvarint()
		if len(metric) > maxName || n > uint64(len(r.Rest)) { // Each takes a byte at least.
			r.Bad = true
			break
		}
		block := make([]Name, n) // One allocation for a metric.
		for i := range block {
			block[i] = Name{Metric: metric, Tags: r.Text(), id: uint32(len(names))}
			names = append(names, &block[i])
		}
	}
	t := make(Table)
	var packed rowColumns
	for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
		slice := r.Varint()
		r.Bad = r.Bad || t[slice] != nil
		t[slice] = packed.row(&r, names)
	}
	if r.Bad || len(r.Rest) > 0 {
		return nil, fmt.Errorf("%w: wrong length", ErrTable)
	}
	return t, nil
}

// row reads a row. What is no row takes no more memory than some parts.
func (c *rowColumns) row(r *Reader, names []*Name) *Row {
	row := new(Row)
	place := int64(0)
	for left := r.Uvarint(); left > 0 && !r.Bad; {
		n := int(min(left, mostCells))
		left -= uint64(n)
		c.steps = resized(c.steps, n)
		r.ints(c.steps)
		if c.read(r, n); r.Bad {
			break
		}
		row.Grow(n)
		for _, step := range c.steps {
			if step < 0 || step >= int64(len(names))-place {
				r.Bad = true
				return row
			}
			place += step
			row.names = append(row.names, names[place])
			row.accs = append(row.accs, Acc{})
			c.next(r, &row.accs[len(row.accs)-1], nil)
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
