package metric

// Kind says what the value of an event is.
type Kind uint8

// The kinds of events.
const (
	Plain      Kind = iota // A measurement by itself, which counts once. An event that says nothing of its kind is one.
	Delta                  // By how much a counter has grown since the event before.
	Cumulative             // What a counter stands at: by how much it has grown is the difference of two.
	Gauge                  // What something stands at until the next event.
)

// kindNames are the kinds as JSON has them.
func kindNames() [4]string { return [...]string{"event", "delta", "cumulative", "gauge"} }

// String returns the name that the kind has in JSON.
func (k Kind) String() string { return kindNames()[k] }

// ParseKind returns the kind of a name.
func ParseKind[S string | []byte](name S) (Kind, bool) {
	for i, known := range kindNames() {
		if string(name) == known {
			return Kind(i), true
		}
	}
	return Plain, false
}

// Grows reports whether events of the kind tell of a counter, which has a start.
func (k Kind) Grows() bool { return k == Delta || k == Cumulative }
