// Command held says what a store takes that holds some series with an event a second each for as long as slices are kept:
// bytes a slice, the heap after a collection, and the memory of the process as the collector left it.
//
//	go run ./bench/held --series 10000 --for 71m4s --values quarters
package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"pulseboard/aggregate"
	"pulseboard/internal/conf"
	"pulseboard/internal/service"
	"pulseboard/metric"
)

const about = `
held fills a store with series of one event a second, and says what they take.`

func main() { os.Exit(service.Main("held", run)) } //nolint:forbidigo // It is main.

func run(ctx context.Context, env service.Env) error {
	f := conf.New("held", about)
	series := 10_000
	held := 71*time.Minute + 4*time.Second
	values := "quarters"
	f.IntVar(&series, "series", series, "`number` of series, 100 of each metric")
	f.DurationVar(&held, "for", held, "`time` that slices are held; a tenth more is written, to see that it stays flat")
	f.StringVar(&values, "values", values, "`kind` of the values: whole, quarters or floats")
	if err := f.Parse(env.Args, env.Getenv, env.Stdout); err != nil {
		return err
	}
	names := make([]*aggregate.Name, series)
	known := aggregate.NewNames()
	for i := range names {
		tags := metric.NewTags(map[string]string{"host": fmt.Sprint("host-", i%100), "region": "eu-west", "service": "checkout"})
		names[i] = known.Of(fmt.Sprint("metric-", i/100), tags.AppendKey(nil), 0)
	}
	slices := int64(held / time.Second)
	store := aggregate.NewStore(aggregate.Options{Retain: slices})
	r := rand.New(rand.NewPCG(1, 1))
	const first = 1_763_892_000
	for n := int64(1); n <= slices+slices/10; n++ {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		table := aggregate.Table{}
		for _, name := range names {
			table.Add(first+n, name, value(r, values), (first+n)*1000+r.Int64N(1000))
		}
		store.Merge(table)
		if n%(1+slices/10) == 0 || n == slices+slices/10 {
			report(env.Stdout, store, n, min(n, slices)*int64(series))
		}
	}
	return nil
}

func value(r *rand.Rand, kind string) float64 {
	switch kind {
	case "whole":
		return float64(r.IntN(1000))
	case "quarters":
		return float64(r.IntN(2000)) / 4
	}
	return r.NormFloat64() * 100
}

func report(out io.Writer, s *aggregate.Store, seconds, cells int64) {
	rss := resident()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	_, _ = fmt.Fprintf(out, "%5d s: %6.1f MB counted, %5.2f bytes a slice, heap %6.1f MB, RSS %6.1f MB\n",
		seconds, mb(s.Bytes()), float64(s.Bytes())/float64(cells), mb(int64(m.HeapAlloc)), mb(rss))
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// resident is the memory of this process that lies in RAM, in bytes.
func resident() int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	found := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(text)
	if found == nil {
		return 0
	}
	kb, _ := strconv.ParseInt(string(found[1]), 10, 64)
	return kb * 1024
}
