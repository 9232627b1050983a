package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/shirou/gopsutil/v4/process"
)

// send has requests under way all the time and measures the node meanwhile.
// The sender does little for a request, since it has the same cores.
func (b *bench) send(ctx context.Context, v variant, n *child, size, senders int) (turn, error) {
	requests := make([]string, 50)
	for i := range requests {
		text, err := body(b.format, size, i, time.Now())
		if err != nil {
			return turn{}, err
		}
		requests[i] = request(b.format, v.peer, text)
	}
	ctx, cancel := context.WithTimeout(ctx, b.length)
	defer cancel()
	p, err := process.NewProcess(int32(n.cmd.Process.Pid))
	if err != nil {
		return turn{}, err
	}
	before, err := p.Times()
	if err != nil {
		return turn{}, err
	}
	var mu sync.Mutex
	var all turn
	var delays []time.Duration
	var failed error
	var wg sync.WaitGroup
	begin := time.Now()
	for s := range senders {
		wg.Go(func() {
			own, err := b.sender(ctx, n.addr, requests, s)
			mu.Lock()
			defer mu.Unlock()
			delays = append(delays, own...)
			all.events += int64(len(own) * size)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	all.took = time.Since(begin)
	after, err := p.Times()
	if err != nil {
		return turn{}, err
	}
	if failed != nil {
		return turn{}, failed
	}
	slices.Sort(delays)
	all.p50 = delays[len(delays)/2]
	all.user, all.system = after.User-before.User, after.System-before.System
	return all, nil
}

func (b *bench) sender(ctx context.Context, addr string, requests []string, first int) (delays []time.Duration, err error) {
	conn, err := new(net.Dialer).DialContext(context.WithoutCancel(ctx), "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // It has been read to the end.
	r := bufio.NewReader(conn)
	for i := first; ctx.Err() == nil; i++ {
		begin := time.Now()
		if _, err := io.WriteString(conn, requests[i%len(requests)]); err != nil {
			return nil, err
		}
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(res.Body)
		_ = res.Body.Close() // It was read.
		if err != nil || res.StatusCode/100 != 2 || strings.Contains(string(text), `"code"`) {
			return nil, fmt.Errorf("the node answers %s: %.300s", res.Status, text)
		}
		delays = append(delays, time.Since(begin))
	}
	return delays, nil
}
