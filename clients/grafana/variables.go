package grafana

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/VictoriaMetrics/metricsql"
)

// variable is a template variable of Grafana.
type variable struct {
	name, kind string
	value      string // What it stands for, if that is one thing.
	tag        string // The label that its matchers name.
	listed     bool   // Whether it chooses among series.
	several    bool   // Several values can be chosen at once.
}

func readVariables(templating object) map[string]*variable {
	out := make(map[string]*variable)
	for _, v := range templating.objects("list") {
		x := &variable{name: v.text("name"), kind: v.text("type"), several: v.yes("multi") || v.yes("includeAll")}
		if x.name == "" || out[x.name] != nil {
			continue
		}
		out[x.name] = x
		query := cmp.Or(v.text("query"), v.object("query").text("query"))
		current := v.object("current").word("value")
		if l := v.object("current").list("value"); len(l) == 1 {
			current, _ = l[0].(string)
		}
		switch x.kind {
		case "query":
			x.listed = true
		case "custom":
			options := strings.Split(query, ",")
			// A list of durations is for ranges, not for a label.
			x.listed = len(options) > 1 && slices.ContainsFunc(options, func(o string) bool { return !isDuration(strings.TrimSpace(o)) })
			x.value = strings.TrimSpace(current)
			if len(options) == 1 {
				x.value = strings.TrimSpace(query)
			}
		case "constant":
			x.value = query
		case "textbox", "interval":
			// Where Grafana chooses the interval, the window is chosen here.
			if x.value = current; x.value == "" && x.kind == "textbox" {
				x.value = strings.TrimSpace(strings.Split(query, ",")[0])
			}
		}
	}
	return out
}

func isDuration(s string) bool {
	ms, err := metricsql.PositiveDurationValue(s, 0)
	return err == nil && ms > 0 && strings.Trim(s, "0123456789.") != ""
}

// Characters of the private use area part the names of variables from the text
// around them while a query is parsed.
const varBegin, varEnd = "\ue000", "\ue001"

var reference = regexp.MustCompile(`^(?:\[\[(\w+)(?::\w+)?\]\]|\$\{(\w+)(?:[.:][^}]*)?\}|\$(\w+))`)

// substitute makes text of PromQL of a query with Grafana's variables: those of
// matchers are marked, those of ranges replaced by their durations.
func (t *translation) substitute(expr string) (string, error) {
	var b strings.Builder
	quote, brackets := byte(0), 0
	for i := 0; i < len(expr); {
		c := expr[i]
		if m := reference.FindStringSubmatch(expr[i:]); m != nil && (c == '$' || c == '[') {
			text, err := t.reference(m[1]+m[2]+m[3], quote != 0, brackets > 0)
			if err != nil {
				return "", err
			}
			b.WriteString(text)
			i += len(m[0])
			continue
		}
		switch {
		case quote != 0 && c == '\\' && i+1 < len(expr):
			b.WriteByte(c)
			i++
			c = expr[i]
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
		case c == '"' || c == '\'' || c == '`':
			quote = c
		case c == '#': // A comment.
			end := strings.IndexByte(expr[i:], '\n')
			if end < 0 {
				return b.String(), nil
			}
			i += end
			continue
		case c == '[':
			brackets++
		case c == ']':
			brackets--
		}
		b.WriteByte(c)
		i++
	}
	return b.String(), nil
}

// reference is what stands for a variable in a text, a range, or elsewhere.
func (t *translation) reference(name string, inText, inRange bool) (string, error) {
	if strings.HasPrefix(name, "__") {
		return t.builtin(name, inRange)
	}
	v := t.variables[name]
	switch {
	case v == nil && inText && name[0] >= '0' && name[0] <= '9': // What label_replace() takes out of a text, such as $1.
		return "$" + name, nil
	case v == nil:
		return "", fmt.Errorf("the variable $%s is not defined", name)
	case inRange && isDuration(v.value):
		t.note("the window is %s, the value of $%s", v.value, name)
		return v.value, nil
	case inRange:
		t.note("the window is %d s in place of $%s", t.options.Window, name)
		return fmt.Sprintf("%ds", t.options.Window), nil
	case inText && v.listed:
		return varBegin + name + varEnd, nil
	case v.kind == "constant" || v.kind == "textbox" || v.kind == "custom" && !v.listed:
		if inText && v.value != "" {
			t.note("$%s is replaced by its value %q", name, v.value)
			return strings.NewReplacer(`\`, `\\`, `"`, `\"`, "'", `\'`, "\n", `\n`).Replace(v.value), nil
		}
		if plainWord.MatchString(v.value) {
			t.note("$%s is replaced by its value %q", name, v.value)
			return v.value, nil
		}
	}
	if inText {
		return "", fmt.Errorf("the variable $%s of type %s is no choice among the values of a label", name, v.kind)
	}
	return "", fmt.Errorf("the variable $%s stands outside of a matcher and of a range", name)
}

var plainWord = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

// builtin is a variable of Grafana's own.
func (t *translation) builtin(name string, inRange bool) (string, error) {
	seconds := t.options.Window
	switch name {
	case "__interval", "__interval_ms":
		if t.minInterval > 0 {
			seconds = t.minInterval
		}
	case "__rate_interval", "__rate_interval_ms": // Four times what the panel or the source of data says of the interval of scrapes.
		if t.minInterval > 0 {
			seconds = min(4*t.minInterval, t.options.MaxWindow)
		}
	case "__range", "__range_s", "__range_ms":
		if seconds = t.timeRange; seconds == 0 {
			return "", fmt.Errorf("$%s: the time range of the dashboard has no fixed length", name)
		}
	default:
		return "", fmt.Errorf("the variable $%s has no counterpart", name)
	}
	switch {
	case strings.HasSuffix(name, "_ms"):
		seconds *= 1000
	case strings.HasSuffix(name, "_s"):
	case !inRange:
		return "", fmt.Errorf("the variable $%s stands outside of a range", name)
	default:
		t.note("the window is %d s in place of $%s", seconds, name)
		return fmt.Sprintf("%ds", seconds), nil
	}
	t.note("%d stands in place of $%s", seconds, name)
	return strconv.Itoa(seconds), nil
}

// rangeSeconds reads a time such as now-6h.
func rangeSeconds(times object) int {
	from, ok := strings.CutPrefix(times.text("from"), "now-")
	if !ok || times.text("to") != "now" || !isDuration(from) {
		return 0
	}
	return durationSeconds(from)
}

func durationSeconds(s string) int {
	ms, err := metricsql.PositiveDurationValue(s, 0)
	if err != nil || ms > 100*365*24*3600*1000 {
		return 0
	}
	return int((ms + 999) / 1000)
}
