package configsvc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/auth"
	"pulseboard/internal/bodies"
	"pulseboard/internal/httpapi"
	"pulseboard/internal/service"
)

// api answers the operations of openapi.yaml.
type api struct{ *Service }

var _ ServerInterface = api{}

func (s *Service) routes(m *metrics) http.Handler {
	e := httpapi.New(httpapi.Config{
		Name: "the config service", Log: s.log, NotFound: service.Nothing("/openapi.yaml lists what there is"), Count: m.count,
	})
	e.Use(limitTime, joinLists)
	e.Use(func(c *gin.Context) {
		defer func() {
			if b, ok := c.Value(bodyName).(*bodies.Body); ok {
				b.Release()
			}
		}()
		c.Next()
	})
	// Before routing: as a path, /dashboards/validate is also that of a dashboard with the
	// id "validate", and its methods would be answered.
	e.Use(func(c *gin.Context) {
		if c.Request.URL.Path == "/dashboards/validate" && c.Request.Method != http.MethodPost {
			c.Header("Allow", http.MethodPost)
			c.Abort()
			service.NotAllowed(c.Writer, c.Request)
		}
	})
	RegisterHandlersWithOptions(e, api{s}, GinServerOptions{
		Middlewares: []MiddlewareFunc{s.admit},
		ErrorHandler: func(c *gin.Context, err error, status int) {
			httpapi.Fail(c, status, parameterText(c, err))
		},
	})
	for _, r := range e.Routes() {
		if r.Method == http.MethodGet {
			e.HEAD(r.Path, r.HandlerFunc)
		}
	}
	return e
}

// parameterText names the parameter that cannot be parsed. All parameters that are no
// strings are numbers.
func parameterText(c *gin.Context, err error) string {
	_, rest, ok := strings.Cut(err.Error(), "Invalid format for parameter ")
	name, _, _ := strings.Cut(rest, ":")
	if !ok {
		return err.Error()
	}
	value := c.Param(name)
	if value == "" {
		value = c.Query(name)
	}
	return fmt.Sprintf("%s is %.100q: it must be a whole number", name, value)
}

// How long a request waits for the database, and when it may be repeated, in seconds.
const (
	databaseTimeout = 10 * time.Second
	retryAfter      = "5"
)

// limitTime bounds how long a request waits for the database.
func limitTime(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), databaseTimeout)
	defer cancel()
	c.Request = c.Request.WithContext(ctx)
	c.Next()
}

// failStore answers for an error of the store.
func (s *Service) failStore(c *gin.Context, err error) {
	var conflict *ConflictError
	var full *FullError
	switch {
	case errors.Is(err, ErrNotFound):
		httpapi.Fail(c, http.StatusNotFound, fmt.Sprintf("there is no dashboard %.60q", c.Param("id")))
	case errors.As(err, &conflict):
		failStale(c, conflict.Current)
	case errors.As(err, &full):
		httpapi.Fail(c, http.StatusRequestEntityTooLarge, "there is no room for the dashboard: "+full.Error())
	case errors.Is(err, ErrExists):
		httpapi.Fail(c, http.StatusConflict, "a dashboard with this dashboard_id exists: change it with PUT, or leave the id out to get a new one",
			service.ProblemError{Pointer: "/dashboard_id", Code: codeDuplicate, Detail: ErrExists.Error()})
	case errors.Is(c.Request.Context().Err(), context.Canceled):
		// The client has closed the connection; the status is for the metrics.
		c.AbortWithStatus(http.StatusServiceUnavailable)
	default:
		s.log.Error("the database failed", "error", err)
		c.Header("Retry-After", retryAfter)
		httpapi.Fail(c, http.StatusServiceUnavailable, "the database cannot be used now; nothing was changed, or it is not known: read the dashboard again before repeating a change. /readyz says what is wrong")
	}
}

func failStale(c *gin.Context, current int64) {
	c.Header("ETag", etag(current))
	httpapi.Fail(c, http.StatusPreconditionFailed, fmt.Sprintf("the dashboard was changed by someone else and has version %d now: read it again, then repeat the change with If-Match: %s", current, etag(current)))
}

// answer is a document with the warnings about the request.
type answer struct {
	Dashboard
	Warnings []Warning `json:"warnings,omitempty"`
}

func reply(c *gin.Context, status int, d Dashboard, warnings []Warning) {
	c.Header("ETag", etag(d.Version))
	c.JSON(status, answer{Dashboard: d, Warnings: warnings})
}

// body reads the request's JSON; when ok is false, the answer was given.
// The Content-Type is required because a browser sends it for a page of another
// site only after a preflight request.
func (s *Service) body(c *gin.Context, types ...string) (v any, ok bool) {
	if t, _, err := mime.ParseMediaType(c.GetHeader("Content-Type")); err != nil || !slices.Contains(types, t) {
		c.Header("Accept", types[len(types)-1])
		httpapi.Fail(c, http.StatusUnsupportedMediaType, "the body must be JSON: send it with Content-Type: "+types[0])
		return nil, false
	}
	client := s.proxies.Client(c.Request)
	read, err := s.bodies.Read(c.Request.Body, c.Request.ContentLength, maxDocument, bodies.Sender{Address: client, Token: by(c), Near: s.proxies.Near(client)})
	c.Set(bodyName, read) // Held until the request ends: the decoded JSON takes more memory than the text.
	b := read.Text
	switch {
	case errors.Is(err, bodies.ErrTooLarge):
		c.Header("Connection", "close") // Else net/http would read the rest.
		failTooLarge(c, "the body")
		return nil, false
	case errors.Is(err, bodies.ErrFull), errors.Is(err, bodies.ErrAddress), errors.Is(err, bodies.ErrToken):
		c.Header("Retry-After", "1")
		httpapi.Fail(c, http.StatusTooManyRequests, err.Error()+": send the request again later; nothing was changed")
		return nil, false
	case errors.Is(err, service.ErrSlowBody):
		httpapi.Fail(c, http.StatusRequestTimeout, err.Error()+"; nothing was changed")
		return nil, false
	case err != nil:
		httpapi.Fail(c, http.StatusBadRequest, "the body could not be read to its end")
		return nil, false
	}
	if v, err = parseJSON(b); err != nil {
		httpapi.Fail(c, http.StatusBadRequest, "the body is not JSON: "+syntaxText(b, err))
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
	httpapi.Fail(c, http.StatusRequestEntityTooLarge, fmt.Sprintf("%s is larger than %d bytes: split the dashboard", what, maxDocument))
}

// accepted answers when a document broke a rule or is too large; ok is false then.
func (s *Service) accepted(c *gin.Context, d Dashboard, f *faults) (ok bool) {
	if len(f.errors) == 0 {
		s.affordable(c.Request.Context(), d, f)
	}
	if n := len(f.errors); n > 0 {
		detail := "one rule is broken: see errors"
		if n > 1 {
			detail = fmt.Sprintf("%d rules are broken: see errors", n)
		}
		httpapi.Fail(c, http.StatusUnprocessableEntity, detail, f.errors...)
		return false
	}
	// What was decoded from JSON can be encoded.
	b, err := json.Marshal(d)
	if err != nil || len(b) > maxDocument {
		failTooLarge(c, "the document")
		return false
	}
	s.rates.owe(s.editor(c), len(b)/bytesPerEdit, time.Now())
	return true
}

// admit requires a token with the scope that openapi.yaml names for the operation.
func (s *Service) admit(c *gin.Context) {
	for _, scope := range c.GetStringSlice(string(BearerScopes)) {
		grant, err := s.guard.CheckRequest(c.Request, auth.Bearer(c.Request), auth.Scope(scope))
		if err != nil {
			auth.Refuse(c.Writer, err)
			c.Abort()
			return
		}
		c.Set(tokenName, grant.Name())
		if scope == string(auth.Edit) && !s.limitEdits(c) {
			return
		}
	}
}

const (
	tokenName = "pulseboard.token"
	bodyName  = "pulseboard.body"
)

// by is the name of the token of a request, which the history keeps as its author; "" = none was needed.
func by(c *gin.Context) string { return c.GetString(tokenName) }
