package configsvc

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"pulseboard/internal/httpapi"

	"github.com/gin-gonic/gin"
)

// ListVersions answers GET /dashboards/{id}/versions.
func (a api) ListVersions(c *gin.Context, id ID, params ListVersionsParams) {
	size, ok := pageSize(c, params.Limit)
	if !ok {
		return
	}
	var before int64
	if text := value(params.Cursor); text != "" {
		var err error
		if before, err = strconv.ParseInt(text, 10, 64); err != nil || before < 1 {
			failCursor(c)
			return
		}
	}
	newest, ok := a.newest(c, id)
	if !ok {
		return
	}
	found, err := a.store.Versions(c.Request.Context(), id, before, size+1)
	if err != nil {
		a.failStore(c, err)
		return
	}
	p := VersionPage{Versions: found}
	if len(found) > size {
		p.Versions = found[:size]
		p.Next = new(strconv.FormatInt(found[size-1].Version, 10))
	}
	c.Header("Cache-Control", "no-cache")
	c.Header("ETag", etag(newest.Version))
	c.JSON(http.StatusOK, p)
}

// newest returns the newest version of a dashboard, also of a deleted one; it
// answers 404 itself when ok is false.
func (a api) newest(c *gin.Context, id string) (v VersionEntry, ok bool) {
	id, ok = parseID(id)
	if !ok {
		a.failStore(c, ErrNotFound)
		return v, false
	}
	found, err := a.store.Versions(c.Request.Context(), id, 0, 1)
	if err != nil {
		a.failStore(c, err)
		return v, false
	}
	return found[0], true
}

// version returns a dashboard as it was; it answers itself when ok is false.
func (a api) version(c *gin.Context, id string, version Version) (d Dashboard, ok bool) {
	newest, ok := a.newest(c, id)
	if !ok {
		return d, false
	}
	id, _ = parseID(id) // newest has found it good.
	d, err := a.store.GetVersion(c.Request.Context(), id, version)
	switch {
	case errors.Is(err, ErrNotFound) && version == newest.Version:
		httpapi.Fail(c, http.StatusNotFound, fmt.Sprintf("version %d is the deletion of the dashboard: one before it can be read and restored", version))
	case errors.Is(err, ErrNotFound):
		httpapi.Fail(c, http.StatusNotFound, fmt.Sprintf("the dashboard has no version %d, or it was a deletion, or is older than those that are kept", version))
	case err != nil:
		a.failStore(c, err)
	}
	return d, err == nil
}

// GetVersion answers GET /dashboards/{id}/versions/{version}.
func (a api) GetVersion(c *gin.Context, id ID, version Version) {
	if d, ok := a.version(c, id, version); ok {
		reply(c, http.StatusOK, d, nil)
	}
}

// RestoreVersion answers POST /dashboards/{id}/versions/{version}/restore.
func (a api) RestoreVersion(c *gin.Context, id ID, version Version, params RestoreVersionParams) {
	d, ok := a.version(c, id, version)
	if !ok {
		return
	}
	match, ok := parseIfMatch(c, params.IfMatch)
	if !ok {
		return
	}
	// It kept the rules of its day; today's may be others.
	before, err := generic(d)
	if err != nil {
		a.failStore(c, err)
		return
	}
	var f faults
	if d = a.rules.dashboard(before, d.ID, &f); !a.accepted(c, d, &f) {
		return
	}
	ctx := c.Request.Context()
	a.attempts(c, match, func() error {
		newest, err := a.store.Versions(ctx, d.ID, 0, 1)
		if err != nil {
			return err
		}
		if current := newest[0].Version; !match.matches(current) {
			return &ConflictError{Current: current}
		}
		if d.Version, err = a.store.Restore(ctx, d, newest[0].Version, version, by(c)); err != nil {
			return err
		}
		a.note(c, actionRestored, d.ID, newest[0].Version, d.Version)
		a.publisher.awaitPublished(ctx)
		reply(c, http.StatusOK, d, f.warnings)
		return nil
	})
}
