// Package dashboards holds the example dashboards that pulseboard run shows.
package dashboards

import "embed"

// Files are the dashboards, as pulseboard dashboards reads them.
//
//go:embed *.yaml
var Files embed.FS
