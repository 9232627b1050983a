package deploy_test

import (
	"slices"
	"strings"
	"testing"
)

// compose.yaml closes what docs/operations.md says that a network must close: one port is
// published, each service is in the networks that it needs and no other, and has no right of root's.
func TestComposeNetworks(t *testing.T) {
	type networks map[string]struct {
		Internal bool `yaml:"internal"`
	}
	var c struct {
		Services map[string]struct {
			Networks    any      `yaml:"networks"` // A list, or a map by name.
			NetworkMode string   `yaml:"network_mode"`
			Ports       []string `yaml:"ports"`
			CapDrop     []string `yaml:"cap_drop"`
			SecurityOpt []string `yaml:"security_opt"`
			ReadOnly    bool     `yaml:"read_only"`
		} `yaml:"services"`
		Networks networks `yaml:"networks"`
	}
	readYAML(t, "compose.yaml", &c)
	in := map[string][]string{} // Services by network.
	for name, s := range c.Services {
		var of []string
		switch n := s.Networks.(type) {
		case []any:
			for _, one := range n {
				of = append(of, one.(string))
			}
		case map[string]any:
			of = sorted(n)
		}
		if len(of) == 0 && s.NetworkMode != "none" {
			t.Errorf("%s is in the network of everybody: name those that it needs", name)
		}
		for _, n := range of {
			if _, known := c.Networks[n]; !known {
				t.Errorf("%s is in the network %s, which is none", name, n)
			}
			in[n] = append(in[n], name)
		}
		if name != "nginx" && len(s.Ports) > 0 {
			t.Errorf("%s publishes %v: only nginx does", name, s.Ports)
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s off loopback", name, p)
			}
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s keeps rights: %v %v", name, s.CapDrop, s.SecurityOpt)
		}
		if !s.ReadOnly && name != "kafka" {
			t.Errorf("%s may write into its image", name)
		}
	}
	for name, n := range c.Networks {
		if !n.Internal && !slices.Equal(in[name], []string{"nginx"}) {
			t.Errorf("the network %s has a way out, and %v are in it", name, in[name])
		}
	}
	for name, want := range map[string][]string{
		"database": {"configsvc", "postgres"},
		"events":   {"ingest", "kafka", "submit", "taskmanager"},
		"flink":    {"jobmanager", "jobserver", "prometheus", "submit", "taskmanager"},
	} {
		if slices.Sort(in[name]); !slices.Equal(in[name], want) {
			t.Errorf("in the network %s are %v, want %v", name, in[name], want)
		}
	}
}
