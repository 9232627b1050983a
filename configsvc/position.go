package configsvc

// unplaced is the X of a position that is to be found by place.
const unplaced = -1

// place gives each widget without a place the first free one, row by row from
// the top, in the order of the widgets.
func place(widgets []Widget) {
	var g grid
	for i := range widgets {
		if p := widgets[i].Display.Position; p.X != unplaced {
			g.fill(p)
		}
	}
	for i := range widgets {
		if p := &widgets[i].Display.Position; p.X == unplaced {
			g.findRoom(p)
			g.fill(*p)
		}
	}
}

// grid has one bit per column in each row.
type grid struct{ rows []uint16 }

func columns(x, w int) uint16 { return uint16((1<<w - 1) << x) }

func (g *grid) fill(p Position) {
	for len(g.rows) < p.Y+p.H {
		g.rows = append(g.rows, 0)
	}
	for y := p.Y; y < p.Y+p.H; y++ {
		g.rows[y] |= columns(p.X, p.W)
	}
}

func (g *grid) free(x, y, w, h int) bool {
	for ; h > 0 && y < len(g.rows); h, y = h-1, y+1 {
		if g.rows[y]&columns(x, w) != 0 {
			return false
		}
	}
	return true
}

// findRoom sets X and Y. There is always room below the last row.
func (g *grid) findRoom(p *Position) {
	for y := 0; ; y++ {
		for x := 0; x+p.W <= gridColumns; x++ {
			if g.free(x, y, p.W, p.H) {
				p.X, p.Y = x, y
				return
			}
		}
	}
}
