package aggregate

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// historyVersion is the first byte of an encoded history; see tableVersion.
const historyVersion = 14

// IsHistory reports whether AppendHistory wrote b, and not AppendTable.
func IsHistory(b []byte) bool { return len(b) > 0 && b[0] == historyVersion }

// AppendHistory appends the slices above after and up to to of every series, and
// returns how many there are: a version, then per metric its name, what its observer keeps and how many
// series it has, then per series its tags, how many blocks, and these, each behind its
// length. A name stands once for all its slices, and what is packed in memory is packed alike here.
func (s *Store) AppendHistory(dst []byte, after, to int64) (b []byte, cells int) {
	dst = append(dst, historyVersion)
	var body []byte
	var c codec
	for _, m := range s.metrics {
		body = body[:0]
		count := 0
		for _, sr := range m.series {
			sr.each(&c.unpack, after, to, func(slice int64, a *Acc) { c.add(slice, a, mostCells) })
			blocks := c.blocks()
			if len(blocks) == 0 {
				continue
			}
			count++
			body = binary.AppendUvarint(appendText(body, sr.tags), uint64(len(blocks)))
			for _, b := range blocks {
				cells += b.cells()
				body = append(binary.AppendUvarint(body, uint64(len(b))), b...)
			}
		}
		if count > 0 {
			dst = binary.AppendUvarint(appendText(appendText(dst, m.name), string(m.observer.State())), uint64(count))
			dst = append(dst, body...)
		}
	}
	return append(dst, 0), cells // No metric has an empty name: that was the last one.
}

// each calls f with the slices of a series above after and up to to, rising. The
// accumulator is valid until f returns.
func (sr *series) each(u *unpack, after, to int64, f func(slice int64, a *Acc)) {
	from, _ := slices.BinarySearchFunc(sr.sealed, after+1, func(b block, slice int64) int { return int(b.last() - slice) })
	for _, b := range sr.sealed[from:] {
		if b.first() > to {
			return
		}
		for u.open(b); u.next(); {
			if u.cell.slice > after && u.cell.slice <= to {
				f(u.cell.slice, &u.cell.acc)
			}
		}
	}
	for i := range sr.open {
		if c := &sr.open[i]; c.slice > after && c.slice <= to {
			f(c.slice, &c.acc)
		}
	}
}

// RestoreHistory adds what AppendHistory wrote, in one go: series may take the
// whole budget for it. newest is the newest slice that the store had passed then.
// The slices of a series stay packed when they are newer than all that it has.
func (s *Store) RestoreHistory(b []byte, newest int64) error {
	if !IsHistory(b) {
		return fmt.Errorf("%w: unknown version of a history", ErrTable)
	}
	s.allowed, s.restored = s.options.Budget.whole(), true
	defer func() { s.allowed, s.restored = s.options.Budget.settle(s.account), false }()
	r := Reader{Rest: b[1:]}
	var u unpack
	for name := r.Text(); name != ""; name = r.Text() {
		m := s.metric(name)
		if state := r.bytes(); len(state) > 0 {
			s.observe(m, func() { m.observer.Restore(state) })
		}
		for n := r.Uvarint(); n > 0 && !r.Bad; n-- {
			tags := r.Text()
			for blocks := r.Uvarint(); blocks > 0 && !r.Bad; blocks-- {
				s.restore(m, tags, r.bytes(), &r, &u)
			}
		}
	}
	if r.Bad || len(r.Rest) > 0 {
		return fmt.Errorf("%w: wrong length", ErrTable)
	}
	s.newest, s.begun = max(s.newest, newest), true
	s.refresh()
	s.sweep()
	return nil
}

// restore adds a block of a series, which r has read.
func (s *Store) restore(m *metricSeries, tags string, b block, r *Reader, u *unpack) {
	sr := m.series[tags]
	u.open(b)
	if u.Bad {
		r.Bad = true
		return
	}
	packed := sr == nil || len(sr.open) == 0 && sr.last < b.first()
	var observed chain
	histograms := false
	for u.next() {
		slice, a := u.cell.slice, &u.cell.acc
		if !s.begun {
			s.first, s.newest, s.begun = slice, slice, true
		}
		s.first, s.newest = min(s.first, slice), max(s.newest, slice)
		if !packed {
			s.mergeRow(slice, &Row{names: []*Name{NewName(m.name, tags)}, accs: []Acc{*a}})
		} else {
			histograms = histograms || a.More != nil && a.More.Marked.Samples.has(Flags.grows)
			m.observer.Add(slice, a.kinds(), s.joiner.form.whole(a, s.joiner.joins, &observed))
		}
	}
	if u.Bad || len(u.Rest) > 0 {
		r.Bad = true
		return
	}
	if !packed {
		return
	}
	if sr == nil {
		sr = s.addSeries(m, tags)
	}
	before := sr.size()
	sr.append(&s.scratch, slices.Clone(b))
	grown := sr.size() - before
	sr.tip = nil
	if histograms {
		sr.histograms, m.histograms = true, true
	}
	if len(sr.feeds) > 0 {
		c := s.joiner.chainBefore(sr, b.first())
		for u.open(b); u.next(); {
			whole := s.joiner.form.whole(&u.cell.acc, s.joiner.joins, &c)
			for _, f := range sr.feeds {
				grown += f.group.add(u.cell.slice, s.joiner.form.of(whole, f.selector.needs))
			}
		}
	}
	s.charge(grown)
}

// Losses are the newest slices of which a store has lost something: forgotten to
// save memory, and dropped since there was no room for another metric.
type Losses struct{ Forgotten, Dropped int64 }

// Losses returns what RestoreLosses needs, for windows that lack something to say so after a restore too.
func (s *Store) Losses() Losses { return Losses{s.lost, s.dropped} }

// RestoreLosses comes before what is restored: metrics know then that they may have begun before.
func (s *Store) RestoreLosses(l Losses) { s.lost, s.dropped = l.Forgotten, l.Dropped }
