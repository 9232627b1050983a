package dashcode

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"

	"pulseboard/configsvc"
)

// Item is a dashboard of a file, with all defaults filled in.
type Item struct {
	Dashboard configsvc.Dashboard
	Place     Place

	doc *document
}

// Fault places what a config service said of the dashboard in its file.
func (i Item) Fault(pointer, code, detail string) Fault { return i.doc.fault(pointer, code, detail) }

// Set is what Load found.
type Set struct {
	Files    int
	Items    []Item // Only those without faults.
	Faults   []Fault
	Warnings []Fault
}

// Load reads files, and all .yaml, .yml and .json files below folders, and
// checks every dashboard. Faults of files are in the Set; an error is one of
// what was asked for, such as a file that is not there.
func Load(paths []string, rules configsvc.Rules) (Set, error) {
	files, err := find(paths)
	if err != nil {
		return Set{}, err
	}
	return loadFiles(files, os.ReadFile, rules)
}

// LoadFS is Load for the files of the top folder of a file system.
func LoadFS(fsys fs.FS, rules configsvc.Rules) (Set, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return Set{}, err
	}
	var files []string
	for _, e := range entries {
		if !e.IsDir() && isDashboardFile(e.Name()) {
			files = append(files, e.Name())
		}
	}
	return loadFiles(files, func(file string) ([]byte, error) { return fs.ReadFile(fsys, file) }, rules)
}

func loadFiles(files []string, readFile func(string) ([]byte, error), rules configsvc.Rules) (Set, error) {
	s := Set{Files: len(files)}
	var docs []*document
	for _, file := range files {
		input, err := readFile(file)
		if err != nil {
			return Set{}, fmt.Errorf("cannot read %s: %w", file, err)
		}
		found, faults := read(file, input)
		docs, s.Faults = append(docs, found...), append(s.Faults, faults...)
	}
	s.check(docs, rules)
	sortFaults(s.Faults)
	sortFaults(s.Warnings)
	return s, nil
}

func read(file string, input []byte) ([]*document, []Fault) {
	if len(input) > maxFile {
		return nil, []Fault{{Place: Place{File: file}, Code: codeTooLarge, Detail: fmt.Sprintf("the file has %d bytes: at most %d", len(input), maxFile)}}
	}
	input = bytes.TrimPrefix(input, []byte("\xef\xbb\xbf"))
	var docs []*document
	var faults []Fault
	if extension(file) == ".json" {
		var d *document
		if d, faults = readJSON(file, input); d != nil {
			docs = []*document{d}
		}
	} else {
		docs, faults = readYAML(file, input)
	}
	if len(docs) == 0 && len(faults) == 0 {
		faults = []Fault{{Place: Place{File: file}, Code: codeEmpty, Detail: "there is no dashboard in the file"}}
	}
	return docs, faults
}

// check turns documents into dashboards, with the ids that files may leave out.
func (s *Set) check(docs []*document, rules configsvc.Rules) {
	seen := make(map[string]Item)
	for _, d := range docs {
		m, isObject := d.value.(map[string]any)
		derived := isObject && m["dashboard_id"] == nil
		if derived {
			m["dashboard_id"] = dashboardID(d.file, d.index)
		}
		dashboard, faults, warnings := rules.Check(d.value)
		for _, w := range warnings {
			s.Warnings = append(s.Warnings, d.fault(w.Pointer, "changed", w.Detail))
		}
		s.Faults = append(s.Faults, d.faults...)
		for _, f := range faults {
			if d.broken(f.Pointer) {
				continue
			}
			s.Faults = append(s.Faults, d.fault(f.Pointer, f.Code, f.Detail))
		}
		item := Item{Dashboard: dashboard, Place: d.place(""), doc: d}
		if first, twice := seen[dashboard.ID]; twice && isObject {
			s.Faults = append(s.Faults, twiceFault(item, first, derived))
			continue
		}
		seen[dashboard.ID] = item
		if len(faults)+len(d.faults) > 0 {
			continue
		}
		if named := nameWidgets(&item); len(named) > 0 {
			s.Faults = append(s.Faults, named...)
			continue
		}
		s.Items = append(s.Items, item)
	}
}

func twiceFault(item, first Item, derived bool) Fault {
	f := item.doc.fault("/dashboard_id", codeDuplicate, fmt.Sprintf("dashboard_id %q is also that of %s", item.Dashboard.ID, first.Place))
	if derived {
		f.Detail += "; it is made of the file's name, which both have: rename one or write a dashboard_id into it"
	} else {
		f.Detail += ": give one of them another, or remove it"
	}
	return f
}

// nameWidgets gives widgets without an id one that depends on what they are
// called and not on where they stand or how they look.
func nameWidgets(item *Item) []Fault {
	// Without faults, the list of the file and that of the dashboard are parallel.
	written, _ := item.doc.value.(map[string]any)["widgets"].([]any)
	used := make(map[string]int)
	counts := make(map[string]int)
	d := &item.Dashboard
	// Written ids first: they are what a derived one may collide with.
	for pass := range 2 {
		for i := range d.Widgets {
			w := &d.Widgets[i]
			m, _ := written[i].(map[string]any)
			if hasID := m["widget_id"] != nil; hasID != (pass == 0) {
				continue
			}
			if pass == 1 {
				w.ID = widgetID(*w, counts)
			}
			if first, twice := used[w.ID]; twice {
				return []Fault{item.doc.fault(underIndex("/widgets", i), codeDuplicate,
					fmt.Sprintf("widget_id %q is also that of widget %d: write another one into it", w.ID, first))}
			}
			used[w.ID] = i
		}
	}
	return nil
}

// The name space of the ids that are made of names (RFC 9562, version 5).
const idSpace = "5f0c7a5e-9f63-5c1e-8b7e-3d7a4e0c9b21"

func dashboardID(file string, index int) string {
	name := filepath.Base(file)
	name = "dashboard:" + strings.TrimSuffix(name, filepath.Ext(name))
	if index > 0 { // The first keeps its id when a second is added.
		name += fmt.Sprintf("#%d", index+1)
	}
	return DeriveID(name)
}

// widgetID is made of the title, else of the metric key, so that a widget keeps it when it
// is moved or drawn otherwise. counts numbers those that are equal.
func widgetID(w configsvc.Widget, counts map[string]int) string {
	name := "title:" + w.Display.Title
	if w.Display.Title == "" {
		name = "key:" + w.Query().Key()
	}
	counts[name]++
	return DeriveID(fmt.Sprintf("widget:%s:%d:%s", w.DashboardID, counts[name], name))
}

// NameWidgets gives all widgets the ids that they would have in a file
// without any.
func NameWidgets(d *configsvc.Dashboard) {
	counts := make(map[string]int)
	for i := range d.Widgets {
		d.Widgets[i].ID = widgetID(d.Widgets[i], counts)
	}
}

// DeriveID returns the id that belongs to a name, the same everywhere.
func DeriveID(name string) string {
	return uuid.NewSHA1(uuid.MustParse(idSpace), []byte(name)).String()
}
