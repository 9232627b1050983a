package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"pulseboard/clients/dashcode"
	"pulseboard/configsvc"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
)

const aboutExport = `
pulseboard dashboards export writes dashboards of the config service as files:
always the same bytes for the same dashboard, defaults left out. Applying them
again changes nothing. Without --dir they go to standard output, parted by ---.

  pulseboard dashboards export --server http://127.0.0.1:8080 --dir dashboards
  pulseboard dashboards export --server http://127.0.0.1:8080 --id 6f1d8b1e-3c55-4b0e-9a35-0d6f3f2a7c11

Exit codes: 0 done, 2 not done.`

func exportDashboards(ctx context.Context, env service.Env) error {
	f := dashboardFlags{Flags: conf.New("pulseboard dashboards export", aboutExport)}
	f.serverFlags()
	var ids, tags conf.Repeated
	f.Var(&ids, "id", "`dashboard_id` to export; may be given several times; none = all")
	f.Var(&tags, "tag", "`tag` that the exported dashboards have; may be given several times, for all of them")
	out := writing{env: env}
	out.flags(f.Flags)
	if _, err := f.parse(env, false); err != nil {
		return err
	}
	if len(ids.List) > 0 && len(tags.List) > 0 {
		return errors.New("--id and --tag were both given: use one")
	}
	client, err := dashcode.NewClient(f.server, f.token.Text.Reveal())
	if err != nil {
		return err
	}
	if err := out.check(); err != nil {
		return err
	}
	found, err := client.Export(ctx, ids.List, tags.List)
	if err != nil {
		return err
	}
	return out.write(found)
}

// writing puts dashboards into files of a folder, or onto standard output.
type writing struct {
	env    service.Env
	dir    string
	format string
	quiet  bool
}

func (w *writing) say(format string, args ...any) {
	if !w.quiet {
		_, _ = fmt.Fprintf(w.env.Stderr, format+"\n", args...)
	}
}

func (w *writing) flags(f *conf.Flags) {
	f.StringVar(&w.dir, "dir", "", "`folder` for one file a dashboard, made when it is not there; empty = standard output")
	f.StringVar(&w.format, "format", "yaml", "`form` of the files: yaml or json")
}

func (w *writing) check() error {
	if f := dashcode.Format(w.format); f != dashcode.YAML && f != dashcode.JSON {
		return fmt.Errorf("--format is %q: it must be yaml or json", w.format)
	}
	return nil
}

func (w *writing) write(found []configsvc.Dashboard) error {
	if w.dir == "" && w.format == string(dashcode.JSON) && len(found) > 1 {
		return fmt.Errorf("there are %d dashboards, and a JSON document holds one: pass --dir for a file each, or leave out --format json", len(found))
	}
	if w.dir != "" {
		if err := os.MkdirAll(w.dir, 0o755); err != nil { // Files for a repository, which others read too.
			return fmt.Errorf("cannot make the folder %s: %w", w.dir, err)
		}
	}
	names := fileNames(found)
	for i, d := range found {
		b, err := dashcode.Write(d, dashcode.Format(w.format))
		if err != nil {
			return err
		}
		if w.dir != "" {
			if err := w.file(names[i]+"."+w.format, b, found); err != nil {
				return err
			}
			continue
		}
		if i > 0 {
			b = append([]byte("---\n"), b...)
		}
		if _, err := w.env.Stdout.Write(b); err != nil {
			return fmt.Errorf("cannot write to standard output: %w", err)
		}
	}
	if w.dir != "" && len(found) > 0 {
		return w.lookAround()
	}
	return nil
}

// fileNames gives all dashboards of one title a name with a part of the id, so
// that the names do not depend on which of them comes first.
func fileNames(found []configsvc.Dashboard) []string {
	uses := make(map[string]int)
	for _, d := range found {
		uses[dashcode.FileName(d, func(string) bool { return false })]++
	}
	used := make(map[string]bool)
	names := make([]string, 0, len(found))
	for _, d := range found {
		name := dashcode.FileName(d, func(n string) bool { return uses[n] > 1 || used[n] })
		used[name] = true
		names = append(names, name)
	}
	return names
}

// file leaves a file alone that has the bytes already, and one that holds other
// dashboards than those that are written.
func (w *writing) file(name string, b []byte, found []configsvc.Dashboard) error {
	path := filepath.Join(w.dir, name)
	before, err := os.ReadFile(path)
	switch {
	case err == nil && bytes.Equal(before, b):
		w.say("unchanged %s", path)
		return nil
	case err == nil:
		set, err := dashcode.Load([]string{path}, configsvc.Rules{SliceMs: 1})
		if err != nil {
			return err
		}
		if len(set.Faults) > 0 {
			return fmt.Errorf("cannot write %s: what is in it cannot be read whole and may be another dashboard: move it away first: %s", path, set.Faults[0])
		}
		for _, i := range set.Items {
			if !slices.ContainsFunc(found, func(d configsvc.Dashboard) bool { return d.ID == i.Dashboard.ID }) {
				return fmt.Errorf("cannot write %s: it holds dashboard %q (%s) too: move that into another file, or remove it, first", path, i.Dashboard.Title, i.Dashboard.ID)
			}
		}
	}
	if err := os.WriteFile(path, b, 0o644); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	w.say("wrote %s", path)
	return nil
}

// lookAround tells of files that were there before and now hold a dashboard
// that another file holds too, such as one from before a title was changed.
func (w *writing) lookAround() error {
	set, err := dashcode.Load([]string{w.dir}, configsvc.Rules{SliceMs: 1})
	if err != nil {
		return err
	}
	for _, f := range set.Faults {
		if f.Pointer == "/dashboard_id" {
			w.say("%s (warning)", f)
		}
	}
	return nil
}
