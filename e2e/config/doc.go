// Package config tests the config service as a process of its own, with its
// databases: editors who meet, kill -9 and an emptied Redis lose nothing, and
// changes reach the pipeline soon.
package config
