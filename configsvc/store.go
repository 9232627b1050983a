package configsvc

import (
	"errors"
	"fmt"
)

// Changes is what has changed up to Revision. Some of it may be newer, and is in
// the changes after that again.
type Changes struct {
	Revision   int64
	Dashboards []Dashboard
	By         map[string]string // The token that changed each of Dashboards last, by id; "" = none was needed.
	Deleted    []string
}

// Errors of a Store.
var (
	ErrNotFound = errors.New("no such dashboard")
	ErrExists   = errors.New("a dashboard with this id exists")
)

// ConflictError is returned when a dashboard has another version than expected.
type ConflictError struct{ Current int64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the dashboard has version %d by now", e.Current)
}

// ListQuery chooses dashboards. The zero value of a field does not restrict.
type ListQuery struct {
	Text  string   // Part of the title or a tag, in any case.
	Tags  []string // All of them.
	Own   bool     // Those that programs keep for themselves too, see OwnTags.
	After Place    // Begins after this place.
	Limit int
}

// Place is the place of a dashboard in the list.
type Place struct {
	TitleKey string `json:"t"`
	ID       string `json:"i"`
}

// How a version came to be.
const (
	actionCreated  = "created"
	actionChanged  = "changed"
	actionRestored = "restored"
	actionDeleted  = "deleted"
)
