package aggregate

// Scales of histograms: both SDKs of OpenTelemetry and Prometheus stay within.
const (
	MinScale = -4
	MaxScale = 20
)
