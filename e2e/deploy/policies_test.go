package deploy_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// policy is a NetworkPolicy.
type policy struct {
	PodSelector labelSelector `json:"podSelector"`
	PolicyTypes []string      `json:"policyTypes"`
	Ingress     []policyRule  `json:"ingress"`
	Egress      []policyRule  `json:"egress"`
}

type policyRule struct {
	From  []peer       `json:"from"`
	To    []peer       `json:"to"`
	Ports []policyPort `json:"ports"`
}

type policyPort struct {
	Port port `json:"port"`
}

type peer struct {
	PodSelector       *labelSelector  `json:"podSelector"`
	NamespaceSelector *labelSelector  `json:"namespaceSelector"`
	IPBlock           json.RawMessage `json:"ipBlock"`
}

func (m *manifests) policies(t *testing.T) []policy {
	t.Helper()
	var all []policy
	for name, o := range m.of("NetworkPolicy") {
		var p policy
		if err := json.Unmarshal(o.Spec, &p); err != nil {
			t.Fatal(err)
		}
		if len(p.Ingress) > 0 && !slices.Contains(p.PolicyTypes, "Ingress") || len(p.Egress) > 0 && !slices.Contains(p.PolicyTypes, "Egress") {
			t.Errorf("the policy %s has rules of a direction that it is not for: %v", name, p.PolicyTypes)
		}
		all = append(all, p)
	}
	return all
}

// to reports whether a rule is for a port of a pod; a rule without ports is for all.
func (r policyRule) to(w *workload, number int) bool {
	return len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(p policyPort) bool {
		return p.Port == port(strconv.Itoa(number)) || w != nil && w.number(p.Port) == number
	})
}

// with reports whether a pod of this namespace is among peers; none are all.
func with(peers []peer, w *workload) bool {
	return len(peers) == 0 || slices.ContainsFunc(peers, func(p peer) bool {
		return p.NamespaceSelector == nil && p.PodSelector != nil && p.PodSelector.matches(w.Template.Metadata.Labels)
	})
}

// leaves reports whether a pod may connect to a port: of another one or, with nil, of somebody outside.
func leaves(all []policy, from, to *workload, number int) bool {
	return slices.ContainsFunc(all, func(p policy) bool {
		return p.PodSelector.matches(from.Template.Metadata.Labels) && slices.ContainsFunc(p.Egress, func(r policyRule) bool {
			if to == nil {
				outside := len(r.To) == 0 || slices.ContainsFunc(r.To, func(p peer) bool { return p.NamespaceSelector != nil || p.IPBlock != nil })
				return outside && r.to(nil, number)
			}
			return with(r.To, to) && r.to(to, number)
		})
	})
}

func enters(all []policy, from, to *workload, number int) bool {
	return slices.ContainsFunc(all, func(p policy) bool {
		return p.PodSelector.matches(to.Template.Metadata.Labels) && slices.ContainsFunc(p.Ingress, func(r policyRule) bool {
			return with(r.From, from) && r.to(to, number)
		})
	})
}

// inside are all connections that pods have with each other.
var inside = map[string][]int{
	"nginx ingest": {8081}, "nginx configsvc": {8082}, "nginx gateway": {8083}, "canary nginx": {8080},
	"jobmanager jobmanager": {6123, 6124, 6125}, "jobmanager taskmanager": {6122, 6125},
	"taskmanager jobmanager": {6123, 6124}, "taskmanager taskmanager": {6121},
	"jobserver jobmanager": {8081}, "submit jobmanager": {8081}, "submit jobserver": {8099},
}

// networksOf returns who is in each network of compose.yaml, by the names of components.
func networksOf(t *testing.T) map[string][]string {
	t.Helper()
	var c struct {
		Services map[string]struct {
			Networks any `yaml:"networks"` // A list, or a map by name.
		} `yaml:"services"`
	}
	readYAML(t, "compose.yaml", &c)
	in := map[string][]string{}
	for name, s := range c.Services {
		if name = strings.TrimSuffix(name, "-1"); name == "gateway-2" {
			continue
		}
		switch n := s.Networks.(type) {
		case []any:
			for _, one := range n {
				in[one.(string)] = append(in[one.(string)], name)
			}
		case map[string]any:
			for one := range n {
				in[one] = append(in[one], name)
			}
		}
	}
	return in
}

// Nothing is open but what is named: of pods with each other no more than compose.yaml's
// networks let through, and of what is outside who is in its network.
func TestPolicies(t *testing.T) {
	networks := networksOf(t)
	share := func(a, b string) bool {
		return a == b || slices.ContainsFunc(sorted(networks), func(n string) bool { return slices.Contains(networks[n], a) && slices.Contains(networks[n], b) })
	}
	for _, folder := range []string{kubernetesBase, "overlays/example"} {
		m := readManifests(t, folder)
		all := m.policies(t)
		if !slices.ContainsFunc(all, func(p policy) bool {
			return len(p.PodSelector.MatchLabels)+len(p.PodSelector.MatchExpressions)+len(p.Ingress)+len(p.Egress) == 0 && len(p.PolicyTypes) == 2
		}) {
			t.Errorf("%s: what no policy names is not refused", folder)
		}
		for _, from := range m.workloads {
			for _, to := range m.workloads {
				pair := from.Component + " " + to.Component
				for _, number := range to.ports() {
					may, want := leaves(all, from, to, number) && enters(all, from, to, number), slices.Contains(inside[pair], number)
					if may != want {
						t.Errorf("%s: %s may connect to port %d of %s: %v, want %v", folder, from.Component, number, to.Component, may, want)
					}
					if want && !share(from.Component, to.Component) {
						t.Errorf("%s and %s share no network of compose.yaml", from.Component, to.Component)
					}
				}
				for _, number := range inside[pair] {
					if to.number(port(strconv.Itoa(number))) == 0 {
						t.Errorf("%s has no port %d", to.Component, number)
					}
				}
			}
		}
		kafka := map[string]int{kubernetesBase: 9092, "overlays/example": 9093}[folder]
		for number, network := range map[int]string{kafka: "events", 6379: "results", 5432: "database"} {
			for _, w := range m.workloads {
				if got, want := leaves(all, w, nil, number), slices.Contains(networks[network], w.Component); got != want {
					t.Errorf("%s: %s may connect to port %d outside: %v; in compose.yaml's network %s: %v", folder, w.Component, number, got, network, want)
				}
			}
		}
		for _, w := range m.workloads {
			elects := slices.Contains([]string{"jobmanager", "taskmanager", "jobserver"}, w.Component)
			for _, number := range []int{443, 6443} {
				if got := leaves(all, w, nil, number); got != elects {
					t.Errorf("%s: %s may connect to port %d outside: %v, want %v", folder, w.Component, number, got, elects)
				}
			}
			if !leaves(all, w, nil, 53) {
				t.Errorf("%s: %s cannot look names up", folder, w.Component)
			}
			if open := slices.ContainsFunc(all, func(p policy) bool {
				return p.PodSelector.matches(w.Template.Metadata.Labels) && slices.ContainsFunc(p.Ingress, func(r policyRule) bool { return len(r.From) == 0 })
			}); open != (w.Component == "nginx") {
				t.Errorf("%s: everybody may connect to %s: %v", folder, w.Component, open)
			}
		}
	}
}

// relabeled returns the job of a port of a pod by deploy/kubernetes/prometheus.yml, "" when it is not asked.
func relabeled(t *testing.T, component, portName string) string {
	t.Helper()
	var c struct {
		ScrapeConfigs []struct {
			RelabelConfigs []struct {
				SourceLabels []string `yaml:"source_labels"`
				Regex        string   `yaml:"regex"`
				Action       string   `yaml:"action"`
				TargetLabel  string   `yaml:"target_label"`
				Replacement  string   `yaml:"replacement"`
			} `yaml:"relabel_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "kubernetes/prometheus.yml", &c)
	labels := map[string]string{
		"__meta_kubernetes_pod_label_app_kubernetes_io_component": component,
		"__meta_kubernetes_pod_container_port_name":               portName,
		"__meta_kubernetes_pod_name":                              component + "-x",
	}
	for _, r := range c.ScrapeConfigs[0].RelabelConfigs {
		value := labels[r.SourceLabels[0]]
		if value == "" {
			t.Errorf("prometheus.yml looks at %v", r.SourceLabels)
		}
		matches := r.Regex == "" || regexp.MustCompile("^(?:"+r.Regex+")$").MatchString(value)
		switch {
		case r.Action == "keep" && !matches:
			return ""
		case r.Action == "" && matches && r.Replacement != "":
			labels[r.TargetLabel] = r.Replacement
		case r.Action == "" && matches:
			labels[r.TargetLabel] = value
		}
	}
	return labels["job"]
}

// Prometheus, in the namespace monitoring, may ask what that of compose.yaml asks, and nothing
// else; and knows it by the same names of jobs.
func TestPrometheusReachesPods(t *testing.T) {
	config := read(t, "deploy", "prometheus", "prometheus.yml")
	jobs := map[string]bool{}
	for _, job := range regexp.MustCompile(`job_name: (\w+)`).FindAllStringSubmatch(config, -1) {
		jobs[job[1]] = false
	}
	want := map[string][]int{}
	add := func(component, number string) {
		n, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		component = strings.TrimSuffix(strings.TrimSuffix(component, "-1"), "-2")
		if !slices.Contains(want[component], n) {
			want[component] = append(want[component], n)
		}
	}
	for _, target := range regexp.MustCompile(`"([\w-]+):(\d+)"`).FindAllStringSubmatch(config, -1) {
		add(target[1], target[2])
	}
	for _, target := range names.FindAllStringSubmatch(config, -1) {
		add(target[1], target[2])
	}
	m := readManifests(t, kubernetesBase)
	for _, w := range m.workloads {
		var may []int
		for _, p := range m.policies(t) {
			for _, r := range p.Ingress {
				if !p.PodSelector.matches(w.Template.Metadata.Labels) || len(r.From) != 1 || r.From[0].NamespaceSelector == nil {
					continue
				}
				if r.From[0].NamespaceSelector.MatchLabels["kubernetes.io/metadata.name"] != "monitoring" {
					t.Errorf("%s is open to the namespaces %+v", w.Component, r.From[0].NamespaceSelector)
				}
				for _, number := range w.ports() {
					if r.to(w, number) {
						may = append(may, number)
					}
				}
			}
		}
		for _, p := range w.container().Ports {
			job := relabeled(t, w.Component, p.Name)
			if asks := slices.Contains(want[w.Component], p.ContainerPort); asks != (job != "") {
				t.Errorf("the port %s of %s has the job %q; compose.yaml's Prometheus asks it: %v", p.Name, w.Component, job, asks)
			}
			if job == w.Component || job == "pipeline" && p.Name == "worker" {
				jobs[job] = true
			}
		}
		slices.Sort(may)
		if slices.Sort(want[w.Component]); !slices.Equal(may, want[w.Component]) {
			t.Errorf("Prometheus may ask %s at %v, and that of compose.yaml does at %v", w.Component, may, want[w.Component])
		}
	}
	for job, there := range jobs {
		if !there {
			t.Errorf("the job %s is not there", job)
		}
	}
	if promtool, ok := installed("promtool"); ok {
		// Debian's is built without a client of Kubernetes.
		text := regexp.MustCompile(`kubernetes_sd_configs: .*`).ReplaceAllString(read(t, "deploy", "kubernetes", "prometheus.yml"), `static_configs: [{targets: ["a:1"]}]`)
		file := filepath.Join(t.TempDir(), "prometheus.yml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), promtool, "check", "config", "--syntax-only", file).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// address is a name with a port, in a flag, a variable or nginx.conf.
var address = regexp.MustCompile(`(?:^|[^\w.@-])(?:\w+@)?([a-z][a-z0-9-]*):(\d{2,5})\b`)

// Each Service leads to a port of pods that are there, and each address of a Service that
// somebody is given to a port that he may connect to.
func TestServicesLeadSomewhere(t *testing.T) {
	for _, folder := range []string{kubernetesBase, "overlays/example"} {
		m := readManifests(t, folder)
		all := m.policies(t)
		type target struct {
			of     *workload
			number int
		}
		targets := map[string]target{} // By name:port.
		services := m.of("Service")
		for name, o := range services {
			var s service1
			if err := json.Unmarshal(o.Spec, &s); err != nil {
				t.Fatal(err)
			}
			w := m.workload(t, s.Selector[componentLabel])
			if pod := s.Selector["statefulset.kubernetes.io/pod-name"]; pod != "" {
				n, err := strconv.Atoi(strings.TrimPrefix(pod, w.Component+"-"))
				if err != nil || pod != name || n < w.Ordinals.Start || n >= w.Ordinals.Start+w.Replicas {
					t.Errorf("%s: the Service %s is for the pod %s, and %s has %d from %d on", folder, name, pod, w.Component, w.Replicas, w.Ordinals.Start)
				}
			}
			for _, p := range s.Ports {
				number := w.number(p.TargetPort)
				if number == 0 {
					t.Errorf("%s: the Service %s leads to the port %s, which %s has not", folder, name, p.TargetPort, w.Component)
				}
				targets[name+":"+strconv.Itoa(p.Port)] = target{w, number}
			}
		}
		used := map[string]bool{}
		for _, w := range m.workloads {
			texts := m.command(t, w)
			for _, value := range m.environment(t, w) {
				texts = append(texts, value)
			}
			if w.Component == "nginx" {
				texts = append(texts, m.of("ConfigMap")["nginx"].Data["nginx.conf"])
			}
			for _, found := range address.FindAllStringSubmatch(strings.Join(texts, "\n"), -1) {
				to, ok := targets[found[1]+":"+found[2]]
				number, err := strconv.Atoi(found[2])
				if err != nil {
					t.Fatal(err)
				}
				_, service := services[found[1]]
				switch {
				case ok:
					used[found[1]] = true
					if !leaves(all, w, to.of, to.number) || !enters(all, w, to.of, to.number) {
						t.Errorf("%s: %s is given %s:%s, and no policy lets it through", folder, w.Component, found[1], found[2])
					}
				case service:
					t.Errorf("%s: %s is given %s:%s, and the Service has no such port", folder, w.Component, found[1], found[2])
				case folder == kubernetesBase && !leaves(all, w, nil, number):
					t.Errorf("%s: %s is given %s:%s, and no policy lets it out", folder, w.Component, found[1], found[2])
				}
			}
		}
		// The others are for people, for an Ingress, and what a StatefulSet must have.
		for name := range services {
			if !used[name] && !slices.Contains([]string{"nginx", "gateway"}, name) {
				t.Errorf("%s: nobody is given the Service %s", folder, name)
			}
		}
		for name, n := range map[string]int{"gateway-": m.workload(t, "gateway").Replicas} {
			if have := strings.Count(strings.Join(sorted(services), " "), name); have != n {
				t.Errorf("%s: %d gateways have a Service of their own, of %d", folder, have, n)
			}
		}
		for _, o := range m.of("Ingress") {
			for _, found := range regexp.MustCompile(`"service":\{"name":"([\w-]+)","port":\{"name":"([\w-]+)"`).FindAllStringSubmatch(string(o.Spec), -1) {
				if _, ok := services[found[1]]; !ok || m.workload(t, found[1]).number(port(found[2])) == 0 {
					t.Errorf("%s: the Ingress leads to the port %s of %s", folder, found[2], found[1])
				}
			}
		}
	}
}
