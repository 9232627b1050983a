package configsvc

// Limits of a dashboard; those of queries are in package metric.
const (
	maxDocument     = 1 << 20 // Bytes, of a request and of the stored document.
	maxWidgets      = 200
	maxRefreshMs    = 3_600_000
	maxTitle        = 200 // Characters, as in all texts below.
	maxTags         = 20
	maxTag          = 64
	maxVariables    = 16
	maxFilterTags   = 16
	maxFilterValues = 100 // Of one list.
	maxLabel        = 100
	maxUnit         = 32
	maxName         = 64
	maxThresholds   = 20
	maxSeriesShown  = 100
	maxSearch       = 200
	maxCursor       = 2000
	gridColumns     = 12
	maxRow          = 10_000
	maxHeight       = 100
)

// Defaults of a document.
const (
	defaultTitle         = "Untitled"
	defaultRefreshMs     = 1000
	defaultScale         = "linear"
	defaultColors        = "okabe-ito"
	defaultSeriesShown   = 20
	defaultWidth         = 6
	defaultHeight        = 4
	defaultPage, maxPage = 50, 200
)

func scales() []string { return []string{"linear", "log"} }
func levels() []string { return []string{"ok", "warn", "crit"} }
