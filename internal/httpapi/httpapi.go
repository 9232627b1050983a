// Package httpapi is the frame of the APIs of ingest, config service and gateway: one
// set-up of Gin, so that all of them answer alike to what they have no handler for.
// Besides the three services only this package uses Gin.
package httpapi

import (
	"io"
	"log/slog"
	"net/http"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/auth"
	"pulseboard/internal/service"
)

// Config is what differs between the services.
type Config struct {
	// Name is how the service is called in answers.
	Name string
	// Log is where panics of handlers are reported.
	Log *slog.Logger
	// NotFound answers for paths without a route; see service.Nothing.
	NotFound http.Handler
	// Count runs around everything, panics included; nil = nothing is counted.
	Count gin.HandlerFunc
}

// New returns an engine without routes. Every answer that it gives by itself is a
// problem document (RFC 9457): 404, 405 with the header Allow, and 500 for a panic.
func New(cfg Config) *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	// The address of a client is found by service.Proxies; nil cannot fail.
	_ = e.SetTrustedProxies(nil)
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	if cfg.Count != nil {
		e.Use(cfg.Count)
	}
	e.Use(gin.CustomRecoveryWithWriter(io.Discard, func(c *gin.Context, what any) {
		cfg.Log.Error("a request ended in a panic", "method", c.Request.Method, "path", c.Request.URL.Path, "panic", what)
		Fail(c, http.StatusInternalServerError, cfg.Name+" made a mistake with this request; its log says more")
	}))
	e.NoRoute(func(c *gin.Context) {
		c.Status(http.StatusOK) // Gin has set 404; the handler decides.
		cfg.NotFound.ServeHTTP(c.Writer, c.Request)
	})
	e.NoMethod(func(c *gin.Context) { service.NotAllowed(c.Writer, c.Request) })
	return e
}

// Read makes a route of a path that is only read: GET and HEAD.
func Read(e *gin.Engine, path string, handlers ...gin.HandlerFunc) {
	e.GET(path, handlers...)
	e.HEAD(path, handlers...)
}

// Document serves the description of an API.
func Document(e *gin.Engine, openapi []byte) {
	Read(e, "/openapi.yaml", func(c *gin.Context) { c.Data(http.StatusOK, "application/yaml", openapi) })
}

// Fail answers with a problem document and ends the request.
func Fail(c *gin.Context, status int, detail string, errs ...service.ProblemError) {
	c.Abort()
	service.NewProblem(status, detail, errs...).Write(c.Writer)
}

// Admit lets requests pass whose token has the scope, and answers the others.
func Admit(g *auth.Guard, need auth.Scope) gin.HandlerFunc {
	return func(c *gin.Context) {
		if !g.Admit(c.Writer, c.Request, need) {
			c.Abort()
		}
	}
}
