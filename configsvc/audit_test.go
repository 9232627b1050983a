package configsvc

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"pulseboard/e2e/testenv"
	"pulseboard/internal/audit"
	"pulseboard/internal/host"
	"pulseboard/internal/service"
)

func TestEditsAreKept(t *testing.T) {
	var out bytes.Buffer
	record, err := audit.Open(audit.Config{Path: "-", Service: "configsvc", Stdout: &out, Address: service.Proxies(nil).Address, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(Config{
		Store: openTestSQLite(t, newDB(t)), Registry: nowhere{},
		Shared: host.Shared{Log: slog.New(slog.DiscardHandler), Audit: record, Guard: testenv.Guard(t, "edit")},
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s.Handler())
	t.Cleanup(srv.Close)
	token := []string{"Authorization", "Bearer edit", "If-Match", "*"}
	id := do(t, srv, "POST", "/dashboards", oneWidget, token...).dashboard(t).ID
	do(t, srv, "PATCH", "/dashboards/"+id, `{"title":"x"}`, token...)
	do(t, srv, "PATCH", "/dashboards/"+id, `{"widgets":3}`, token...) // Breaks a rule: nothing was changed.
	do(t, srv, "PUT", "/dashboards/"+id, oneWidget, token...)
	do(t, srv, "DELETE", "/dashboards/"+id, "", token...)
	do(t, srv, "POST", "/dashboards/"+id+"/versions/1/restore", "", token...)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := record.Run(ctx); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.SplitSeq(strings.TrimSpace(out.String()), "\n") {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event != audit.Edit || e.Token != "edit" || e.Dashboard != id || e.Address != "127.0.0.1" {
			t.Errorf("%s", line)
		}
		got = append(got, fmt.Sprintf("%s %s %s %d>%d", e.Action, e.Method, e.Route, e.Before, e.After))
	}
	want := []string{
		"created POST /dashboards 0>1", "changed PATCH /dashboards/:id 1>2", "changed PUT /dashboards/:id 2>3",
		"deleted DELETE /dashboards/:id 3>4", "restored POST /dashboards/:id/versions/:version/restore 4>5",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
