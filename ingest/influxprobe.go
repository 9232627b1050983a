package ingest

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"pulseboard/internal/auth"
	"pulseboard/internal/httpapi"
)

// What clients of InfluxDB ask before they write, answered as they need it: there is no database here to ask for and none to
// make, so each is there already. Queries are refused. docs/ingest.md, "What clients of InfluxDB ask".

// asInflux is the version that clients are told: the last one that all of them know how to write to.
const asInflux = "1.8.10"

// thePlace is the only database, bucket and organization, beside those that clients name.
const thePlace = "pulseboard"

const noQueries = "queries of InfluxDB are not answered here: dashboards show what is counted, and GET /dashboards/{id}/widgets/{wid}/snapshot reads it"

// probe is one of those questions.
type probe struct {
	path    string
	methods []string
	open    bool // To everybody: nothing is told that a token protects.
	answer  func(*Service, *gin.Context)
}

func probes() []probe {
	read := []string{http.MethodGet, http.MethodHead}
	return []probe{
		{"/ping", read, true, func(_ *Service, c *gin.Context) { c.Status(http.StatusNoContent) }},
		{"/health", read, true, (*Service).influxHealth},
		{"/ready", read, true, (*Service).influxReady},
		{"/query", []string{http.MethodGet, http.MethodPost}, false, func(_ *Service, c *gin.Context) { influxQL(c) }},
		{"/api/v2/query", []string{http.MethodPost}, false, func(_ *Service, c *gin.Context) {
			influxAnswer(c, http.StatusNotImplemented, noQueries, 0)
		}},
		{"/api/v2/buckets", []string{http.MethodGet, http.MethodPost}, false, func(_ *Service, c *gin.Context) { influxBuckets(c) }},
		{"/api/v2/orgs", []string{http.MethodGet}, false, func(_ *Service, c *gin.Context) { influxOrgs(c) }},
	}
}

// answerProbes makes their routes.
func (s *Service) answerProbes(e *gin.Engine) {
	for _, p := range probes() {
		answer := func(c *gin.Context) {
			c.Header("X-Influxdb-Version", asInflux)
			c.Header("X-Influxdb-Build", "Pulseboard")
			if !p.open {
				if _, err := s.config.Guard.CheckRequest(c.Request, auth.Token(c.Request, "Bearer", "Token"), auth.Ingest); err != nil {
					status, detail := auth.Challenge(c.Writer.Header(), err)
					influxAnswer(c, status, detail, 0)
					return
				}
			}
			p.answer(s, c)
		}
		if slices.Contains(p.methods, http.MethodHead) {
			httpapi.Read(e, p.path, answer)
			continue
		}
		for _, m := range p.methods {
			e.Handle(m, p.path, answer)
		}
	}
}

// influxHealth is of writes: whether Kafka took the last.
func (s *Service) influxHealth(c *gin.Context) {
	status, word, message := http.StatusOK, "pass", "ready for writes"
	if err := s.producer.last.err(time.Now()); err != nil {
		status, word, message = http.StatusServiceUnavailable, "fail", err.Error()
	}
	c.JSON(status, gin.H{"name": thePlace, "status": word, "message": message, "checks": []string{}, "version": asInflux, "commit": ""})
}

func (s *Service) influxReady(c *gin.Context) {
	c.JSON(http.StatusOK, gin.H{"status": "ready", "started": s.started.UTC().Format(time.RFC3339), "up": time.Since(s.started).Round(time.Second).String()})
}

// statementResult is what InfluxDB 1 answers to a statement.
type statementResult struct {
	Statement int            `json:"statement_id"`
	Series    []statementRow `json:"series,omitempty"`
}

type statementRow struct {
	Name    string   `json:"name,omitempty"`
	Columns []string `json:"columns"`
	Values  [][]any  `json:"values"`
}

// mostStatements bounds what is read of a request, in bytes.
const mostStatements = 64 << 10

// influxQL answers statements that make databases and retention policies, or list them.
func influxQL(c *gin.Context) {
	c.Request.Body = http.MaxBytesReader(c.Writer, c.Request.Body, mostStatements)
	fail := func(why string) { c.JSON(http.StatusBadRequest, gin.H{"error": why}) }
	if err := c.Request.ParseForm(); err != nil {
		fail("the request cannot be read: " + err.Error())
		return
	}
	results := []statementResult{}
	for statement := range strings.SplitSeq(c.Request.Form.Get("q"), ";") {
		words := strings.Fields(statement)
		if len(words) == 0 {
			continue
		}
		r := statementResult{Statement: len(results)}
		switch begin := strings.ToUpper(strings.Join(words[:min(3, len(words))], " ")); {
		case begin == "SHOW DATABASES":
			r.Series = []statementRow{databases(c.Request.Form.Get("db"))}
		case begin == "SHOW RETENTION POLICIES":
			r.Series = []statementRow{{
				Columns: []string{"name", "duration", "shardGroupDuration", "replicaN", "default"}, Values: [][]any{{"autogen", "0s", "168h0m0s", 1, true}},
			}}
		case strings.HasPrefix(begin, "CREATE DATABASE "), begin == "CREATE RETENTION POLICY", begin == "ALTER RETENTION POLICY":
			// It is there.
		default:
			fail(fmt.Sprintf("%.100q: %s", strings.Join(words, " "), noQueries))
			return
		}
		results = append(results, r)
	}
	if len(results) == 0 {
		fail(`missing required parameter "q"`)
		return
	}
	c.JSON(http.StatusOK, gin.H{"results": results})
}

// databases are ours, and the one that the client writes to: it is there, whatever its name.
func databases(named string) statementRow {
	row := statementRow{Name: "databases", Columns: []string{"name"}, Values: [][]any{{thePlace}}}
	if named != "" && named != thePlace {
		row.Values = append(row.Values, []any{named})
	}
	return row
}

// idOf is an id of InfluxDB 2, the same for the same name.
func idOf(name string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // Never fails.
	return fmt.Sprintf("%016x", h.Sum64())
}

func influxBuckets(c *gin.Context) {
	if c.Request.Method == http.MethodPost {
		var asked struct{ Name string }
		_ = json.NewDecoder(http.MaxBytesReader(c.Writer, c.Request.Body, mostStatements)).Decode(&asked) // Whatever it is called.
		influxAnswer(c, http.StatusUnprocessableEntity, fmt.Sprintf("bucket with name %.100s already exists: here every bucket does", asked.Name), 0)
		return
	}
	name := orElse(c.Query("name"), thePlace)
	org := orElse(c.Query("org"), thePlace)
	c.JSON(http.StatusOK, gin.H{"links": gin.H{"self": "/api/v2/buckets"}, "buckets": []gin.H{{
		"id": orElse(c.Query("id"), idOf(name)), "orgID": orElse(c.Query("orgID"), idOf(org)), "type": "user", "name": name,
		"retentionRules": []gin.H{{"type": "expire", "everySeconds": 0}},
	}}})
}

func influxOrgs(c *gin.Context) {
	name := orElse(c.Query("org"), thePlace)
	c.JSON(http.StatusOK, gin.H{"links": gin.H{"self": "/api/v2/orgs"}, "orgs": []gin.H{{"id": orElse(c.Query("orgID"), idOf(name)), "name": name}}})
}

func orElse(given, otherwise string) string {
	if given == "" {
		return otherwise
	}
	return given
}
