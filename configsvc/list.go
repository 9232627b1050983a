package configsvc

import (
	"fmt"
	"net/http"
	"slices"
	"unicode/utf8"

	"pulseboard/internal/httpapi"

	"github.com/gin-gonic/gin"
)

// pageSize reads the parameter limit; when ok is false, the answer was given.
func pageSize(c *gin.Context, limit *Limit) (n int, ok bool) {
	if limit == nil {
		return defaultPage, true
	}
	if *limit < 1 || *limit > maxPage {
		httpapi.Fail(c, http.StatusBadRequest, fmt.Sprintf("limit is %d: it must be a whole number from 1 to %d", *limit, maxPage))
		return 0, false
	}
	return *limit, true
}

// short checks the length of a parameter; when ok is false, the answer was given.
func short(c *gin.Context, name string, text *string, limit int) (ok bool) {
	n := utf8.RuneCountInString(value(text))
	if n > limit {
		httpapi.Fail(c, http.StatusBadRequest, fmt.Sprintf("%s has %d characters: at most %d", name, n, limit))
	}
	return n <= limit
}

func failCursor(c *gin.Context) {
	httpapi.Fail(c, http.StatusBadRequest, "cursor is not one that this service gave for this list: begin again without it")
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// ListDashboards answers GET /dashboards.
func (a api) ListDashboards(c *gin.Context, params ListDashboardsParams) {
	size, ok := pageSize(c, params.Limit)
	if !ok || !short(c, "cursor", params.Cursor, maxCursor) || !short(c, "query", params.Query, maxSearch) {
		return
	}
	if len(value(params.Tag)) > maxTags {
		httpapi.Fail(c, http.StatusBadRequest, fmt.Sprintf("tag is given %d times: at most %d", len(*params.Tag), maxTags))
		return
	}
	q := ListQuery{
		Text:  value(params.Query),
		Tags:  slices.DeleteFunc(value(params.Tag), func(t string) bool { return t == "" }),
		Limit: size + 1, // One more says whether there is a next page.
	}
	q.Own = slices.ContainsFunc(q.Tags, isOwn)
	var err error
	if q.After, err = parseCursor(value(params.Cursor)); err != nil {
		failCursor(c)
		return
	}
	found, err := a.store.List(c.Request.Context(), q)
	if err != nil {
		a.failStore(c, err)
		return
	}
	p := DashboardPage{Dashboards: found}
	if len(found) > size {
		p.Dashboards = found[:size]
		p.Next = new(cursor(found[size-1]))
	}
	c.Header("Cache-Control", "no-cache")
	c.JSON(http.StatusOK, p)
}
