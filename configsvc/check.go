package configsvc

import (
	"encoding/json"

	"pulseboard/internal/service"
	"pulseboard/metric"
)

// Rules are the rules of documents for those who check them without a
// service. The zero value of a field has the default of Config.
type Rules struct {
	SliceMs          int64
	MaxWindowSeconds int
}

// Fault is a rule that a document breaks; its pointer leads into the document.
type Fault = service.ProblemError

// Code of a fault that only Check finds; the service answers 413.
const codeTooLarge = "too_large"

// Check reads a document as POST /dashboards does, with one difference: a
// field that nobody knows is a fault, not a warning. Numbers in doc are of
// type json.Number. The dashboard has all defaults filled in; ids that the
// document does not bring are random. With faults it is incomplete.
func (r Rules) Check(doc any) (Dashboard, []Fault, []Warning) {
	in := rules{sliceMs: r.SliceMs, maxWindowSeconds: r.MaxWindowSeconds}
	if in.sliceMs == 0 {
		in.sliceMs = 1000 // As Config.withDefaults.
	}
	if in.maxWindowSeconds == 0 {
		in.maxWindowSeconds = metric.MaxWindowSeconds
	}
	f := faults{strict: true}
	d := in.dashboard(doc, "", &f)
	if b, err := json.Marshal(d); err == nil && len(b) > maxDocument {
		f.add("", codeTooLarge, "the document has %d bytes with all defaults: at most %d; split the dashboard", len(b), maxDocument)
	}
	return d, f.errors, f.warnings
}
