// Package pipeline is the Beam job: Build is its whole graph on one page,
// Config all its sizes, RunPrism the single-machine runner, Supervise what
// starts it again.
package pipeline
