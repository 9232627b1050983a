package bodies_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"pulseboard/internal/bodies"
)

const limit = 1 << 20

func address(s string) bodies.Sender { return bodies.Sender{Address: netip.MustParseAddr(s)} }

func value(t *testing.T, g prometheus.Gauge) float64 {
	t.Helper()
	var m dto.Metric
	if err := g.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetGauge().GetValue()
}

// hold reads a body of so many bytes, which stays until the test ends.
func hold(t *testing.T, b *bodies.Budget, n int, from bodies.Sender) error {
	t.Helper()
	body, err := b.Read(bytes.NewReader(make([]byte, n)), int64(n), limit, from)
	t.Cleanup(body.Release)
	return err
}

// What a body announces takes nothing: only what has come does.
func TestAnnouncedBytesTakeNothing(t *testing.T) {
	pending := prometheus.NewGauge(prometheus.GaugeOpts{})
	b := bodies.New(16*limit, pending)
	var running sync.WaitGroup
	var pipes []*io.PipeWriter
	for range 100 {
		r, w := io.Pipe()
		pipes = append(pipes, w)
		running.Go(func() {
			body, err := b.Read(r, limit-2, limit, address("192.0.2.1"))
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Error(err)
			}
			body.Release()
		})
		if _, err := w.Write([]byte("[")); err != nil {
			t.Fatal(err)
		}
	}
	if got := value(t, pending); got > 100*4096 {
		t.Errorf("100 bodies of which a byte each has come take %v bytes", got)
	}
	if err := hold(t, b, limit-1, address("192.0.2.1")); err != nil {
		t.Errorf("an honest body beside them: %v", err)
	}
	for _, w := range pipes {
		_ = w.CloseWithError(io.ErrUnexpectedEOF)
	}
	running.Wait()
	if got := value(t, pending); got >= 2*limit {
		t.Errorf("%v bytes are not given back", got)
	}
}

// One address holds half at most while another wants some, and the other gets its
// part whoever was first; of those that many may be behind, three quarters.
func TestAnAddressHasAShare(t *testing.T) {
	const all, piece = 64 * limit, limit / 2
	for name, c := range map[string]struct {
		greedy, other bodies.Sender
		most          int
		want          error
	}{
		"an address":          {address("192.0.2.1"), address("192.0.2.2"), all / 2, bodies.ErrAddress},
		"a proxy":             {bodies.Sender{Address: netip.MustParseAddr("127.0.0.1"), Near: true}, address("192.0.2.2"), all / 4 * 3, bodies.ErrAddress},
		"a token":             {bodies.Sender{Address: netip.MustParseAddr("192.0.2.1"), Token: "a"}, bodies.Sender{Address: netip.MustParseAddr("192.0.2.1"), Token: "b"}, all / 2, bodies.ErrToken},
		"tokens of a network": {bodies.Sender{Address: netip.MustParseAddr("192.0.2.1"), Token: "a"}, bodies.Sender{Address: netip.MustParseAddr("192.0.2.2"), Token: "a2"}, all / 2, bodies.ErrToken},
	} {
		t.Run(name, func(t *testing.T) {
			b := bodies.New(all, nil)
			if err := hold(t, b, piece-1, c.other); err != nil {
				t.Fatal(err)
			}
			held := 0
			for {
				err := hold(t, b, piece-1, c.greedy)
				if err != nil {
					if !errors.Is(err, c.want) {
						t.Errorf("it is refused with %v, not with %v", err, c.want)
					}
					break
				}
				held += piece
			}
			if held > c.most || held < c.most-2*piece {
				t.Errorf("it holds %d pieces, and should hold about %d", held/piece, c.most/piece)
			}
			for i := range 8 {
				if err := hold(t, b, piece-1, c.other); err != nil {
					t.Fatalf("the other, which holds %d pieces: %v", i+1, err)
				}
			}
		})
	}
}

// However many addresses take what they may, a small body of one more is read.
func TestSomethingIsAlwaysLeft(t *testing.T) {
	b := bodies.New(64*limit, nil)
	for i := range 200 {
		from := bodies.Sender{Address: netip.AddrFrom4([4]byte{127, 0, byte(i / 250), byte(1 + i%250)})}
		for hold(t, b, 100_000, from) == nil {
		}
	}
	if err := hold(t, b, 300, address("192.0.2.9")); err != nil {
		t.Error(err)
	}
}

// A body alone may have all, else one of the largest size could never be sent.
func TestABodyAloneHasAll(t *testing.T) {
	b := bodies.New(1000, nil)
	for _, n := range []int{1000, 730, 1} {
		body, err := b.Read(strings.NewReader(strings.Repeat("x", n)), int64(n), 1000, address("192.0.2.1"))
		if err != nil || len(body.Text) != n {
			t.Errorf("%d bytes: %d, %v", n, len(body.Text), err)
		}
		body.Release()
	}
	first, err := b.Read(strings.NewReader(strings.Repeat("x", 730)), 730, 1000, address("192.0.2.1"))
	if err != nil {
		t.Fatal(err)
	}
	if err := hold(t, b, 730, address("192.0.2.1")); !errors.Is(err, bodies.ErrFull) {
		t.Error(err)
	}
	first.Release()
	first.Release() // A second time gives nothing back.
}

// Bodies of all sizes, whole and in pieces, with and without a length, are read as they are.
func TestReadsWhatIsThere(t *testing.T) {
	pending := prometheus.NewGauge(prometheus.GaugeOpts{})
	b := bodies.New(64*limit, pending)
	random := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 511, 512, 513, 4095, 4096, 4097, 16384, 65536, 65537, 1 << 18, limit - 1, limit} {
		want := make([]byte, n)
		for i := range want {
			want[i] = byte(random.Uint32())
		}
		for name, r := range map[string]io.Reader{
			"whole": bytes.NewReader(want), "halves": iotest.HalfReader(bytes.NewReader(want)), "end with bytes": iotest.DataErrReader(bytes.NewReader(want)),
		} {
			for _, length := range []int64{int64(n), -1} {
				body, err := b.Read(io.LimitReader(r, int64(n)), length, limit, address("192.0.2.1"))
				if err != nil || !bytes.Equal(body.Text, want) {
					t.Errorf("%s, %d bytes, announced %d: %d bytes, %v", name, n, length, len(body.Text), err)
				}
				body.Release()
				if s, ok := r.(io.Seeker); ok {
					_, _ = s.Seek(0, io.SeekStart)
					continue
				}
				break
			}
		}
	}
	if body, err := b.Read(bytes.NewReader(make([]byte, limit+1)), -1, limit, address("192.0.2.1")); !errors.Is(err, bodies.ErrTooLarge) {
		t.Errorf("a byte too many: %v", err)
	} else {
		body.Release()
	}
	if got := value(t, pending); got != 0 {
		t.Errorf("%v bytes are not given back", got)
	}
}
