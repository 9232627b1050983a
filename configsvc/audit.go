package configsvc

import (
	"github.com/gin-gonic/gin"

	"pulseboard/internal/audit"
)

// note puts an edit that was made into the audit log.
func (s *Service) note(c *gin.Context, action, id string, before, after int64) {
	from := s.audit.From(c.Request)
	s.audit.Note(audit.Entry{
		Event: audit.Edit, Action: action, Dashboard: id, Before: before, After: after, Token: by(c),
		Address: from.Address, Method: from.Method, Route: c.FullPath(),
	})
}
