package configsvc

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// The cases of RFC 7396, appendix A.
func TestMergePatchRFC7396(t *testing.T) {
	for _, c := range [][3]string{
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`["a","b"]`, `["c","d"]`, `["c","d"]`},
		{`{"a":"b"}`, `["c"]`, `["c"]`},
		{`{"a":"foo"}`, `null`, `null`},
		{`{"a":"foo"}`, `"bar"`, `"bar"`},
		{`{"e":null}`, `{"a":1}`, `{"a":1,"e":null}`},
		{`[1,2]`, `{"a":"b","c":null}`, `{"a":"b"}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},
	} {
		target := mustParse(t, c[0])
		got, err := json.Marshal(mergePatch(target, mustParse(t, c[1])))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != c[2] {
			t.Errorf("%s patched with %s gives %s, want %s", c[0], c[1], got, c[2])
		}
		if before, _ := json.Marshal(target); string(before) != c[0] {
			t.Errorf("the patch changed its target %s to %s", c[0], before)
		}
	}
}

func TestParseJSONTakesOneValue(t *testing.T) {
	for _, text := range []string{``, ` `, `{`, `{}x`, `{} {}`, `{}]`, `nul`, `{"a":NaN}`, `{'a':1}`, "\xef\xbb\xbf{}"} {
		if v, err := parseJSON([]byte(text)); err == nil {
			t.Errorf("%q was read as %v", text, v)
		}
	}
	for _, text := range []string{`{}`, " [1] \n", `null`} {
		if _, err := parseJSON([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func twoWidgets(t *testing.T) Dashboard {
	t.Helper()
	return mustDecode(t, `{"dashboard_id":"`+idC+`","widgets":[
		{"widget_id":"`+idA+`","metric_name":"a","aggregation":"avg","window_seconds":60,"filter":{"region":"eu","host":"x"}},
		{"widget_id":"`+idB+`","metric_name":"b","aggregation":"max","window_seconds":5}]}`)
}

func TestPatchWidgets(t *testing.T) {
	const newID = "99999999-9999-4999-8999-999999999999"
	d := twoWidgets(t)
	before, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var f faults
	got, err := testRules().patchWidgets(d, mustParse(t, `{
		"`+strings.ToUpper(idA)+`":{"window_seconds":300,"filter":{"region":null,"zone":{"exists":true}},"display_config":{"unit":"ms"}},
		"`+idB+`":null,
		"`+newID+`":{"metric_name":"n","aggregation":"min","window_seconds":1},
		"add":[{"metric_name":"c","aggregation":"sum","window_seconds":10,"refresh_interval_seconds":5}]}`), &f)
	if err != nil || len(f.errors)+len(f.warnings) > 0 {
		t.Fatalf("%v, %+v", err, f)
	}
	if after, _ := json.Marshal(d); string(after) != string(before) {
		t.Error("the patch changed the dashboard it was given")
	}
	if len(got.Widgets) != 3 {
		t.Fatalf("widgets %+v", got.Widgets)
	}
	a, n, c := got.Widgets[0], got.Widgets[1], got.Widgets[2]
	if k := a.Query().Key(); a.ID != idA || k != `a:avg:300s {host="x", exists zone}` || a.Display.Unit != "ms" || a.Display.Position != d.Widgets[0].Display.Position {
		t.Errorf("changed widget %+v, key %s", a, k)
	}
	if n.ID != newID || n.Metric != "n" || n.Display.Position != (Position{6, 0, 6, 4}) {
		t.Errorf("new widget under its id %+v", n)
	}
	if c.Metric != "c" || c.DashboardID != idC || c.ID == "" || c.Display.Position != (Position{0, 4, 6, 4}) {
		t.Errorf("added widget %+v", c)
	}
}

func TestPatchWidgetsRules(t *testing.T) {
	for _, c := range []struct {
		name, body       string
		errors, warnings []string
	}{
		{"array", `[]`, []string{" wrong_type"}, nil},
		{"empty", `{}`, nil, nil},
		{"no id", `{"x":{}}`, []string{"/x invalid"}, nil},
		{"patch of the wrong type", `{"` + idA + `":1}`, []string{"/" + idA + " wrong_type"}, nil},
		{"add of the wrong type", `{"add":{}}`, []string{"/add wrong_type"}, nil},
		{
			"added one is empty", `{"add":[{},{"metric_name":"m","aggregation":"avg","window_seconds":0}]}`,
			[]string{"/add/0/aggregation required", "/add/0/metric_name required", "/add/0/window_seconds required", "/add/1/window_seconds out_of_range"},
			nil,
		},
		{
			"field", `{"` + idA + `":{"window_seconds":0,"refresh_interval_seconds":0}}`,
			[]string{"/" + idA + "/refresh_interval_seconds out_of_range", "/" + idA + "/window_seconds out_of_range"},
			nil,
		},
		{"required field removed", `{"` + idA + `":{"metric_name":null}}`, []string{"/" + idA + "/metric_name required"}, nil},
		{"id changed", `{"` + idA + `":{"widget_id":"` + idC + `"}}`, []string{"/" + idA + "/widget_id immutable"}, nil},
		{"id of another added", `{"add":[{"widget_id":"` + idB + `","metric_name":"m","aggregation":"avg","window_seconds":1}]}`, []string{"/add/0/widget_id duplicate"}, nil},
		{"id twice", `{"` + idA + `":{},"` + strings.ToUpper(idA) + `":{}}`, []string{"/" + idA + " duplicate"}, nil},
		{"other dashboard", `{"` + idA + `":{"dashboard_id":"` + idA + `"}}`, nil, []string{"/" + idA + "/dashboard_id"}},
		{"unknown field", `{"` + idA + `":{"colour":1}}`, nil, []string{"/" + idA + "/colour"}},
		{"unknown id removed", `{"` + idC + `":null}`, nil, []string{"/" + idC}},
		{"unknown id patched", `{"` + idC + `":{"window_seconds":5}}`, []string{"/" + idC + "/aggregation required", "/" + idC + "/metric_name required"}, nil},
		{"too many", `{"add":[` + strings.Repeat(`{"metric_name":"m","aggregation":"avg","window_seconds":1},`, 198) + `{"metric_name":"m","aggregation":"avg","window_seconds":1}]}`, []string{" too_many"}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f faults
			if _, err := testRules().patchWidgets(twoWidgets(t), mustParse(t, c.body), &f); err != nil {
				t.Fatal(err)
			}
			var errs, warnings []string
			for _, e := range f.errors {
				errs = append(errs, e.Pointer+" "+e.Code)
			}
			for _, w := range f.warnings {
				warnings = append(warnings, w.Pointer)
			}
			slices.Sort(errs)
			if !slices.Equal(errs, c.errors) || !slices.Equal(warnings, c.warnings) {
				t.Errorf("errors %q, warnings %q; want %q, %q", errs, warnings, c.errors, c.warnings)
			}
		})
	}
}

// A widget from before the rules became stricter must not stand in the way of others.
func TestPatchWidgetsLeavesOthersAlone(t *testing.T) {
	d := twoWidgets(t)
	d.Widgets[0].WindowSeconds = 86_400
	var f faults
	got, err := testRules().patchWidgets(d, mustParse(t, `{"`+idB+`":{"window_seconds":7}}`), &f)
	if err != nil || len(f.errors) > 0 {
		t.Fatalf("%v, %+v", err, f.errors)
	}
	if got.Widgets[0].WindowSeconds != 86_400 || got.Widgets[1].WindowSeconds != 7 {
		t.Errorf("widgets %+v", got.Widgets)
	}
}
