package audit

import "flag"

// Flag defines the flag that names the audit log.
func Flag(f *flag.FlagSet, path *string) {
	f.StringVar(path, "audit-log", "", "`file` that gets a line of JSON for each edit, refusal and change of tokens (docs/audit.md), - for standard output;\nwhen it is renamed, a new one is begun; empty = none is kept")
}
