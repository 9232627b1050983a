package configsvc

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
)

var errTrailing = errors.New("there is more after the end of the JSON value")

// parseJSON reads one JSON value; numbers stay as they are written.
func parseJSON(b []byte) (any, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errTrailing
	}
	return v, nil
}

// mergePatch applies a merge patch (RFC 7396): objects are merged, null
// removes, anything else replaces. target is not changed.
func mergePatch(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	// A target that is no object counts as an empty one.
	t, _ := target.(map[string]any)
	merged := maps.Clone(t)
	if merged == nil {
		merged = make(map[string]any, len(p))
	}
	for name, v := range p {
		if v == nil {
			delete(merged, name)
		} else {
			merged[name] = mergePatch(merged[name], v)
		}
	}
	return merged
}

// generic returns the JSON form of a document, to be patched.
func generic(doc any) (any, error) {
	b, err := json.Marshal(doc)
	if err != nil {
		return nil, err
	}
	return parseJSON(b)
}

// patchWidgets applies the body of PATCH /dashboards/{id}/widgets to d: merge
// patches by widget id, where null removes and an unknown id makes a widget,
// and new widgets under "add". Widgets that it does not name stay as they are, even if
// they break today's rules.
func (r Rules) patchWidgets(d Dashboard, body any, f *faults) (Dashboard, error) {
	o, ok := asObject(body, "", f)
	if !ok {
		return d, nil
	}
	added := o.list("add", maxWidgets)
	d.Widgets = slices.Clone(d.Widgets)
	// What a widget may bring along, as a pointer to the widget of each id.
	named := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(o.members)) {
		if name == "add" {
			continue
		}
		at := o.pointer(name)
		id, ok := parseID(name)
		switch {
		case !ok:
			f.add(at, codeInvalid, "%.60q is no widget id: members are UUIDs of widgets, or \"add\" with a list of new widgets", name)
			continue
		case named[id] != "":
			f.add(at, codeDuplicate, "widget %q is named twice", id)
			continue
		}
		named[id] = at
		if err := r.patchWidget(&d, id, o.members[name], at, f); err != nil {
			return d, err
		}
	}
	for i, v := range added {
		at := underIndex(o.pointer("add"), i)
		if w, ok := r.widget(v, at, "", d.ID, f); ok {
			d.Widgets = append(d.Widgets, w)
			noteTwice(d.Widgets, at, f)
		}
	}
	if n := len(d.Widgets); n > maxWidgets {
		f.add("", codeTooMany, "the dashboard would have %d widgets: at most %d", n, maxWidgets)
	}
	place(d.Widgets)
	return d, nil
}

func (r Rules) patchWidget(d *Dashboard, id string, patch any, at string, f *faults) error {
	i := slices.IndexFunc(d.Widgets, func(w Widget) bool { return w.ID == id })
	if patch == nil {
		if i < 0 {
			f.warn(at, "there is no widget %q: nothing was removed", id)
			return nil
		}
		d.Widgets = slices.Delete(d.Widgets, i, i+1)
		return nil
	}
	if _, ok := patch.(map[string]any); !ok {
		f.add(at, codeType, "must be a merge patch or null, but is %s", kind(patch))
		return nil
	}
	var before any
	if i >= 0 {
		var err error
		if before, err = generic(d.Widgets[i]); err != nil {
			return err
		}
	}
	w, ok := r.widget(mergePatch(before, patch), at, id, d.ID, f)
	switch {
	case !ok:
	case i >= 0:
		d.Widgets[i] = w
	default:
		d.Widgets = append(d.Widgets, w)
	}
	return nil
}
