package configsvc

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"pulseboard/catalog"
	"pulseboard/internal/host"
	"pulseboard/limits"
	"pulseboard/wire"
)

// told are reports as if the pipeline had published them.
type told []limits.Report

func (t told) LoadLimits(context.Context) ([]limits.Report, error) { return t, nil }

func budgeted(t *testing.T, reports ...limits.Report) (*Service, *httptest.Server) {
	t.Helper()
	hosts := catalog.Tag{Key: "host", More: 19_900}
	for i := range 100 {
		hosts.Values = append(hosts.Values, fmt.Sprintf("h%03d", i))
	}
	wide := catalog.Entry{Metric: "wide", Series: 20_000, Tags: []catalog.Tag{hosts}}
	s, err := New(Config{
		Store: openTestSQLite(t, newDB(t)), Registry: nowhere{}, Catalog: known{wide}, Limits: told(reports),
		Shared: host.Shared{Log: slog.New(slog.DiscardHandler)},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.readReports(t.Context())
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	return s, srv
}

func report(cut ...limits.Cut) limits.Report {
	b := limits.NewBudgets(2<<30, 2<<30, 2, limits.DefaultShare)
	return limits.Report{Share: b.Share, Total: b.Total, Cut: cut}
}

// widgets is a dashboard of n widgets, each with a selector of its own over all series.
func widgets(n int) string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(`{"metric_name":"wide","aggregation":"avg","window_seconds":60,"filter":{"host":{"not":"none-%d"}},"group_by":["host"]}`, i))
	}
	return `{"title":"selectors","widgets":[` + strings.Join(list, ",") + `]}`
}

// What certainly does not fit is refused, by validate too; the error names the budget and the fix.
func TestWhatDoesNotFitIsRefused(t *testing.T) {
	_, srv := budgeted(t, report())
	for _, path := range []string{"/dashboards", "/dashboards/validate"} {
		got := do(t, srv, "POST", path, widgets(200))
		p := got.problem(t)
		if got.status != 422 || len(p.Errors) == 0 || p.Errors[0].Code != "budget" || !strings.Contains(p.Errors[0].Detail, "256.0 MiB of trees; group by fewer tags") {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	got := do(t, srv, "POST", "/dashboards/validate", widgets(1))
	var v Validation
	if err := json.Unmarshal(got.body, &v); err != nil || got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if trees := v.Cost.Budgets[0]; trees.Resource != "trees" || trees.Limit == nil || *trees.Limit != 256<<20 || trees.Least < 50<<20 || trees.Most < trees.Least {
		t.Errorf("%+v", v.Cost.Budgets)
	}
}

// Metrics grow under dashboards: what they hold already may stay, and be made less.
func TestWhatIsThereMayStay(t *testing.T) {
	s, srv := budgeted(t, report())
	s.reports.Store(nil) // When it was made, nothing was known.
	made := do(t, srv, "POST", "/dashboards", widgets(20))
	if made.status != 201 {
		t.Fatalf("%d %s", made.status, made.body)
	}
	s.readReports(t.Context())
	path := made.header.Get("Location")
	if got := do(t, srv, "PATCH", path, `{"title":"other"}`, "If-Match", "*"); got.status != 200 {
		t.Errorf("a new title: %d %s", got.status, got.body)
	}
	if got := do(t, srv, "PATCH", path+"/widgets", `{"add":[{"metric_name":"wide","aggregation":"max","window_seconds":600,"group_by":["host"]}]}`, "If-Match", "*"); got.status != 422 {
		t.Errorf("one more: %d %s", got.status, got.body)
	}
	if got := do(t, srv, "PUT", path, widgets(15), "If-Match", "*"); got.status != 200 {
		t.Errorf("fewer: %d %s", got.status, got.body)
	}
}

// What may not fit is only warned of: conditions of other tags may leave little.
func TestWhatMayNotFitIsWarnedOf(t *testing.T) {
	_, srv := budgeted(t, report())
	body := strings.ReplaceAll(widgets(20), `"host":{"not"`, `"zone":{"not"`)
	got := do(t, srv, "POST", "/dashboards", body)
	var a answer
	if err := json.Unmarshal(got.body, &a); err != nil || got.status != 201 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if !slices.ContainsFunc(a.Warnings, func(w Warning) bool { return strings.Contains(w.Detail, "GET /limits") }) {
		t.Errorf("%+v", a.Warnings)
	}
}

func TestLimitsSayWhatIsCut(t *testing.T) {
	s, srv := budgeted(t)
	if got := do(t, srv, "GET", "/limits", ""); got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Errorf("before the pipeline has said anything: %d %s", got.status, got.body)
	}
	made := do(t, srv, "POST", "/dashboards", oneWidget).dashboard(t)
	if err := s.publisher.follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.limits = told{report(limits.Cut{Key: "m:avg:60s", Scope: limits.Dashboard, Name: made.ID, Resource: limits.Histories, Used: 2e9, Limit: 1e9, SinceMs: 1_000})}
	got := do(t, srv, "GET", "/limits", "")
	var a Limits
	if err := json.Unmarshal(got.body, &a); err != nil || got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if len(a.Budgets) != 12 || len(a.Cut) != 1 || len(a.Cut[0].Widgets) != 1 || a.Cut[0].Widgets[0] != (LimitedWidget{made.ID, idA}) ||
		a.Cut[0].Since.Unix() != 1 || !strings.Contains(a.Cut[0].Reason, "histories") {
		t.Errorf("%s", got.body)
	}
}

// The query set says who pays for a query: each dashboard that has it, and the token that changed it last.
func TestOwnersAreInTheQuerySet(t *testing.T) {
	d := newDerived(testRules())
	a, b := mustDecode(t, oneWidget), mustDecode(t, oneWidget)
	a.ID, b.ID = idA, idB
	c := Changes{Revision: 1, Dashboards: []Dashboard{a, b}, By: map[string]string{idA: "ann"}}
	if _, err := d.apply(c); err != nil {
		t.Fatal(err)
	}
	got := d.entries(t)["m:avg:60s"].Owners
	if want := []wire.Owner{{Dashboard: idA, Token: "ann"}, {Dashboard: idB}}; !slices.Equal(got, want) {
		t.Errorf("owners %v, want %v", got, want)
	}
	if _, err := d.apply(Changes{Revision: 2, Deleted: []string{idA}}); err != nil {
		t.Fatal(err)
	}
	if got := d.entries(t)["m:avg:60s"].Owners; !slices.Equal(got, []wire.Owner{{Dashboard: idB}}) {
		t.Errorf("owners %v", got)
	}
}
