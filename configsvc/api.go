package configsvc

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/auth"
	"pulseboard/internal/service"
)

//go:embed openapi.yaml
var openAPI []byte

func (s *Service) routes(m *metrics) http.Handler {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	// nil has no address that could be wrong.
	_ = e.SetTrustedProxies(nil)
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.Use(m.count, gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, what any) {
		s.log.Error("a request ended in a panic", "method", c.Request.Method, "path", c.Request.URL.Path, "panic", what)
		fail(c, service.NewProblem(http.StatusInternalServerError, "the config service made a mistake with this request; its log says more"))
	}))
	e.NoRoute(func(c *gin.Context) {
		fail(c, service.NewProblem(http.StatusNotFound, "there is nothing at this path; /openapi.yaml lists what there is"))
	})
	e.NoMethod(func(c *gin.Context) {
		fail(c, service.NewProblem(http.StatusMethodNotAllowed, "this path does not take "+c.Request.Method+"; the header Allow lists what it takes"))
	})
	read := []string{http.MethodGet, http.MethodHead}
	view, edit := s.guard.Gin(auth.View), s.guard.Gin(auth.Edit)
	e.Match(read, "/dashboards", view, s.list)
	e.Match(read, "/dashboards/:id", view, s.get)
	e.Match(read, "/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openAPI) })
	e.POST("/dashboards", edit, s.create)
	e.PUT("/dashboards/:id", edit, s.edit(s.putDocument, "application/json"))
	e.PATCH("/dashboards/:id", edit, s.edit(s.patchDocument, "application/json", "application/merge-patch+json"))
	e.PATCH("/dashboards/:id/widgets", edit, s.edit(s.patchWidgets, "application/json", "application/merge-patch+json"))
	e.DELETE("/dashboards/:id", edit, s.remove)
	return e
}

// fail answers with a problem document.
func fail(c *gin.Context, p service.Problem) {
	c.Abort()
	p.Write(c.Writer)
}

// failStore answers for an error of the store.
func (s *Service) failStore(c *gin.Context, err error) {
	var conflict *ConflictError
	switch {
	case errors.Is(err, ErrNotFound):
		fail(c, service.NewProblem(http.StatusNotFound, fmt.Sprintf("there is no dashboard %.60q", c.Param("id"))))
	case errors.As(err, &conflict):
		failStale(c, conflict.Current)
	case errors.Is(err, ErrExists):
		fail(c, service.NewProblem(http.StatusConflict, "a dashboard with this dashboard_id exists: change it with PUT, or leave the id out to get a new one",
			service.ProblemError{Pointer: "/dashboard_id", Code: codeDuplicate, Detail: ErrExists.Error()}))
	case c.Request.Context().Err() != nil:
		// The client is gone; the status is for the metrics.
		c.AbortWithStatus(http.StatusServiceUnavailable)
	default:
		s.log.Error("the database failed", "error", err)
		fail(c, service.NewProblem(http.StatusInternalServerError, "the database failed; nothing was changed, or it is not known: read the dashboard again"))
	}
}

func failStale(c *gin.Context, current int64) {
	c.Header("ETag", etag(current))
	fail(c, service.NewProblem(http.StatusPreconditionFailed, fmt.Sprintf("the dashboard was changed by someone else and has version %d now: read it again, then repeat the change with If-Match: %s", current, etag(current))))
}

// answer is a document with what the service has to say about the request.
type answer struct {
	Dashboard
	Warnings []Warning `json:"warnings,omitempty"`
}

func reply(c *gin.Context, status int, d Dashboard, warnings []Warning) {
	c.Header("ETag", etag(d.Version))
	c.JSON(status, answer{Dashboard: d, Warnings: warnings})
}

// body reads the request's JSON; when ok is false, the answer was given.
// Naming the type is asked for because pages of other sites cannot do that
// without the browser asking us first.
func body(c *gin.Context, types ...string) (v any, ok bool) {
	if t, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || !slices.Contains(types, t) {
		c.Header("Accept", types[len(types)-1])
		fail(c, service.NewProblem(http.StatusUnsupportedMediaType, "the body must be JSON: send it with Content-Type: "+types[0]))
		return nil, false
	}
	b, err := io.ReadAll(http.MaxBytesReader(c.Writer, c.Request.Body, maxDocument))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		failTooLarge(c, "the body")
		return nil, false
	case err != nil:
		fail(c, service.NewProblem(http.StatusBadRequest, "the body could not be read to its end"))
		return nil, false
	}
	if v, err = parseJSON(b); err != nil {
		fail(c, service.NewProblem(http.StatusBadRequest, "the body is not JSON: "+syntaxText(b, err)))
		return nil, false
	}
	return v, true
}

func syntaxText(b []byte, err error) string {
	var syntax *json.SyntaxError
	switch {
	case len(b) == 0:
		return "it is empty"
	case errors.As(err, &syntax):
		return fmt.Sprintf("%v (at byte %d)", err, syntax.Offset)
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return "it ends too early"
	}
	return err.Error()
}

func failTooLarge(c *gin.Context, what string) {
	fail(c, service.NewProblem(http.StatusRequestEntityTooLarge, fmt.Sprintf("%s is larger than %d bytes: split the dashboard", what, maxDocument)))
}

// accepted answers when a document broke a rule or is too large; ok is false then.
func accepted(c *gin.Context, d Dashboard, f *faults) (ok bool) {
	if n := len(f.errors); n > 0 {
		detail := "one rule is broken: see errors"
		if n > 1 {
			detail = fmt.Sprintf("%d rules are broken: see errors", n)
		}
		fail(c, service.NewProblem(http.StatusUnprocessableEntity, detail, f.errors...))
		return false
	}
	// What was decoded from JSON can be encoded.
	if b, err := json.Marshal(d); err != nil || len(b) > maxDocument {
		failTooLarge(c, "the document")
		return false
	}
	return true
}

func (s *Service) create(c *gin.Context) {
	v, ok := body(c, "application/json")
	if !ok {
		return
	}
	var f faults
	d := s.rules.dashboard(v, "", &f)
	if !accepted(c, d, &f) {
		return
	}
	var err error
	if d.Version, err = s.store.Create(c.Request.Context(), d); err != nil {
		s.failStore(c, err)
		return
	}
	s.publisher.settle(c.Request.Context())
	c.Header("Location", "/dashboards/"+d.ID)
	reply(c, http.StatusCreated, d, f.warnings)
}

// load answers 404 itself when ok is false.
func (s *Service) load(c *gin.Context) (d Dashboard, ok bool) {
	id, ok := parseID(c.Param("id"))
	if !ok {
		s.failStore(c, ErrNotFound)
		return d, false
	}
	d, err := s.store.Get(c.Request.Context(), id)
	if err != nil {
		s.failStore(c, err)
		return d, false
	}
	return d, true
}

func (s *Service) get(c *gin.Context) {
	d, ok := s.load(c)
	if !ok {
		return
	}
	c.Header("Cache-Control", "no-cache") // Ask each time; 304 is cheap.
	if notModified(c.GetHeader("If-None-Match"), d.Version) {
		c.Header("ETag", etag(d.Version))
		c.Status(http.StatusNotModified)
		return
	}
	reply(c, http.StatusOK, d, nil)
}

// change makes the new document from the current one and the request's body.
type change func(current Dashboard, body any, f *faults) (Dashboard, error)

func (s *Service) putDocument(current Dashboard, body any, f *faults) (Dashboard, error) {
	return s.rules.dashboard(body, current.ID, f), nil
}

func (s *Service) patchDocument(current Dashboard, body any, f *faults) (Dashboard, error) {
	if _, ok := asObject(body, "", f); !ok {
		return current, nil
	}
	before, err := generic(current)
	if err != nil {
		return current, err
	}
	return s.rules.dashboard(mergePatch(before, body), current.ID, f), nil
}

func (s *Service) patchWidgets(current Dashboard, body any, f *faults) (Dashboard, error) {
	return s.rules.patchWidgets(current, body, f)
}

// How often a change with If-Match: * begins again when others were faster.
const anyVersionAttempts = 20

// edit is the one way to change a dashboard: load, check If-Match, change,
// check the rules, write if nobody was faster.
func (s *Service) edit(change change, types ...string) gin.HandlerFunc {
	return func(c *gin.Context) {
		d, ok := s.load(c)
		if !ok {
			return
		}
		match, ok := ifMatch(c)
		if !ok {
			return
		}
		v, ok := body(c, types...)
		if !ok {
			return
		}
		for attempt := 1; ; attempt++ {
			err := s.editOnce(c, d, match, v, change)
			var conflict *ConflictError
			if match.any && attempt < anyVersionAttempts && errors.As(err, &conflict) {
				if d, ok = s.load(c); !ok {
					return
				}
				continue
			}
			if err != nil {
				s.failStore(c, err)
			}
			return
		}
	}
}

// editOnce returns the errors of the store; other answers it gives itself.
func (s *Service) editOnce(c *gin.Context, d Dashboard, match matcher, v any, change change) error {
	if !match.matches(d.Version) {
		return &ConflictError{Current: d.Version}
	}
	var f faults
	next, err := change(d, v, &f)
	if err != nil {
		return err
	}
	if !accepted(c, next, &f) {
		return nil
	}
	if next.Version, err = s.store.Update(c.Request.Context(), next, d.Version); err != nil {
		return err
	}
	s.publisher.settle(c.Request.Context())
	reply(c, http.StatusOK, next, f.warnings)
	return nil
}

func (s *Service) remove(c *gin.Context) {
	d, ok := s.load(c)
	if !ok {
		return
	}
	match, ok := ifMatch(c)
	if !ok {
		return
	}
	for attempt := 1; ; attempt++ {
		err := s.removeOnce(c.Request.Context(), d, match)
		var conflict *ConflictError
		switch {
		case err == nil:
			s.publisher.settle(c.Request.Context())
			c.Status(http.StatusNoContent)
			return
		case match.any && attempt < anyVersionAttempts && errors.As(err, &conflict):
			d.Version = conflict.Current
		default:
			s.failStore(c, err)
			return
		}
	}
}

func (s *Service) removeOnce(ctx context.Context, d Dashboard, match matcher) error {
	if !match.matches(d.Version) {
		return &ConflictError{Current: d.Version}
	}
	return s.store.Delete(ctx, d.ID, d.Version)
}

// page is the answer of the list. Next is null on the last page.
type page struct {
	Dashboards []Summary `json:"dashboards"`
	Next       *string   `json:"next"`
}

func (s *Service) list(c *gin.Context) {
	q := ListQuery{Text: c.Query("query"), Tags: slices.DeleteFunc(c.QueryArray("tag"), func(t string) bool { return t == "" }), Limit: defaultPage}
	if text := c.Query("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxPage {
			fail(c, service.NewProblem(http.StatusBadRequest, fmt.Sprintf("limit is %.40q: it must be a whole number from 1 to %d", text, maxPage)))
			return
		}
		q.Limit = n
	}
	var err error
	if q.After, err = parseCursor(c.Query("cursor")); err != nil {
		fail(c, service.NewProblem(http.StatusBadRequest, "cursor is not one that this service gave: begin again without it"))
		return
	}
	size := q.Limit
	q.Limit++ // One more says whether there is a next page.
	found, err := s.store.List(c.Request.Context(), q)
	if err != nil {
		s.failStore(c, err)
		return
	}
	p := page{Dashboards: found}
	if len(found) > size {
		p.Dashboards = found[:size]
		next := cursor(found[size-1])
		p.Next = &next
	}
	c.Header("Cache-Control", "no-cache")
	c.JSON(http.StatusOK, p)
}
