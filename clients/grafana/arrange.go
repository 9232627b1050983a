package grafana

import (
	"maps"
	"slices"
)

// The grids: Grafana has 24 columns and rows of 38 pixels, we have 12 and 76.
const (
	columns   = 12
	maxHeight = 50 // Of a widget, so that 200 of them stay within the longest page.
	maxRow    = 1_000_000
)

// box is a place on our grid.
type box struct{ x, y, w, h int }

// boxOf halves both edges of a panel, so that neighbours stay neighbours.
func boxOf(panel object, below int) box {
	g := panel.object("gridPos")
	x, w := g.whole("x", 0, 23, 0), g.whole("w", 1, 24, 12)
	y, h := g.whole("y", 0, maxRow, 0)+below, g.whole("h", 1, 2*maxHeight, 8)
	left := min(half(x), columns-1)
	right := min(max(half(x+w), left+1), columns)
	top := half(y)
	return box{left, top, right - left, max(half(y+h)-top, 1)}
}

func half(n int) int { return (n + 1) / 2 }

// split parts a box among the widgets of one panel, side by side while each
// has three columns.
func (b box) split(n int) []box {
	if n <= 1 {
		return []box{b}
	}
	across := min(n, max(1, b.w/3))
	down := (n + across - 1) / across
	height := max(2, b.h/down)
	out := make([]box, 0, n)
	for i := range n {
		col, row := i%across, i/across
		left := b.x + col*b.w/across
		right := b.x + (col+1)*b.w/across
		out = append(out, box{left, b.y + row*height, right - left, height})
	}
	return out
}

// arrange moves boxes down until none covers another, then closes the rows
// that are empty, such as those of row titles.
func arrange(boxes []*box) {
	ordered := slices.Clone(boxes)
	slices.SortStableFunc(ordered, func(a, b *box) int {
		if a.y != b.y {
			return a.y - b.y
		}
		return a.x - b.x
	})
	taken := make(map[int]uint16)
	for _, b := range ordered {
		bits := uint16((1<<b.w - 1) << b.x)
		for !isFree(taken, *b, bits) {
			b.y++
		}
		for y := b.y; y < b.y+b.h; y++ {
			taken[y] |= bits
		}
	}
	row := make(map[int]int, len(taken))
	for i, y := range slices.Sorted(maps.Keys(taken)) {
		row[y] = i
	}
	for _, b := range boxes {
		b.y = row[b.y]
	}
}

func isFree(taken map[int]uint16, b box, bits uint16) bool {
	for y := b.y; y < b.y+b.h; y++ {
		if taken[y]&bits != 0 {
			return false
		}
	}
	return true
}
