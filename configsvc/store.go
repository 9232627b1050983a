package configsvc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Store keeps dashboards. Every change is one transaction and durable when the
// call returns. A deleted dashboard leaves its id and version behind: made
// again under the same id, its version goes on, so that an ETag never names
// two documents.
type Store interface {
	// Create adds d and returns its version; ErrExists.
	Create(ctx context.Context, d Dashboard) (version int64, err error)
	// CreateFirst adds d unless its id was ever used, also by a dashboard deleted since.
	CreateFirst(ctx context.Context, d Dashboard) (created bool, err error)
	// Get returns a dashboard; ErrNotFound.
	Get(ctx context.Context, id string) (Dashboard, error)
	// Update replaces the dashboard of d.ID if its version is expected, and
	// returns the new version; ErrNotFound, *ConflictError.
	Update(ctx context.Context, d Dashboard, expected int64) (version int64, err error)
	// Delete removes a dashboard if its version is expected; ErrNotFound, *ConflictError.
	Delete(ctx context.Context, id string, expected int64) error
	// List returns at most q.Limit dashboards ordered by title and id.
	List(ctx context.Context, q ListQuery) ([]Summary, error)
	// All returns all dashboards.
	All(ctx context.Context) ([]Dashboard, error)
	// Revision counts changes: while it is the same, All returns the same.
	Revision(ctx context.Context) (int64, error)
}

// Errors of a Store.
var (
	ErrNotFound = errors.New("no such dashboard")
	ErrExists   = errors.New("a dashboard with this id exists")
)

// ConflictError says that a dashboard was changed by someone else.
type ConflictError struct{ Current int64 }

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the dashboard has version %d by now", e.Current)
}

// ListQuery chooses dashboards. The zero value of a field does not restrict.
type ListQuery struct {
	Text  string   // Part of the title or a tag, in any case.
	Tags  []string // All of them.
	After Place    // Begins after this place.
	Limit int
}

// Place is the place of a dashboard in the list.
type Place struct {
	TitleKey string `json:"t"`
	ID       string `json:"i"`
}

// Summary is a dashboard without its widgets.
type Summary struct {
	ID        string     `json:"dashboard_id"`
	Title     string     `json:"title"`
	Version   int64      `json:"version"`
	Tags      []string   `json:"tags"`
	Variables []Variable `json:"variables"`
	Widgets   int        `json:"widget_count"`
	UpdatedAt time.Time  `json:"updated_at"`
	TitleKey  string     `json:"-"`
}
