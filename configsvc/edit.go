package configsvc

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/audit"
)

// CreateDashboard answers POST /dashboards.
func (a api) CreateDashboard(c *gin.Context) {
	d, warnings, ok := a.draft(c)
	if !ok {
		return
	}
	var err error
	if d.Version, err = a.store.Create(c.Request.Context(), d, by(c)); err != nil {
		a.failStore(c, err)
		return
	}
	a.note(c, actionCreated, d.ID, 0, d.Version)
	a.publisher.awaitPublished(c.Request.Context())
	c.Header("Location", "/dashboards/"+d.ID)
	reply(c, http.StatusCreated, d, warnings)
}

// note puts an edit that was made into the audit log.
func (s *Service) note(c *gin.Context, action, id string, before, after int64) {
	from := s.audit.From(c.Request)
	s.audit.Note(audit.Entry{
		Event: audit.Edit, Action: action, Dashboard: id, Before: before, After: after, Token: by(c),
		Address: from.Address, Method: from.Method, Route: c.FullPath(),
	})
}

// draft reads a dashboard that there need not be yet; when ok is false, the
// answer was given.
func (a api) draft(c *gin.Context) (d Dashboard, warnings []Warning, ok bool) {
	v, ok := a.body(c, "application/json")
	if !ok {
		return d, nil, false
	}
	var f faults
	d = a.rules.dashboard(v, "", &f)
	ok = a.accepted(c, d, &f)
	return d, f.warnings, ok
}

// load answers 404 itself when ok is false.
func (a api) load(c *gin.Context, id string) (d Dashboard, ok bool) {
	id, ok = parseID(id)
	if !ok {
		a.failStore(c, ErrNotFound)
		return d, false
	}
	d, err := a.store.Get(c.Request.Context(), id)
	if err != nil {
		a.failStore(c, err)
		return d, false
	}
	return d, true
}

// GetDashboard answers GET /dashboards/{id}.
func (a api) GetDashboard(c *gin.Context, id ID, params GetDashboardParams) {
	d, ok := a.load(c, id)
	if !ok {
		return
	}
	c.Header("Cache-Control", "no-cache") // Ask each time; 304 is cheap.
	if params.IfNoneMatch != nil && notModified(*params.IfNoneMatch, d.Version) {
		c.Header("ETag", etag(d.Version))
		c.Status(http.StatusNotModified)
		return
	}
	reply(c, http.StatusOK, d, nil)
}

// change makes the new document from the current one and the request's body.
type change func(current Dashboard, body any, f *faults) (Dashboard, error)

// ReplaceDashboard answers PUT /dashboards/{id}.
func (a api) ReplaceDashboard(c *gin.Context, id ID, params ReplaceDashboardParams) {
	a.edit(c, id, params.IfMatch, func(current Dashboard, body any, f *faults) (Dashboard, error) {
		return a.rules.dashboard(body, current.ID, f), nil
	}, "application/json")
}

// PatchDashboard answers PATCH /dashboards/{id}.
func (a api) PatchDashboard(c *gin.Context, id ID, params PatchDashboardParams) {
	a.edit(c, id, params.IfMatch, func(current Dashboard, body any, f *faults) (Dashboard, error) {
		if _, ok := asObject(body, "", f); !ok {
			return current, nil
		}
		before, err := generic(current)
		if err != nil {
			return current, err
		}
		return a.rules.dashboard(mergePatch(before, body), current.ID, f), nil
	}, "application/json", "application/merge-patch+json")
}

// PatchWidgets answers PATCH /dashboards/{id}/widgets.
func (a api) PatchWidgets(c *gin.Context, id ID, params PatchWidgetsParams) {
	a.edit(c, id, params.IfMatch, a.rules.patchWidgets, "application/json", "application/merge-patch+json")
}

// How often a change with If-Match: * begins again when others were faster.
const anyVersionAttempts = 20

// attempts makes a change, again and again while others are faster where any
// version will do, and answers for the errors of the store.
func (a api) attempts(c *gin.Context, match matcher, try func() error) {
	for n := 1; ; n++ {
		err := try()
		if _, conflict := errors.AsType[*ConflictError](err); conflict && match.any && n < anyVersionAttempts {
			continue
		}
		if err != nil {
			a.failStore(c, err)
		}
		return
	}
}

// edit is the one way to change a dashboard: load, check If-Match, change,
// check the rules, write if nobody was faster.
func (a api) edit(c *gin.Context, id ID, ifMatch *string, change change, types ...string) {
	d, ok := a.load(c, id)
	if !ok {
		return
	}
	match, ok := parseIfMatch(c, ifMatch)
	if !ok {
		return
	}
	v, ok := a.body(c, types...)
	if !ok {
		return
	}
	ctx, again := c.Request.Context(), false
	a.attempts(c, match, func() (err error) {
		if again {
			if d, err = a.store.Get(ctx, d.ID); err != nil {
				return err
			}
		}
		again = true
		if !match.matches(d.Version) {
			return &ConflictError{Current: d.Version}
		}
		var f faults
		next, err := change(d, v, &f)
		if err != nil || !a.accepted(c, next, &f) {
			return err
		}
		if next.Version, err = a.store.Update(ctx, next, d.Version, by(c)); err != nil {
			return err
		}
		a.note(c, actionChanged, d.ID, d.Version, next.Version)
		a.publisher.awaitPublished(ctx)
		reply(c, http.StatusOK, next, f.warnings)
		return nil
	})
}

// DeleteDashboard answers DELETE /dashboards/{id}.
func (a api) DeleteDashboard(c *gin.Context, id ID, params DeleteDashboardParams) {
	d, ok := a.load(c, id)
	if !ok {
		return
	}
	match, ok := parseIfMatch(c, params.IfMatch)
	if !ok {
		return
	}
	ctx, current := c.Request.Context(), d.Version
	a.attempts(c, match, func() error {
		if !match.matches(current) {
			return &ConflictError{Current: current}
		}
		err := a.store.Delete(ctx, d.ID, current, by(c))
		if conflict, ok := errors.AsType[*ConflictError](err); ok {
			current = conflict.Current
		}
		if err != nil {
			return err
		}
		a.note(c, actionDeleted, d.ID, current, current+1)
		a.publisher.awaitPublished(ctx)
		c.Status(http.StatusNoContent)
		return nil
	})
}
