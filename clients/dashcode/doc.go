// Package dashcode keeps dashboards as files: it reads them (Load), writes
// them (Write), compares them (Compare) and brings a config service in line
// with them (Client.Apply).
//
//	files ─▶ Load ─▶ Set ─┬▶ Compare ─▶ changes
//	                      └▶ Client.Apply ─▶ config service
//	config service ─▶ Client.Get ─▶ Write ─▶ files
//
// The rules of documents are those of configsvc, but for unknown fields, which
// are faults here: a misspelt name in a file must not be a silent default.
package dashcode
