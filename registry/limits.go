package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"pulseboard/limits"
)

// Where the processes of the pipeline say which queries they cut.
const (
	limitsRuns   = "limits:runs"    // Hash: run → 1.
	limitsPrefix = "limits:report:" // + run: the report as JSON; it expires when the process is gone.
	limitsCut    = "limits:cut"     // The cuts of the newest report, for a start.

	limitsExpire = 30 * time.Second
	cutExpire    = 24 * time.Hour
)

// SaveLimits publishes what a process of the pipeline says. It must be said
// again before half a minute is over.
func (s *Store) SaveLimits(ctx context.Context, run string, r limits.Report) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("cannot encode the limits: %w", err)
	}
	cut, err := json.Marshal(r.Cut)
	if err != nil {
		return fmt.Errorf("cannot encode the limits: %w", err)
	}
	_, err = s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, s.client.Key(limitsPrefix+run), text, limitsExpire)
		p.HSet(ctx, s.client.Key(limitsRuns), run, 1)
		p.Set(ctx, s.client.Key(limitsCut), cut, cutExpire)
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot publish the limits to Redis: %w", err)
	}
	return nil
}

// DropLimits takes the report of a process back that ends.
func (s *Store) DropLimits(ctx context.Context, run string) error {
	_, err := s.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, s.client.Key(limitsPrefix+run))
		p.HDel(ctx, s.client.Key(limitsRuns), run)
		return nil
	})
	return err
}

// LoadLimits returns what the processes of the pipeline say.
func (s *Store) LoadLimits(ctx context.Context) ([]limits.Report, error) {
	runs, err := s.client.HKeys(ctx, s.client.Key(limitsRuns)).Result()
	if err != nil || len(runs) == 0 {
		return nil, loading(err)
	}
	slices.Sort(runs)
	keys := make([]string, len(runs))
	for i, run := range runs {
		keys[i] = s.client.Key(limitsPrefix + run)
	}
	texts, err := s.client.MGet(ctx, keys...).Result()
	if err != nil {
		return nil, loading(err)
	}
	var out []limits.Report
	var gone []string
	for i, v := range texts {
		text, ok := v.(string)
		if !ok {
			gone = append(gone, runs[i])
			continue
		}
		var r limits.Report
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			return nil, fmt.Errorf("cannot read the limits that the pipeline says: %w", err)
		}
		out = append(out, r)
	}
	if len(gone) > 0 {
		_ = s.client.HDel(ctx, s.client.Key(limitsRuns), gone...).Err() // The next reader does it.
	}
	return out, nil
}

// LastCut returns what was cut when a process of the pipeline ended: it stays so
// until it is known how wide the queries are.
func (s *Store) LastCut(ctx context.Context) ([]limits.Cut, error) {
	text, err := s.client.Get(ctx, s.client.Key(limitsCut)).Result()
	if errors.Is(err, redis.Nil) {
		return nil, nil
	}
	var cut []limits.Cut
	if err == nil {
		err = json.Unmarshal([]byte(text), &cut)
	}
	return cut, loading(err)
}

func loading(err error) error {
	if err != nil {
		return fmt.Errorf("cannot read the limits from Redis: %w", err)
	}
	return nil
}
