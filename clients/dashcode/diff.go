package dashcode

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"

	"pulseboard/configsvc"
)

// Change is one difference between two dashboards. Path is a JSON pointer in
// which widgets go by their title, or by their id where it is not theirs alone.
// Old is absent for what is new, New for what is gone.
type Change struct {
	Path string          `json:"path"`
	Old  json.RawMessage `json:"old,omitempty"`
	New  json.RawMessage `json:"new,omitempty"`
}

// Compare lists what differs between two dashboards with the same id. Both have
// all defaults filled in, so that only what was meant differently is a change.
func Compare(before, after configsvc.Dashboard) ([]Change, error) {
	old, err := toTree(before)
	if err != nil {
		return nil, err
	}
	now, err := toTree(after)
	if err != nil {
		return nil, err
	}
	c := comparison{names: widgetNames(before, after)}
	c.trees("", old.without("dashboard_id", "version", "widgets"), now.without("dashboard_id", "version", "widgets"))
	c.widgets(old, now, before, after)
	return c.changes, nil
}

type comparison struct {
	names   map[string]string // Of widgets, by id.
	changes []Change
}

func (c *comparison) add(path string, old, now any) {
	ch := Change{Path: path}
	if old != nil {
		ch.Old = json.RawMessage(encode(old))
	}
	if now != nil {
		ch.New = json.RawMessage(encode(now))
	}
	c.changes = append(c.changes, ch)
}

// trees compares member by member, in the order of the protocol.
func (c *comparison) trees(at string, old, now tree) {
	for _, m := range now {
		path := under(at, m.name)
		before := old.get(m.name)
		oldTree, isTree := before.(tree)
		newTree, stays := m.value.(tree)
		switch {
		case isTree && stays && !isCondition(oldTree) && !isCondition(newTree):
			c.trees(path, oldTree, newTree)
		case !reflect.DeepEqual(before, m.value):
			c.add(path, before, m.value)
		}
	}
	for _, m := range old {
		if !now.has(m.name) {
			c.add(under(at, m.name), m.value, nil)
		}
	}
}

// isCondition reports whether t is what a filter says of one tag, such as
// {"not":"test"}, which reads better whole.
func isCondition(t tree) bool {
	for _, m := range t {
		switch m.name {
		case "is", "not", "exists", "prefix":
		default:
			return false
		}
	}
	return len(t) > 0
}

func (c *comparison) widgets(old, now tree, before, after configsvc.Dashboard) {
	oldList, newList := byID(old), byID(now)
	var stayBefore, stayAfter []any
	for _, w := range before.Widgets {
		if _, ok := newList[w.ID]; ok {
			stayBefore = append(stayBefore, c.names[w.ID])
		} else {
			c.add(under("/widgets", c.names[w.ID]), smallWidget(oldList[w.ID]), nil)
		}
	}
	for _, w := range after.Widgets {
		path := under("/widgets", c.names[w.ID])
		if t, ok := oldList[w.ID]; ok {
			stayAfter = append(stayAfter, c.names[w.ID])
			c.trees(path, t.without("widget_id", "dashboard_id"), newList[w.ID].without("widget_id", "dashboard_id"))
		} else {
			c.add(path, nil, smallWidget(newList[w.ID]))
		}
	}
	if !slices.Equal(stayBefore, stayAfter) {
		c.add("/widgets (order)", stayBefore, stayAfter)
	}
}

func byID(t tree) map[string]tree {
	list, _ := t.get("widgets").([]any)
	out := make(map[string]tree, len(list))
	for _, w := range list {
		w, _ := w.(tree)
		id, _ := w.get("widget_id").(string)
		out[id] = w
	}
	return out
}

func smallWidget(w tree) tree {
	base, err := defaults()
	if err != nil {
		return w
	}
	baseWidget, _ := base.get("widgets").([]any)[0].(tree)
	return withoutDefaults(w, baseWidget).without("dashboard_id")
}

func widgetNames(dashboards ...configsvc.Dashboard) map[string]string {
	ids := make(map[string][]string) // By title.
	names := make(map[string]string)
	for _, d := range dashboards {
		for _, w := range d.Widgets {
			if !slices.Contains(ids[w.Display.Title], w.ID) {
				ids[w.Display.Title] = append(ids[w.Display.Title], w.ID)
			}
			names[w.ID] = w.Display.Title // The later wins: what it is to be called.
		}
	}
	for id, title := range names {
		if title == "" || len(ids[title]) > 1 {
			names[id] = id
		}
	}
	return names
}

// String is a path and below it what goes and what comes, as people read it.
func (ch Change) String() string {
	var b strings.Builder
	b.WriteString(ch.Path)
	if ch.Old != nil {
		b.WriteString("\n  - " + string(ch.Old))
	}
	if ch.New != nil {
		b.WriteString("\n  + " + string(ch.New))
	}
	return b.String()
}
