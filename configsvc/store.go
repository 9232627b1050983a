package configsvc

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pulseboard/internal/health"
)

// Store keeps dashboards and what they were before. Every change is one
// transaction, its entry in the history included, and durable when the call
// returns. A deleted dashboard leaves its id and versions behind: made again
// under the same id, its version goes on, so that an ETag never names two
// documents. by is who makes a change, "" where that is not known.
type Store interface {
	// Create adds d and returns its version; ErrExists, *FullError.
	Create(ctx context.Context, d Dashboard, by string) (version int64, err error)
	// CreateFirst adds d unless its id was ever used, also by a dashboard deleted since.
	CreateFirst(ctx context.Context, d Dashboard) (created bool, err error)
	// Get returns a dashboard; ErrNotFound.
	Get(ctx context.Context, id string) (Dashboard, error)
	// Update replaces the dashboard of d.ID if its version is expected, and
	// returns the new version; ErrNotFound, *ConflictError, *FullError.
	Update(ctx context.Context, d Dashboard, expected int64, by string) (version int64, err error)
	// Delete removes a dashboard if its version is expected; ErrNotFound, *ConflictError.
	Delete(ctx context.Context, id string, expected int64, by string) error
	// Restore is Update with what d was in version from. A deleted dashboard
	// comes back; expected is the version of its deletion then.
	Restore(ctx context.Context, d Dashboard, expected, from int64, by string) (version int64, err error)
	// List returns at most q.Limit dashboards ordered by title and id.
	List(ctx context.Context, q ListQuery) ([]Summary, error)
	// Versions returns at most limit versions below before, newest first, of a
	// deleted dashboard too. before 0 begins with the newest; ErrNotFound then
	// if the id was never used.
	Versions(ctx context.Context, id string, before int64, limit int) ([]VersionEntry, error)
	// GetVersion returns a dashboard as it was; ErrNotFound, also for a deletion.
	GetVersion(ctx context.Context, id string, version int64) (Dashboard, error)
	// OnChange sets where each change of this process is handed over, as soon as it
	// is committed; it is called before any change is made.
	OnChange(changed func(Changes))
	// Changes returns what has changed after a revision, 0 for all there is.
	Changes(ctx context.Context, after int64) (Changes, error)
	// Revision counts changes: while it is the same, nothing has changed.
	Revision(ctx context.Context) (int64, error)
	// Checks are what the store needs.
	Checks() []health.Check
	// Expire forgets what is left of dashboards that were deleted long ago.
	Expire(ctx context.Context, now time.Time) error
}

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

// ConflictError says that a dashboard was changed by someone else.
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
