package deploy_test

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// composeName is the service of compose.yaml that a component is.
func composeName(component string) string {
	if component == "gateway" {
		return "gateway-1"
	}
	return component
}

// inKubernetes are flags that have another value than in compose.yaml, or are there alone.
var inKubernetes = []string{"--job-host", "--instance", "--token-file", "--origins", "--state-bytes"}

// Each container is one of compose.yaml: the same image, the same command, and each flag
// with the same value or, where it is an address or the file of a password, in a ConfigMap.
func TestManifestsAreThoseOfCompose(t *testing.T) {
	c := readCompose(t)
	m := readManifests(t, kubernetesBase)
	for _, w := range m.workloads {
		s, ok := c.Services[composeName(w.Component)]
		if !ok {
			t.Errorf("compose.yaml has no %s", w.Component)
			continue
		}
		if image := w.container().Image; image != s.Image {
			t.Errorf("%s has the image %s, in compose.yaml %s", w.Component, image, s.Image)
		}
		if s.Scale != 0 && s.Scale != w.Replicas {
			t.Errorf("%s has %d replicas, in compose.yaml %d", w.Component, w.Replicas, s.Scale)
		}
		flags := func(command []string) (words []string, values map[string]string) {
			values = map[string]string{}
			for _, a := range command {
				if name, value, _ := strings.Cut(a, "="); strings.HasPrefix(a, "--") {
					values[name] = value
				} else if !strings.HasPrefix(a, "-D") { // Flink's settings: see TestFlinkInPods.
					words = append(words, a)
				}
			}
			return words, values
		}
		words, want := flags(s.Command)
		ours, have := flags(m.command(t, w))
		if !slices.Equal(words, ours) {
			t.Errorf("%s runs %v, in compose.yaml %v", w.Component, ours, words)
		}
		env := m.environment(t, w)
		for name, value := range want {
			switch got, ok := have[name]; {
			case slices.Contains(inKubernetes, name):
			case !ok && env["PULSEBOARD_"+strings.ToUpper(strings.ReplaceAll(name[2:], "-", "_"))] == "":
				t.Errorf("%s has no %s, neither as a flag nor in its environment", w.Component, name)
			case ok && got != value:
				t.Errorf("%s has %s=%s, in compose.yaml %s", w.Component, name, got, value)
			}
		}
		for name := range have {
			if _, ok := want[name]; !ok && !slices.Contains(inKubernetes, name) {
				t.Errorf("%s has %s, which compose.yaml has not", w.Component, name)
			}
		}
		delete(c.Services, composeName(w.Component))
	}
	if n := m.workload(t, "submit").Replicas; n != 0 {
		t.Errorf("submit has %d replicas by the manifest: an apply during an upgrade would start it too early", n)
	}
	// By reference, or of the cluster's own.
	if left := sorted(c.Services); !slices.Equal(left, []string{"gateway-2", "kafka", "postgres", "prometheus", "redis", "tokens"}) {
		t.Errorf("of compose.yaml these are not in the manifests: %v", left)
	}
}

// Of each program its own: its flags parse, and it reads each variable of its environment.
func TestCommandsOfPodsParse(t *testing.T) {
	script := read(t, "deploy", "flink", "flink.sh")
	for _, folder := range slices.Concat([]string{kubernetesBase}, overlays) {
		m := readManifests(t, folder)
		for _, w := range m.workloads {
			command, env := m.command(t, w), m.environment(t, w)
			switch {
			case strings.HasPrefix(w.Component, "nginx"):
			case slices.Contains([]string{"jobmanager", "taskmanager", "jobserver"}, w.Component):
				if !strings.Contains(script, "\n"+command[0]+")\n") {
					t.Errorf("%s: flink.sh does not know %s", w.Component, command[0])
				}
				for _, v := range sorted(env) {
					if inArguments := v == "POD_IP" || v == "NAMESPACE"; !inArguments && v != "GOMEMLIMIT" && !strings.Contains(script, "${"+v+":") {
						t.Errorf("%s: flink.sh does not read %s", w.Component, v)
					}
				}
			default:
				text := help(t, command)
				for _, v := range sorted(env) {
					if v != "GOMEMLIMIT" && !strings.Contains(text, " "+v+"\n") && !strings.Contains(text, " "+v+" instead") {
						t.Errorf("%s: %s does not read %s", w.Component, command[0], v)
					}
				}
			}
		}
	}
}

// Each pod says what it needs and has no right that it does not need.
func TestPodsAreBounded(t *testing.T) {
	users := map[string]int{"nginx": 101}
	for _, folder := range slices.Concat([]string{kubernetesBase}, overlays) {
		m := readManifests(t, folder)
		budgets, accounts := m.of("PodDisruptionBudget"), m.of("ServiceAccount")
		for _, w := range m.workloads {
			p, c := w.Template.Spec, w.container()
			name := folder + ": " + w.Component
			bare := p.SecurityContext
			user := users[w.Component]
			if user == 0 {
				user = 10001 // Of deploy/Dockerfile.
			}
			if !bare.RunAsNonRoot || bare.RunAsUser != user || bare.FSGroup != user || bare.SeccompProfile.Type != "RuntimeDefault" {
				t.Errorf("%s: the pod's security context is %+v", name, bare)
			}
			own := c.SecurityContext
			if own.AllowPrivilegeEscalation == nil || *own.AllowPrivilegeEscalation || !own.ReadOnlyRootFilesystem || !slices.Equal(own.Capabilities.Drop, []string{"ALL"}) || own.Capabilities.Add != nil {
				t.Errorf("%s: the container's security context is %+v", name, own)
			}
			if p.EnableServiceLinks == nil || *p.EnableServiceLinks {
				t.Errorf("%s has variables that are named after Services", name)
			}
			if r := c.Resources; r.Requests["cpu"] == "" || r.Requests["memory"] == "" || r.Limits["memory"] == "" || r.Limits["cpu"] != "" {
				t.Errorf("%s: the resources are %+v", name, r)
			}
			if p.TerminationGracePeriodSeconds < c.Lifecycle.PreStop.Sleep.Seconds+10 {
				t.Errorf("%s has %d s to end, and the drains of our services may take 10", name, p.TerminationGracePeriodSeconds)
			}
			if _, ok := accounts[p.ServiceAccountName]; !ok {
				t.Errorf("%s: there is no ServiceAccount %q", name, p.ServiceAccountName)
			}
			elects := slices.Contains([]string{"jobmanager", "taskmanager", "jobserver"}, w.Component)
			if p.AutomountServiceAccountToken == nil || *p.AutomountServiceAccountToken != elects {
				t.Errorf("%s: has it a token of the API server? want %v", name, elects)
			}
			if listens := len(c.Ports) > 0; listens != (c.ReadinessProbe != nil) || listens != (c.LivenessProbe != nil) {
				t.Errorf("%s has %d ports, and not both probes, or probes without a port", name, len(c.Ports))
			}
			if !w.Selector.matches(w.Template.Metadata.Labels) {
				t.Errorf("%s does not select its own pods", name)
			}
			b, ok := budgets[w.Component]
			if ok != (w.Replicas > 1) {
				t.Errorf("%s has %d replicas, and a budget: %v", name, w.Replicas, ok)
			}
			if ok {
				var spec struct {
					MaxUnavailable int           `json:"maxUnavailable"`
					Selector       labelSelector `json:"selector"`
				}
				if err := json.Unmarshal(b.Spec, &spec); err != nil {
					t.Fatal(err)
				}
				if spec.MaxUnavailable != 1 || !spec.Selector.matches(w.Template.Metadata.Labels) {
					t.Errorf("%s: the budget is %+v", name, spec)
				}
				if len(p.TopologySpreadConstraints) != 1 || !p.TopologySpreadConstraints[0].LabelSelector.matches(w.Template.Metadata.Labels) {
					t.Errorf("%s: nothing spreads its pods over nodes", name)
				}
			}
		}
	}
}

// The token of the API server is for Flink's election alone: ConfigMaps, which JobManagers
// change and the others read.
func TestRights(t *testing.T) {
	reads, changes := []string{"get", "list", "watch"}, []string{"create", "delete", "get", "list", "patch", "update", "watch"}
	want := map[string][]string{"flink": reads, "flink-jobmanager": changes}
	m := readManifests(t, kubernetesBase)
	roles, bindings := m.of("Role"), m.of("RoleBinding")
	if !slices.Equal(sorted(roles), sorted(want)) || !slices.Equal(sorted(bindings), sorted(want)) {
		t.Fatalf("the roles are %v, their bindings %v", sorted(roles), sorted(bindings))
	}
	for name, verbs := range want {
		r, b := roles[name], bindings[name]
		if len(r.Rules) != 1 || !slices.Equal(r.Rules[0].Resources, []string{"configmaps"}) || !slices.Equal(slices.Sorted(slices.Values(r.Rules[0].Verbs)), verbs) {
			t.Errorf("the role %s allows %+v", name, r.Rules)
		}
		if b.RoleRef.Name != name || len(b.Subjects) != 1 || b.Subjects[0].Kind != "ServiceAccount" || b.Subjects[0].Name != name {
			t.Errorf("the binding %s gives %+v to %+v", name, b.RoleRef, b.Subjects)
		}
	}
	for component, account := range map[string]string{"jobmanager": "flink-jobmanager", "taskmanager": "flink", "jobserver": "flink"} {
		if got := m.workload(t, component).Template.Spec.ServiceAccountName; got != account {
			t.Errorf("%s has the ServiceAccount %s, want %s", component, got, account)
		}
	}
	if auto := m.of("ServiceAccount")["pulseboard"].AutomountServiceAccountToken; auto == nil || *auto {
		t.Error("pods of the ServiceAccount pulseboard get a token")
	}
	for kind, n := range map[string]int{"ClusterRole": 0, "ClusterRoleBinding": 0, "Secret": 0} {
		if len(m.of(kind)) != n {
			t.Errorf("there are objects of the kind %s", kind)
		}
	}
}

// A row of the table of Secrets: name, key.
var secretRow = regexp.MustCompile("(?m)^\\| `([\\w-]+)` \\| `([\\w.]+)` \\|")

// Each file of a Secret that a container names is in the table of docs/operations.md, and
// each of the table is named; nothing that is secret stands in the manifests.
func TestSecretsAreDocumented(t *testing.T) {
	documented := map[secretKey]bool{}
	_, section, ok := strings.Cut(read(t, "docs", "operations.md"), "\n## Kubernetes\n")
	if !ok {
		t.Fatal("docs/operations.md has no section Kubernetes")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range secretRow.FindAllStringSubmatch(section, -1) {
		documented[secretKey{row[1], row[2]}] = false
	}
	for _, folder := range slices.Concat([]string{kubernetesBase}, overlays) {
		m := readManifests(t, folder)
		for _, w := range m.workloads {
			used := map[string]bool{}
			for k := range m.secrets(t, w) {
				if _, ok := documented[k]; !ok {
					t.Errorf("%s: %s reads %s, which docs/operations.md does not have", folder, w.Component, k)
				}
				documented[k], used[k.secret] = true, true
			}
			for _, v := range w.Template.Spec.Volumes {
				// The workers read what the job names.
				if v.Secret != nil && !used[v.Secret.SecretName] && w.Component != "taskmanager" {
					t.Errorf("%s: %s has the Secret %s, and names no file of it", folder, w.Component, v.Secret.SecretName)
				}
			}
			env := m.environment(t, w)
			for _, text := range slices.Concat(m.command(t, w), slices.Collect(maps.Values(env))) {
				if inAddress.MatchString(text) {
					t.Errorf("%s: %s: an address with a password: %s", folder, w.Component, text)
				}
				if i := strings.Index(text, secretsFolder+"/"); i >= 0 && !slices.Contains(slices.Collect(maps.Values(m.secrets(t, w))), text[i:]) {
					t.Errorf("%s: %s names %s, and no Secret is there", folder, w.Component, text)
				}
			}
			for v := range env {
				if strings.HasSuffix(v, "_PASSWORD") || strings.HasSuffix(v, "_TOKEN") {
					t.Errorf("%s: %s has %s in its environment: name a file", folder, w.Component, v)
				}
			}
		}
		if len(m.of("Secret")) > 0 {
			t.Errorf("%s holds a Secret", folder)
		}
		// The job has the paths of submit's files, and the workers read them at the TaskManagers.
		if folder == "overlays/flink-operator" {
			continue // See TestFlinkOperator.
		}
		at := map[string]string{}
		tm := m.workload(t, "taskmanager")
		for _, v := range tm.Template.Spec.Volumes {
			if v.Secret != nil {
				for _, mount := range tm.container().VolumeMounts {
					if mount.Name == v.Name {
						at[v.Secret.SecretName] = mount.MountPath + "/"
					}
				}
			}
		}
		for k, file := range m.secrets(t, m.workload(t, "submit")) {
			if at[k.secret] == "" || file != at[k.secret]+k.key {
				t.Errorf("%s: the job names %s, and a TaskManager has the Secret %s at %q", folder, file, k.secret, at[k.secret])
			}
		}
	}
	for k, used := range documented {
		if !used {
			t.Errorf("docs/operations.md has %s, which nobody reads", k)
		}
	}
}

// Flink's operator gets all settings of flink-conf.yaml and those of the election, but for
// addresses, which it makes itself; and pods like those of the base.
func TestFlinkOperator(t *testing.T) {
	base, m := readManifests(t, kubernetesBase), readManifests(t, "overlays/flink-operator")
	for _, w := range m.workloads {
		if w.Component == "jobmanager" || w.Component == "taskmanager" {
			t.Errorf("%s is there besides the operator's", w.Component)
		}
	}
	type pods struct {
		Replicas    int      `json:"replicas"`
		PodTemplate template `json:"podTemplate"`
		Resource    struct {
			Memory string `json:"memory"`
		} `json:"resource"`
	}
	var spec struct {
		Image              string            `json:"image"`
		FlinkVersion       string            `json:"flinkVersion"`
		Mode               string            `json:"mode"`
		ServiceAccount     string            `json:"serviceAccount"`
		FlinkConfiguration map[string]string `json:"flinkConfiguration"`
		PodTemplate        template          `json:"podTemplate"`
		JobManager         pods              `json:"jobManager"`
		TaskManager        pods              `json:"taskManager"`
	}
	all := m.of("FlinkDeployment")
	if len(all) != 1 {
		t.Fatalf("there are %d FlinkDeployments", len(all))
	}
	for name, o := range all {
		if err := json.Unmarshal(o.Spec, &spec); err != nil {
			t.Fatal(err)
		}
		if id := settings(base.environment(t, base.workload(t, "jobserver"))["FLINK_PROPERTIES"])["kubernetes.cluster-id"]; id != name {
			t.Errorf("the cluster of the operator is %s, and the job server looks for %s", name, id)
		}
	}
	want := settings(read(t, "deploy", "flink", "flink-conf.yaml"))
	maps.Copy(want, settings(base.environment(t, base.workload(t, "taskmanager"))["FLINK_PROPERTIES"]))
	for _, made := range []string{"jobmanager.rpc.address", "rest.address", "jobmanager.bind-host", "taskmanager.bind-host", "rest.bind-address", "kubernetes.cluster-id", "kubernetes.namespace"} {
		delete(want, made)
		if _, ok := spec.FlinkConfiguration[made]; ok {
			t.Errorf("%s is the operator's", made)
		}
	}
	for key, value := range want {
		if got := spec.FlinkConfiguration[key]; got != value {
			t.Errorf("the operator's %s is %q, want %q", key, got, value)
		}
	}
	for key := range spec.FlinkConfiguration {
		if _, ok := want[key]; !ok && !strings.HasPrefix(key, "kubernetes.") {
			t.Errorf("the operator has %s, which flink-conf.yaml has not", key)
		}
	}
	jm, tm := base.workload(t, "jobmanager"), base.workload(t, "taskmanager")
	if spec.Image != jm.container().Image || spec.ServiceAccount != jm.Template.Spec.ServiceAccountName || spec.FlinkConfiguration["kubernetes.taskmanager.service-account"] != tm.Template.Spec.ServiceAccountName {
		t.Errorf("the operator has the image %s and the ServiceAccounts %s, %s", spec.Image, spec.ServiceAccount, spec.FlinkConfiguration["kubernetes.taskmanager.service-account"])
	}
	if script := spec.FlinkConfiguration["kubernetes.entry.path"]; script != readDockerfile(t)["flink"].entrypoint {
		t.Errorf("the operator starts %s", script)
	}
	if version := regexp.MustCompile(`beam-runners-flink-(\d+)\.(\d+)<`).FindStringSubmatch(read(t, "deploy", "flink", "pom.xml")); spec.Mode != "standalone" || spec.FlinkVersion != "v"+version[1]+"_"+version[2] {
		t.Errorf("the operator runs Flink %s in the mode %s", spec.FlinkVersion, spec.Mode)
	}
	// Flink refuses a sum of its own parts that differs.
	sum := 0
	for _, part := range []string{"task.heap.size", "task.off-heap.size", "framework.heap.size", "framework.off-heap.size", "network.max", "managed.size", "jvm-metaspace.size", "jvm-overhead.max"} {
		n, err := strconv.Atoi(strings.TrimSuffix(want["taskmanager.memory."+part], "m"))
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	if spec.TaskManager.Resource.Memory != strconv.Itoa(sum)+"m" {
		t.Errorf("a TaskManager has %s, and its parts are %dm", spec.TaskManager.Resource.Memory, sum)
	}
	if c := spec.PodTemplate.Spec; c.SecurityContext != jm.Template.Spec.SecurityContext || !slices.Equal(c.Containers[0].SecurityContext.Capabilities.Drop, []string{"ALL"}) || !c.Containers[0].SecurityContext.ReadOnlyRootFilesystem {
		t.Errorf("the security context of the operator's pods is %+v", c)
	}
	for _, c := range []struct {
		of   *workload
		pods pods
	}{{jm, spec.JobManager}, {tm, spec.TaskManager}} {
		if c.pods.Replicas != c.of.Replicas || c.pods.PodTemplate.Metadata.Labels[componentLabel] != c.of.Component {
			t.Errorf("the operator has %d pods with the labels %v, want %d of %s", c.pods.Replicas, c.pods.PodTemplate.Metadata.Labels, c.of.Replicas, c.of.Component)
		}
		var paths, wantPaths []string
		for _, mount := range slices.Concat(spec.PodTemplate.Spec.Containers[0].VolumeMounts, c.pods.PodTemplate.Spec.Containers[0].VolumeMounts) {
			paths = append(paths, mount.MountPath)
		}
		for _, mount := range c.of.container().VolumeMounts {
			if mount.MountPath != "/opt/flink/conf" { // The operator's.
				wantPaths = append(wantPaths, mount.MountPath)
			}
		}
		if slices.Sort(paths); !slices.Equal(paths, slices.Sorted(slices.Values(wantPaths))) {
			t.Errorf("%s of the operator has the volumes %v, want %v", c.of.Component, paths, wantPaths)
		}
		env := map[string]string{}
		for _, e := range slices.Concat(spec.PodTemplate.Spec.Containers[0].Env, c.pods.PodTemplate.Spec.Containers[0].Env) {
			env[e.Name] = e.Value
		}
		for name, value := range base.environment(t, c.of) {
			if !slices.Contains([]string{"POD_IP", "NAMESPACE", "FLINK_PROPERTIES"}, name) && env[name] != value {
				t.Errorf("%s of the operator has %s=%q, want %q", c.of.Component, name, env[name], value)
			}
		}
	}
}

// settings reads lines of flink-conf.yaml: of a key that stands twice the last counts.
func settings(text string) map[string]string {
	all := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ": "); ok && !strings.HasPrefix(key, "#") {
			all[key] = value
		}
	}
	return all
}
