package faults_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pulseboard/e2e/testenv"
	"pulseboard/pipeline/runners/flink/flinkapi"
)

// A job is spread over more subtasks, and over fewer again: nothing is lost, and each subtask has as
// many key groups.
func TestRescaled(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, topics()...)
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	cluster := testenv.StartFlink(t, 2)
	logs := filepath.Join(t.TempDir(), "log")
	log := new(testenv.Buffer)
	o := &operator{t: t, path: testenv.Build(t, "pipeline"), rest: cluster.REST(), log: log}
	submit := []string{
		"--kafka", kafka.Addr(0), "--redis", server.Addr(), "--job-endpoint", cluster.Endpoint(), "--shards", "4",
		"--jars-there", "--checkpoint-interval", "3s", "--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0",
	}
	r := &run{t: t, watch: startWatch(t, server.Addr()), load: startLoad(t, kafka.Addrs(), 100*time.Millisecond)}
	showLogs(t, log, logs)
	r.fault("submit", func() { o.do("submit", submit...) })
	for _, parallelism := range []int{2, 4, 2} {
		o.checkpoint()
		r.fault(fmt.Sprintf("parallelism %d", parallelism), func() {
			path := o.do("savepoint", "--stop")
			o.do("submit", append(slices.Clone(submit), "--savepoint", path, "--parallelism", fmt.Sprint(parallelism))...)
		})
	}
	r.finish()
}

// At each parallelism every subtask has as many key groups, and as many reader shards.
func TestKeysAreSpreadEvenly(t *testing.T) {
	testenv.NeedReal(t)
	kafka := testenv.StartKafka(t, 1, testenv.Topic{Name: topic, Partitions: 16}, testenv.Topic{Name: "metric-dead-letters", Partitions: 1})
	server := testenv.StartRedis(t)
	publish(t, server.Addr())
	cluster := testenv.StartFlinkOf(t, testenv.FlinkSize{TaskManagers: 1, Slots: 16, Settings: `
taskmanager.memory.network.min: 128m
taskmanager.memory.network.max: 128m
taskmanager.memory.managed.size: 4096m
heartbeat.timeout: 60000
`}) // Between 16 subtasks of one process there are 256 channels for each shuffle; and RocksDB needs 256m in each. While they begin
	// on processors that others use too, a heartbeat can take longer than 5 s: the job would begin again, as slowly, for ever.
	logs := filepath.Join(t.TempDir(), "log")
	log := new(testenv.Buffer)
	o := &operator{t: t, path: testenv.Build(t, "pipeline"), rest: cluster.REST(), log: log}
	showLogs(t, log, logs)
	for _, parallelism := range []int{2, 4, 8, 16} {
		o.do("submit", "--kafka", kafka.Addr(0), "--redis", server.Addr(), "--job-endpoint", cluster.Endpoint(), "--shards", "16", "--parallelism", fmt.Sprint(parallelism),
			"--jars-there", "--worker-logs", logs, "--worker-metrics-addr", "127.0.0.1:0", "--job-name", fmt.Sprint("spread-", parallelism))
		id := o.jobNamed(fmt.Sprint("spread-", parallelism))
		// Without events each key group gets one partial for all, which wakes it, of each shard.
		await(t, "each key group to be woken", func() error {
			read, err := o.read(id)
			if err != nil {
				return err
			}
			// Shards that begin in different slices wake them once for each of those.
			for name, want := range map[string]int64{"PreAggregate": 16, "CombinePerKey": 16 * 128, "Slide": 128} {
				i := slices.IndexFunc(read, func(v vertex) bool { return strings.Contains(v.name, name) && v.total() >= want })
				if i < 0 || slices.Max(read[i].subtasks) != slices.Min(read[i].subtasks) {
					return fmt.Errorf("%s should have read %d, as much in each subtask: %+v", name, want, read)
				}
			}
			t.Logf("parallelism %d: %+v", parallelism, read)
			return nil
		})
		if _, err := o.try("cancel", "--job-name", fmt.Sprint("spread-", parallelism)); err != nil {
			t.Log(err) // It has no checkpoint to be told of, maybe.
		}
	}
}

// vertex is a part of a job, and how many elements each subtask of it has read.
type vertex struct {
	name     string
	subtasks []int64
}

func (v vertex) total() (n int64) {
	for _, s := range v.subtasks {
		n += s
	}
	return n
}

func (o *operator) jobNamed(name string) (id string) {
	o.t.Helper()
	await(o.t, "the job "+name, func() error {
		var list struct {
			Jobs []struct{ Jid, Name, State string }
		}
		if err := o.get("/jobs/overview", &list); err != nil {
			return err
		}
		for _, j := range list.Jobs {
			if j.Name == name && j.State == "RUNNING" {
				id = j.Jid
				return nil
			}
		}
		return fmt.Errorf("the jobs are %+v", list.Jobs)
	})
	return id
}

func (o *operator) read(job string) (out []vertex, err error) {
	var detail struct {
		Vertices []struct{ ID, Name string }
	}
	if err := o.get("/jobs/"+job, &detail); err != nil {
		return nil, err
	}
	for _, v := range detail.Vertices {
		var one struct {
			Subtasks []struct {
				Metrics struct {
					Read int64 `json:"read-records"`
				}
			}
		}
		if err := o.get("/jobs/"+job+"/vertices/"+v.ID, &one); err != nil {
			return nil, err
		}
		read := vertex{name: v.Name}
		for _, s := range one.Subtasks {
			read.subtasks = append(read.subtasks, s.Metrics.Read)
		}
		out = append(out, read)
	}
	return out, nil
}

func (o *operator) get(path string, answer any) error {
	return flinkapi.NewClient(o.rest, o.secret).Get(o.t.Context(), path, answer)
}
