package ingest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What becomes of the JSON of agents: docs/ingest.md, "Agents". e2e/ingest has those themselves that could be installed.
func TestAgents(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	seconds, clock := fmt.Sprint(now.Unix()), now.UTC().Format(time.RFC3339)
	for _, c := range []struct{ name, path, body, want string }{
		{"a batch of Telegraf", "telegraf", `{"metrics":[{"name":"cpu","tags":{"host":"a"},"fields":{"usage_idle":93.5,"value":7,"up":true,"s":"x"},"timestamp":` + seconds + `},{"name":"m","tags":{},"fields":{"v":1},"timestamp":` + seconds + `}]}`, `cpu.up{"host":"a"} 1 0 point; cpu.usage_idle{"host":"a"} 93.5 0 point; cpu{"host":"a"} 7 0 point; m.v{} 1 0 point`},
		{"one metric of Telegraf after the other, in milliseconds and nanoseconds", "telegraf", `{"name":"m","fields":{"v":1},"timestamp":` + seconds + "125}\n" + `{"name":"m","fields":{"v":2},"timestamp":` + seconds + `000000001}`, `m.v{} 1 125 point; m.v{} 2 0 point 1`},
		{
			"collectd", "collectd", `[{"values":[1901474177],"dstypes":["derive"],"dsnames":["value"],"time":` + seconds + `.250,"interval":10.000,"host":"leeloo","plugin":"cpu","plugin_instance":"0","type":"cpu","type_instance":"idle"},
			{"values":[0.5,0.25,null],"dstypes":["gauge","gauge","gauge"],"dsnames":["shortterm","midterm","longterm"],"time":` + seconds + `.000,"interval":10.000,"host":"leeloo","plugin":"load","plugin_instance":"","type":"load","type_instance":""},
			{"values":[3],"dstypes":["absolute"],"dsnames":["rx"],"time":` + seconds + `,"interval":10,"host":"h","plugin":"interface","plugin_instance":"eth0","type":"if_octets","type_instance":""}]`,
			`cpu{"host":"leeloo","plugin_instance":"0","type_instance":"idle"} 1.901474177e+09 250 cumulative point; interface.if_octets.rx{"host":"h","plugin_instance":"eth0"} 3 0 delta point; load.midterm{"host":"leeloo"} 0.25 0 gauge point; load.shortterm{"host":"leeloo"} 0.5 0 gauge point`,
		},
		{
			"Vector", "vector", `[{"name":"requests","namespace":"shop","tags":{"host":"a","many":["x","y"]},"timestamp":"` + clock + `","kind":"incremental","counter":{"value":6.0}},
			{"name":"total","kind":"absolute","counter":{"value":60.0}},{"name":"temp","kind":"absolute","gauge":{"value":21.5}},{"name":"took","kind":"incremental","distribution":{"samples":[{"value":2.0,"rate":2},{"value":3.0,"rate":1}],"statistic":"histogram"}},
			{"name":"h","kind":"absolute","aggregated_histogram":{"buckets":[{"upper_limit":0.5,"count":2},{"upper_limit":1.0,"count":3}],"count":6,"sum":4.5}},
			{"name":"s","kind":"absolute","aggregated_summary":{"quantiles":[{"quantile":0.99,"value":3.0}],"count":5,"sum":7.0}}]`,
			`h_bucket{"le":"+Inf"} 6 on arrival cumulative; h_bucket{"le":"0.5"} 2 on arrival cumulative; h_bucket{"le":"1"} 5 on arrival cumulative; h_count{} 6 on arrival cumulative; h_sum{} 4.5 on arrival cumulative; s_count{} 5 on arrival cumulative; s_sum{} 7 on arrival cumulative; shop.requests{"host":"a","many":"y"} 6 0 delta; ` +
				`s{"quantile":"0.99"} 3 on arrival gauge; temp{} 21.5 on arrival gauge; took{} 2 on arrival; took{} 2 on arrival; took{} 3 on arrival; total{} 60 on arrival cumulative`,
		},
		{"Fluent Bit", "fluent-bit?name=cpu&tags=host", `[{"date":` + seconds + `.5,"cpu_p":1.5,"host":"a","log":"text","cpu0":{"p_user":2,"on":true}}]`, `cpu.cpu0.on{"host":"a"} 1 500; cpu.cpu0.p_user{"host":"a"} 2 500; cpu.cpu_p{"host":"a"} 1.5 500`},
		{"lines of Fluent Bit, with a date of its other form", "fluent-bit", `{"date":"` + clock + `","n":1}` + "\n" + `{"n":2}`, `n{} 1 0; n{} 2 on arrival`},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := start(t, nil)
			url := strings.TrimSuffix(n.url, "/ingest") + "/ingest/" + c.path
			if res, text := ask(t, http.DefaultClient, http.MethodPost, url, []byte(c.body), "Content-Type", "application/json"); res.StatusCode != http.StatusOK || !strings.Contains(text, `"rejected":0`) {
				t.Error(res.Status, text)
			}
			if got := strings.Join(n.values(now), "; "); got != c.want {
				t.Errorf("stored\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// An agent repeats what was not answered: points count once by themselves, other events with times by their body. Verdicts are told with
// 200, as agents repeat what is answered 400.
func TestAgentsRepeat(t *testing.T) {
	n := start(t, nil)
	url := strings.TrimSuffix(n.url, "/ingest") + "/ingest/"
	clock := time.Now().UTC().Format(time.RFC3339Nano)
	for _, body := range []string{`{"name":"once","kind":"incremental","counter":{"value":1},"timestamp":"` + clock + `"}`, `{"name":"each","kind":"incremental","counter":{"value":1}}`} {
		for range 2 {
			if res, text := ask(t, http.DefaultClient, http.MethodPost, url+"vector", []byte(body)); res.StatusCode != http.StatusOK {
				t.Error(res.Status, text)
			}
		}
	}
	ids := map[string]map[string]bool{}
	for _, s := range n.stored() {
		if ids[s.key] == nil {
			ids[s.key] = map[string]bool{}
		}
		ids[s.key][s.id] = true
	}
	if len(ids["once"]) != 1 || len(ids["each"]) != 2 {
		t.Errorf("ids %v", ids)
	}
	for path, body := range map[string]string{"telegraf": `{"name":"m","fields":{"v":1},"timestamp":7}`, "collectd": `[{"plugin":"p"}]`, "vector": `{"message":"a log"}`, "fluent-bit": `[{"log":"x"}]`} {
		if res, text := ask(t, http.DefaultClient, http.MethodPost, url+path, []byte(body)); res.StatusCode != http.StatusOK || !strings.HasPrefix(text, `{"accepted":0,"rejected":1,`) {
			t.Errorf("%s: %s %s", path, res.Status, text)
		}
	}
}
