package sources

import (
	"sync"
	"time"

	"pulseboard/internal/kafkaconn"
)

// environment is what a reader needs of its run and must not be in Options: those go over the network to the
// workers, and into checkpoints, where no password may be.
type environment struct {
	kafka    kafkaconn.Endpoint
	progress *Progress
	setBack  func(why error, since time.Time) // See OnSetBack.
}

// environmentOf returns that of a run.
func environmentOf(run string) environment {
	at, _ := endpoints.Load(run)
	e, _ := at.(kafkaconn.Endpoint)
	return environment{
		kafka: e, progress: ProgressOf(run),
		setBack: func(why error, since time.Time) {
			if tell, ok := setBacks.Load(run); ok {
				tell.(func(error, time.Time))(why, since)
			}
		},
	}
}

var (
	endpoints sync.Map // Run → kafkaconn.Endpoint.
	setBacks  sync.Map // Run → func(error, time.Time).
	progress  sync.Map // Run → *Progress.
)

// Connect sets where a run reads, until Close.
func Connect(run string, at kafkaconn.Endpoint) { endpoints.Store(run, at) }

// OnSetBack sets what is called when time must go back in a run, which no runner can, so that the run must begin
// anew: the clock of a broker was set back, after it was ahead of this machine's. The log's time was right until since.
func OnSetBack(run string, tell func(why error, since time.Time)) { setBacks.Store(run, tell) }

// ProgressOf returns the progress of a run, until Close.
func ProgressOf(run string) *Progress {
	p, _ := progress.LoadOrStore(run, newProgress())
	return p.(*Progress)
}

// Close ends the readers of a run, waits for their goroutines, and forgets what was set for it.
func Close(run string) {
	readers.closeAll(run)
	endpoints.Delete(run)
	setBacks.Delete(run)
	progress.Delete(run)
}
