package flink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/runtime/graphx"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/core/util/hooks"
	jobpb "github.com/apache/beam/sdks/v2/go/pkg/beam/model/jobmanagement_v1"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"pulseboard/pipeline"
	"pulseboard/pipeline/runners/flink/flinkapi"
)

// ErrRunning is returned for a job whose name one that is running has.
var ErrRunning = errors.New("a job of this name is running already")

// Submit gives the job to Flink and returns when Flink has it: it goes on
// without the caller. Without REST it returns when the job server has it.
func Submit(ctx context.Context, c Config) error {
	if err := c.Validate(); err != nil {
		return err
	}
	client := flinkapi.NewClient(c.REST, c.secret)
	if c.REST != "" {
		switch j, err := client.Find(ctx, c.JobName); {
		case errors.Is(err, flinkapi.ErrNoJob):
		case err != nil:
			return fmt.Errorf("cannot see whether the job is running already: %w; name Flink's REST API with --rest, or pass --rest= to submit all the same", err)
		case !j.Ended() && c.Print != nil:
			return nil
		case !j.Ended():
			return fmt.Errorf("%w: %s, %s; cancel it first, or choose another --job-name", ErrRunning, c.JobName, j.ID)
		}
	}
	if c.Savepoint != "" {
		newest, err := flinkapi.Newest(c.Savepoint)
		if err != nil {
			return err
		}
		if newest == "" && !c.Keep && c.Print == nil {
			return fmt.Errorf("no checkpoint or savepoint is below %s: name one, or leave --savepoint out to begin with what Kafka holds", c.Savepoint)
		}
		if newest == "" {
			c.Log.Warn("there is no checkpoint or savepoint yet: windows begin with what Kafka holds", "folder", c.Savepoint)
		}
		c.Savepoint = newest
	}
	plan, err := pipeline.NewPlan(ctx, c.Config)
	if err != nil {
		return err
	}
	shards := c.Shards
	if shards == 0 {
		shards = shardsFor(c.Parallelism, plan.Partitions)
	}
	request, err := c.job(ctx, plan, shards)
	if err != nil {
		return err
	}
	if c.Print != nil {
		return c.print(request)
	}
	c.Log.Info("the pipeline is submitted", "runner", "flink", "job_server", c.JobServer, "job", c.JobName, "parallelism", c.Parallelism,
		"shards", shards, "partitions", plan.Partitions, "key_groups", c.KeyGroups, "queries", plan.Queries, "from_if_no_state", plan.Start.UTC(), "savepoint", c.Savepoint)
	since := time.Now()
	job, err := c.give(ctx, request)
	if err != nil || c.REST == "" {
		return err
	}
	return c.accepted(ctx, client, job, since)
}

// job is what is given to Flink.
func (c *Config) job(ctx context.Context, plan pipeline.Plan, shards int) (*jobpb.PrepareJobRequest, error) {
	pipeline.InitBeam()
	p, s := beam.NewPipelineWithRoot()
	pipeline.Build(s, c.Config, c.traits(shards), plan.Run, plan.Start)
	worker, err := json.Marshal(workerOptions{
		Run: plan.Run, Kafka: c.Kafka, Topic: c.Topic, Redis: c.Redis, Lease: plan.Lease, SliceMs: c.Slice.Milliseconds(), KeyGroups: c.KeyGroups,
		Metrics: c.WorkerMetrics, Edge: c.WorkerEdge, Logs: c.WorkerLogs, Pprof: c.WorkerPprof, LogLevel: c.LogLevel,
		StateBytes: c.StateBytes, BudgetShare: c.BudgetShare, Hidden: c.Hidden,
	})
	if err != nil {
		return nil, err
	}
	return c.request(ctx, p, string(worker))
}

// shardsFor makes more reader shards than workers, since they are spread by a
// hash, but never one without a partition: it would hold the watermark.
func shardsFor(parallelism, partitions int) int {
	if parallelism == 1 {
		return 1
	}
	return max(1, min(2*parallelism, partitions))
}

// request is what the SDK's own runner would send, but with the options where
// Flink's runner looks for them: that one hides all but a few among those of Go
// (apache/beam#36539), and bundles then last ten seconds, without checkpoints.
func (c *Config) request(ctx context.Context, p *beam.Pipeline, worker string) (*jobpb.PrepareJobRequest, error) {
	edges, _, err := p.Build()
	if err != nil {
		return nil, fmt.Errorf("the pipeline is wrong: %w", err)
	}
	process, err := json.Marshal(map[string]string{"command": c.Worker})
	if err != nil {
		return nil, err
	}
	env, err := graphx.CreateEnvironment(ctx, graphx.URNEnvProcess, func(context.Context) string { return string(process) })
	if err != nil {
		return nil, err
	}
	model, err := graphx.Marshal(edges, &graphx.Options{Environment: env, PipelineResourceHints: jobopts.GetPipelineResourceHints()})
	if err != nil {
		return nil, fmt.Errorf("cannot write the pipeline for Flink: %w", err)
	}
	for _, e := range model.GetComponents().GetEnvironments() {
		e.Dependencies = nil // The program is where the TaskManagers are: nothing is staged.
	}
	hooks.SerializeHooksToOptions()
	beam.PipelineOptions.Set(workerOption, worker)
	text, err := json.Marshal(beam.PipelineOptions.Export())
	if err != nil {
		return nil, err
	}
	var goOptions map[string]any
	if err := json.Unmarshal(text, &goOptions); err != nil {
		return nil, err
	}
	options := map[string]any{
		"go_options": goOptions, "app_name": c.JobName, "job_name": c.JobName, "experiments": []any{"beam_fn_api"},
		"streaming": true, "parallelism": c.Parallelism, "max_parallelism": c.KeyGroups,
		// Bundles are closed by time, since what comes of one slice comes at once.
		"max_bundle_size": 1000, "max_bundle_time_mills": c.BundleTime.Milliseconds(),
		// Else the bundle that is open when a checkpoint begins is ended behind the
		// checkpoint's barrier, its watermark goes out at once and its elements later.
		"finish_bundle_before_checkpointing": true,
		"checkpointing_interval":             c.Checkpoint.Milliseconds(),
		// A storage that is away for a minute costs time after the next failure; a restart would cost results now.
		"fail_on_checkpointing_errors":     false,
		"externalized_checkpoints_enabled": true, "retain_externalized_checkpoints_on_cancellation": true,
	}
	if c.Savepoint != "" {
		options["savepoint_path"] = c.Savepoint
	}
	if c.JarsThere {
		options["pipeline_resources_detector_factory_class"] = "pulseboard.flink.NothingToStage"
	}
	named := make(map[string]any, len(options))
	for name, v := range options {
		named["beam:option:"+name+":v1"] = v
	}
	st, err := structpb.NewStruct(named)
	if err != nil {
		return nil, fmt.Errorf("cannot write the options for Flink: %w", err)
	}
	return &jobpb.PrepareJobRequest{Pipeline: model, PipelineOptions: st, JobName: c.JobName}, nil
}

// print writes the job for pulseboard.flink.Application.
func (c *Config) print(request *jobpb.PrepareJobRequest) error {
	b, err := proto.Marshal(request)
	if err != nil {
		return fmt.Errorf("cannot write the job: %w", err)
	}
	_, err = c.Print.Write(b)
	return err
}

// How long the job server may take: it may have to send its jars to Flink.
const submitTimeout = 2 * time.Minute

// give returns the job server's id of the job.
func (c *Config) give(ctx context.Context, request *jobpb.PrepareJobRequest) (id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	err = c.withJobServer(func(client jobpb.JobServiceClient) error {
		prepared, err := client.Prepare(ctx, request)
		if err != nil {
			return err
		}
		run, err := client.Run(ctx, &jobpb.RunJobRequest{PreparationId: prepared.GetPreparationId()})
		id = run.GetJobId()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("cannot submit to the job server at %s: %w; is it running, and reachable with --job-endpoint? Its log may say more", c.JobServer, err)
	}
	return id, nil
}

func (c *Config) withJobServer(do func(jobpb.JobServiceClient) error) error {
	conn, err := grpc.NewClient(c.JobServer, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithPerRPCCredentials(c.secret))
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // Everything was answered.
	return do(jobpb.NewJobServiceClient(conn))
}

// accepted waits until Flink lists the job, and returns the job server's error if it cannot hand it on: that happens
// after its response to the submission.
func (c *Config) accepted(ctx context.Context, rest *flinkapi.Client, id string, since time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, submitTimeout)
	defer cancel()
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		// Flink's clock may differ, so start times are not compared: Submit found no running job of this name.
		j, err := rest.Find(ctx, c.JobName)
		if err == nil && !j.Ended() {
			return nil
		}
		if err := c.refused(ctx, id); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the job server at %s took the job, and Flink at %s has not got it after %v: is the job server's --flink-master this Flink?", c.JobServer, c.REST, time.Since(since).Round(time.Second))
		case <-t.C:
		}
	}
}

// refused returns why the job server could not give the job to Flink, nil as far as it could.
func (c *Config) refused(ctx context.Context, id string) error {
	refused, reason := false, "its log says why"
	_ = c.withJobServer(func(client jobpb.JobServiceClient) error {
		s, err := client.GetState(ctx, &jobpb.GetJobStateRequest{JobId: id})
		if refused = s.GetState() == jobpb.JobState_FAILED; err != nil || !refused {
			return err
		}
		messages, err := client.GetMessageStream(ctx, &jobpb.JobMessagesRequest{JobId: id})
		for err == nil {
			var m *jobpb.JobMessagesResponse
			if m, err = messages.Recv(); err == nil && m.GetMessageResponse().GetImportance() == jobpb.JobMessage_JOB_MESSAGE_ERROR {
				reason = m.GetMessageResponse().GetMessageText()
			}
		}
		return err
	})
	if !refused {
		return nil // Also when the job server does not respond: Flink may have the job.
	}
	if flinkapi.OfAnotherJob(reason) {
		return fmt.Errorf("cannot go on from %s: %s (name an empty folder, or none, with --savepoint); Flink says: %s", c.Savepoint, flinkapi.AboutAnotherJob, reason)
	}
	return fmt.Errorf("the job server at %s could not give the job to Flink: %s", c.JobServer, reason)
}

// KeepRunning submits the job when Flink does not have it, now and later, until ctx
// ends or the job is canceled: a JobManager that comes back without its
// jobs gets it again, from the newest checkpoint. (One with high availability
// configured brings its jobs back itself, and needs none of this.)
func KeepRunning(ctx context.Context, c Config) error {
	if c.REST == "" {
		return errors.New("--keep needs --rest: it is how it sees that the job is gone")
	}
	rest := flinkapi.NewClient(c.REST, c.secret)
	const shortest, longest = time.Second, 30 * time.Second
	delay, seen := shortest, false
	for {
		j, err := rest.Find(ctx, c.JobName)
		switch gone := errors.Is(err, flinkapi.ErrNoJob); {
		case gone, err == nil && j.Ended() && (!seen || j.State == "FAILED"):
			err = Submit(ctx, c)
			if err == nil {
				delay, seen = shortest, true
				break
			}
			c.Log.Error("cannot submit the job; trying again", "error", err, "in", delay)
			delay = min(2*delay, longest)
		case err != nil:
			c.Log.Debug("Flink cannot be asked; trying again", "error", err)
		case j.Ended():
			c.Log.Info("the job was ended, and is not submitted again", "state", j.State)
			return nil
		default:
			seen = true
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
	}
}
