package configsvc

import (
	"cmp"
	"encoding/json"

	"pulseboard/internal/service"
	"pulseboard/metric"
)

// Rules are the rules of documents, as far as they depend on the pipeline.
type Rules struct {
	SliceMs          int64 // The pipeline's slice in milliseconds: refresh intervals are multiples of it. 0 = 1000.
	MaxWindowSeconds int   // The longest window that the pipeline serves. 0 = 86,400.
}

func (r Rules) withDefaults() Rules {
	return Rules{cmp.Or(r.SliceMs, 1000), cmp.Or(r.MaxWindowSeconds, metric.MaxWindowSeconds)}
}

// Fault is a rule that a document breaks; its pointer leads into the document.
type Fault = service.ProblemError

// Code of a fault that only Check finds; the service answers 413.
const codeTooLarge = "too_large"

// Check reads a document as POST /dashboards does, with one difference: an
// unknown field is a fault, not a warning. Numbers in doc are of
// type json.Number. The dashboard has all defaults filled in; ids that the
// document does not bring are random. With faults it is incomplete.
func (r Rules) Check(doc any) (Dashboard, []Fault, []Warning) {
	f := faults{strict: true}
	d := r.withDefaults().dashboard(doc, "", &f)
	if b, err := json.Marshal(d); err == nil && len(b) > maxDocument {
		f.add("", codeTooLarge, "the document has %d bytes with all defaults: at most %d; split the dashboard", len(b), maxDocument)
	}
	return d, f.errors, f.warnings
}
