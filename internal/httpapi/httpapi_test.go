package httpapi_test

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/httpapi"
	"pulseboard/internal/service"
)

// What no handler answers, the frame does: with a problem document, and counted.
func TestAnswersOfTheFrame(t *testing.T) {
	var log strings.Builder
	counted := map[int]int{}
	e := httpapi.New(httpapi.Config{
		Name: "the test", Log: slog.New(slog.NewTextHandler(&log, nil)), NotFound: service.Nothing("there is /read"),
		Count: func(c *gin.Context) {
			c.Next()
			counted[c.Writer.Status()]++
		},
	})
	httpapi.Read(e, "/read", func(c *gin.Context) { c.String(http.StatusOK, "text") })
	httpapi.Document(e, []byte("openapi: 3.1.0"))
	e.POST("/panic", func(*gin.Context) { panic("oops") })
	e.POST("/refused", func(c *gin.Context) {
		httpapi.Fail(c, http.StatusConflict, "it is taken", service.ProblemError{Code: "taken"})
	},
		func(*gin.Context) { t.Error("a request went on after Fail") })
	for _, c := range []struct {
		method, path string
		status       int
		detail       string // "" = no problem.
	}{
		{"GET", "/read", 200, ""},
		{"HEAD", "/read", 200, ""},
		{"GET", "/openapi.yaml", 200, ""},
		{"PUT", "/read", 405, `"/read" does not take PUT: use GET, HEAD`},
		{"GET", "/read/", 404, `there is nothing at "/read/": there is /read`},
		{"POST", "/refused", 409, "it is taken"},
		{"POST", "/panic", 500, "the test made a mistake with this request; its log says more"},
	} {
		counted[c.status] = 0
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
		if w.Code != c.status || counted[c.status] != 1 {
			t.Errorf("%s %s: %d, counted %v", c.method, c.path, w.Code, counted)
		}
		if c.detail == "" {
			continue
		}
		var p service.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != c.status || p.Detail != c.detail || w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %s: %v, %s", c.method, c.path, w.Header(), w.Body)
		}
	}
	if !strings.Contains(log.String(), "path=/panic panic=oops") {
		t.Errorf("the log is %q", log.String())
	}
}
