package statsd

import (
	"fmt"
	"net"
	"net/netip"

	"pulseboard/internal/conf"
)

// Options are the flags of the listener.
type Options struct {
	Addr  string         // host:port, UDP and TCP; "" = there is none.
	Allow []netip.Prefix // Who may send; empty = everybody who reaches Addr, which is on loopback then.
	Signs Signs
}

// Flags defines them.
func (o *Options) Flags(f *conf.Flags) {
	var allow conf.List
	signs := string(SignsChange)
	f.StringVar(&o.Addr, "statsd", "", "`host:port` to take StatsD and DogStatsD on, over UDP and TCP, such as 127.0.0.1:8125; empty = none.\nThe protocol has no answers and no tokens: what is lost on the way, or while Kafka is away for long, is lost")
	f.Var(&allow, "statsd-allow", "`networks` that may send StatsD, CIDR ranges separated by commas, such as 10.0.0.0/8; needed where --statsd is not on loopback")
	f.StringVar(&signs, "statsd-signs", signs, "what a sign before the value of a gauge means: change, +3 and -3 change what it stands at, as StatsD has it;\nor value, -3 is a number below 0, as clients of Datadog send it")
	f.Check(func() error {
		var err error
		if o.Allow, err = parseNetworks(allow); err != nil {
			return err
		}
		if o.Signs = Signs(signs); o.Signs != SignsChange && o.Signs != SignsValue {
			return fmt.Errorf("--statsd-signs is %q: it must be %s or %s", signs, SignsChange, SignsValue)
		}
		return o.Check()
	})
}

func parseNetworks(list []string) (all []netip.Prefix, err error) {
	for _, item := range list {
		p, err := netip.ParsePrefix(item)
		if a, e := netip.ParseAddr(item); e == nil {
			p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("--statsd-allow has %.80q: each must be an IP address or a CIDR range, such as 10.0.0.0/8", item)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Check refuses an address that is none, or that others reach while nobody has said who may send.
func (o *Options) Check() error {
	if o.Addr == "" {
		if len(o.Allow) > 0 {
			return fmt.Errorf("--statsd-allow says who may send StatsD, but --statsd is empty: name the address to listen on")
		}
		return nil
	}
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		return fmt.Errorf("--statsd is %q: it must be host:port, such as 127.0.0.1:8125", o.Addr)
	}
	if len(o.Allow) > 0 || conf.IsLoopback(host) {
		return nil
	}
	return fmt.Errorf("--statsd is %q, which other machines can reach, and StatsD knows no tokens: say who may send with --statsd-allow, such as --statsd-allow 10.0.0.0/8, or listen on %s",
		o.Addr, net.JoinHostPort("127.0.0.1", port))
}
