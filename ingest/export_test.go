package ingest

import "time"

// SetNow gives the service another clock than the machine's.
func (s *Service) SetNow(now func() time.Time) { s.now = now }
