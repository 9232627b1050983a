package configsvc

import (
	"slices"
	"strings"
	"testing"
)

// Every place that may hold fields, so that none of them lets a misspelt one pass.
func TestCheckRefusesUnknownFields(t *testing.T) {
	text := `{"a/b":1,"variables":[{"name":"v","tag":"t","x~":1}],"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":60,"windows":1,
		"display_config":{"colour":"red","position":{"z":1},"x_axis":{"lable":""},"y_axis":{"log":true},"thresholds":[{"at":1,"level":"ok","color":"red"}]}}]}`
	_, faults, warnings := Rules{}.Check(mustParse(t, text))
	var got []string
	for _, f := range faults {
		if f.Code != codeUnknown || !strings.Contains(f.Detail, "unknown field") {
			t.Errorf("%+v", f)
		}
		got = append(got, f.Pointer)
	}
	slices.Sort(got)
	want := []string{
		"/a~1b", "/variables/0/x~0", "/widgets/0/display_config/colour", "/widgets/0/display_config/position/z",
		"/widgets/0/display_config/thresholds/0/color", "/widgets/0/display_config/x_axis/lable", "/widgets/0/display_config/y_axis/log", "/widgets/0/windows",
	}
	if !slices.Equal(got, want) || warnings != nil {
		t.Errorf("got  %q\nwant %q\nwarnings %v", got, want, warnings)
	}
}

func TestCheckHasTheRulesOfTheService(t *testing.T) {
	doc := `{"widgets":[{"metric_name":"m","aggregation":"avg","window_seconds":7200,"refresh_interval_seconds":0.1}]}`
	d, faults, warnings := Rules{}.Check(mustParse(t, doc))
	if len(faults) != 0 || len(warnings) != 1 || d.Widgets[0].RefreshSeconds != 1 {
		t.Errorf("%+v %v %v", d, faults, warnings)
	}
	if _, faults, _ := (Rules{SliceMs: 100, MaxWindowSeconds: 3600}).Check(mustParse(t, doc)); len(faults) != 1 || faults[0].Pointer != "/widgets/0/window_seconds" {
		t.Errorf("%v", faults)
	}
}

func TestCheckRefusesWhatIsTooLarge(t *testing.T) {
	values := make([]string, 100)
	for i := range values {
		values[i] = `"` + strings.Repeat(string(rune('a'+i%26)), 100+i) + `"`
	}
	filter := `{"t":[` + strings.Join(values, ",") + `]}`
	w := `{"metric_name":"m","aggregation":"avg","window_seconds":60,"filter":` + filter + `}`
	doc := `{"widgets":[` + w + strings.Repeat(","+w, 99) + `]}`
	if _, faults, _ := (Rules{}).Check(mustParse(t, doc)); len(faults) != 1 || faults[0].Code != codeTooLarge {
		t.Errorf("%v", faults)
	}
}
