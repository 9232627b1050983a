package deploy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// What the tests need of Kubernetes' objects. Whether an object has fields that its kind
// has not, tools/kustomize has looked at before.
type (
	object struct {
		Kind     string `json:"kind"`
		Metadata struct {
			Name      string            `json:"name"`
			Namespace string            `json:"namespace"`
			Labels    map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec                         json.RawMessage   `json:"spec"`
		Data                         map[string]string `json:"data"` // Of a ConfigMap.
		AutomountServiceAccountToken *bool             `json:"automountServiceAccountToken"`
		Rules                        []struct {
			Resources []string `json:"resources"`
			Verbs     []string `json:"verbs"`
		} `json:"rules"`
		RoleRef  struct{ Kind, Name string }   `json:"roleRef"`
		Subjects []struct{ Kind, Name string } `json:"subjects"`
	}

	// workload is what makes pods.
	workload struct {
		Component string `json:"-"`
		Replicas  int    `json:"replicas"`
		Ordinals  struct {
			Start int `json:"start"`
		} `json:"ordinals"`
		Selector labelSelector `json:"selector"`
		Template template      `json:"template"`
	}

	template struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
		Spec pod `json:"spec"`
	}

	pod struct {
		ServiceAccountName            string `json:"serviceAccountName"`
		AutomountServiceAccountToken  *bool  `json:"automountServiceAccountToken"`
		EnableServiceLinks            *bool  `json:"enableServiceLinks"`
		TerminationGracePeriodSeconds int    `json:"terminationGracePeriodSeconds"`
		SecurityContext               struct {
			RunAsNonRoot   bool `json:"runAsNonRoot"`
			RunAsUser      int  `json:"runAsUser"`
			FSGroup        int  `json:"fsGroup"`
			SeccompProfile struct {
				Type string `json:"type"`
			} `json:"seccompProfile"`
		} `json:"securityContext"`
		TopologySpreadConstraints []struct {
			LabelSelector labelSelector `json:"labelSelector"`
		} `json:"topologySpreadConstraints"`
		Containers []container `json:"containers"`
		Volumes    []struct {
			Name   string `json:"name"`
			Secret *struct {
				SecretName string `json:"secretName"`
			} `json:"secret"`
			ConfigMap *struct {
				Name string `json:"name"`
			} `json:"configMap"`
			PersistentVolumeClaim *struct {
				ClaimName string `json:"claimName"`
			} `json:"persistentVolumeClaim"`
		} `json:"volumes"`
	}

	container struct {
		Name    string   `json:"name"`
		Image   string   `json:"image"`
		Command []string `json:"command"`
		Args    []string `json:"args"`
		Env     []struct {
			Name      string          `json:"name"`
			Value     string          `json:"value"`
			ValueFrom json.RawMessage `json:"valueFrom"`
		} `json:"env"`
		EnvFrom []struct {
			ConfigMapRef *struct {
				Name string `json:"name"`
			} `json:"configMapRef"`
		} `json:"envFrom"`
		Ports []struct {
			Name          string `json:"name"`
			ContainerPort int    `json:"containerPort"`
		} `json:"ports"`
		ReadinessProbe *probe `json:"readinessProbe"`
		LivenessProbe  *probe `json:"livenessProbe"`
		StartupProbe   *probe `json:"startupProbe"`
		Lifecycle      struct {
			PreStop struct {
				Sleep struct {
					Seconds int `json:"seconds"`
				} `json:"sleep"`
			} `json:"preStop"`
		} `json:"lifecycle"`
		Resources struct {
			Requests map[string]string `json:"requests"`
			Limits   map[string]string `json:"limits"`
		} `json:"resources"`
		SecurityContext struct {
			AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation"`
			ReadOnlyRootFilesystem   bool  `json:"readOnlyRootFilesystem"`
			Capabilities             struct {
				Drop []string `json:"drop"`
				Add  []string `json:"add"`
			} `json:"capabilities"`
		} `json:"securityContext"`
		VolumeMounts []volumeMount `json:"volumeMounts"`
	}

	volumeMount struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
		SubPath   string `json:"subPath"`
	}

	probe struct {
		HTTPGet *struct {
			Path string `json:"path"`
			Port port   `json:"port"`
		} `json:"httpGet"`
		TCPSocket *struct {
			Port port `json:"port"`
		} `json:"tcpSocket"`
	}

	labelSelector struct {
		MatchLabels      map[string]string `json:"matchLabels"`
		MatchExpressions []struct {
			Key      string   `json:"key"`
			Operator string   `json:"operator"`
			Values   []string `json:"values"`
		} `json:"matchExpressions"`
	}

	service1 struct {
		ClusterIP string            `json:"clusterIP"`
		Selector  map[string]string `json:"selector"`
		Ports     []struct {
			Port       int  `json:"port"`
			TargetPort port `json:"targetPort"`
		} `json:"ports"`
	}
)

// port is the number of one, or the name that a container gives it.
type port string

func (p *port) UnmarshalJSON(b []byte) error {
	*p = port(strings.Trim(string(b), `"`))
	return nil
}

// componentLabel tells what a pod is.
const componentLabel = "app.kubernetes.io/component"

// matches reports whether a pod with these labels is selected.
func (s labelSelector) matches(labels map[string]string) bool {
	for key, value := range s.MatchLabels {
		if labels[key] != value {
			return false
		}
	}
	for _, e := range s.MatchExpressions {
		if e.Operator != "In" || !slices.Contains(e.Values, labels[e.Key]) {
			return false // Ours have no other operator.
		}
	}
	return true
}

// manifests are the objects of a kustomization.
type manifests struct {
	objects   []object
	workloads []*workload
}

const kubernetesBase = "base"

var overlays = []string{"overlays/example", "overlays/flink-operator"}

var rendered = struct {
	sync.Mutex

	texts map[string][]byte
}{texts: map[string][]byte{}}

// readManifests renders one of deploy/kubernetes.
func readManifests(t *testing.T, folder string) *manifests {
	t.Helper()
	rendered.Lock()
	defer rendered.Unlock()
	text, ok := rendered.texts[folder]
	if !ok {
		dir, err := filepath.Abs(filepath.Join(root, "deploy", "kubernetes", folder))
		if err != nil {
			t.Fatal(err)
		}
		var stderr bytes.Buffer
		cmd := exec.CommandContext(t.Context(), "go", "-C", filepath.Join(root, "tools", "kustomize"), "run", ".", "-json", dir)
		cmd.Stderr = &stderr
		if text, err = cmd.Output(); err != nil {
			t.Fatalf("cannot render deploy/kubernetes/%s: %v: %s", folder, err, &stderr)
		}
		rendered.texts[folder] = text
	}
	m := &manifests{}
	if err := json.Unmarshal(text, &m.objects); err != nil {
		t.Fatal(err)
	}
	for _, o := range m.objects {
		if o.Kind != "Deployment" && o.Kind != "StatefulSet" {
			continue
		}
		w := &workload{}
		if err := json.Unmarshal(o.Spec, w); err != nil {
			t.Fatal(err)
		}
		if w.Component = w.Template.Metadata.Labels[componentLabel]; w.Component != o.Metadata.Name {
			t.Errorf("the pods of %s %s have the component %q", o.Kind, o.Metadata.Name, w.Component)
		}
		if n := len(w.Template.Spec.Containers); n != 1 {
			t.Fatalf("%s has %d containers; the patches of the base know the first one alone", w.Component, n)
		}
		m.workloads = append(m.workloads, w)
	}
	return m
}

func (m *manifests) workload(t *testing.T, component string) *workload {
	t.Helper()
	for _, w := range m.workloads {
		if w.Component == component {
			return w
		}
	}
	t.Fatalf("there is no %s", component)
	return nil
}

// of returns the objects of a kind, by name; a ConfigMap without the hash in its name.
func (m *manifests) of(kind string) map[string]object {
	all := map[string]object{}
	for _, o := range m.objects {
		if o.Kind == kind {
			name := o.Metadata.Name
			if kind == "ConfigMap" {
				name = hashed.ReplaceAllString(name, "")
			}
			all[name] = o
		}
	}
	return all
}

var hashed = regexp.MustCompile(`-[a-z0-9]{10}$`)

// mounts reports whether the container has a volume there.
func (w *workload) mounts(path string) bool {
	return slices.ContainsFunc(w.container().VolumeMounts, func(v volumeMount) bool { return v.MountPath == path })
}

// container returns the only one.
func (w *workload) container() *container { return &w.Template.Spec.Containers[0] }

// number returns a port of the container by its name or number, 0 when it has none such.
func (w *workload) number(p port) int {
	for _, c := range w.container().Ports {
		if c.Name == string(p) || strconv.Itoa(c.ContainerPort) == string(p) {
			return c.ContainerPort
		}
	}
	return 0
}

func (w *workload) ports() []int {
	var all []int
	for _, p := range w.container().Ports {
		all = append(all, p.ContainerPort)
	}
	slices.Sort(all)
	return all
}

// environment is what the container has in its environment, with what kubelet puts in the place of $(NAME).
func (m *manifests) environment(t *testing.T, w *workload) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, from := range w.container().EnvFrom {
		found := false
		for _, o := range m.objects {
			if o.Kind == "ConfigMap" && from.ConfigMapRef != nil && o.Metadata.Name == from.ConfigMapRef.Name {
				found = true
				for name, value := range o.Data {
					env[name] = value
				}
			}
		}
		if !found {
			t.Errorf("%s has its environment from a ConfigMap that is not there", w.Component)
		}
	}
	for _, e := range w.container().Env {
		value := expand(e.Value, env)
		switch {
		case strings.Contains(string(e.ValueFrom), "status.podIP"):
			value = podIP
		case strings.Contains(string(e.ValueFrom), "metadata.namespace"):
			value = "pulseboard"
		case e.ValueFrom != nil:
			t.Errorf("%s: nobody knows the value of %s here", w.Component, e.Name)
		}
		env[e.Name] = value
	}
	return env
}

const podIP = "10.1.2.3"

var reference = regexp.MustCompile(`\$\(([A-Z_]+)\)`)

// expand leaves what is unknown, as kubelet does.
func expand(text string, env map[string]string) string {
	return replace(reference, text, func(g []string) string {
		if value, ok := env[g[1]]; ok {
			return value
		}
		return g[0]
	})
}

// command is what the container runs: the arguments take the place of the image's own command.
func (m *manifests) command(t *testing.T, w *workload) []string {
	t.Helper()
	env := m.environment(t, w)
	var all []string
	for _, a := range slices.Concat(w.container().Command, w.container().Args) {
		if a = expand(a, env); reference.MatchString(a) {
			t.Errorf("%s: nobody puts anything in the place of %s", w.Component, a)
		}
		all = append(all, a)
	}
	return all
}

// secretKey is a file of a Secret.
type secretKey struct{ secret, key string }

// secrets returns the files of Secrets that the arguments and the environment of a container name.
func (m *manifests) secrets(t *testing.T, w *workload) map[secretKey]string {
	t.Helper()
	all := map[secretKey]string{}
	names := map[string]string{} // By volume.
	for _, v := range w.Template.Spec.Volumes {
		if v.Secret != nil {
			names[v.Name] = v.Secret.SecretName
		}
	}
	texts := m.command(t, w)
	for _, value := range m.environment(t, w) {
		texts = append(texts, value)
	}
	for _, mount := range w.container().VolumeMounts {
		if names[mount.Name] == "" {
			continue
		}
		if mount.SubPath != "" {
			t.Errorf("%s sees the old file of the Secret %s when it is replaced: mount the folder", w.Component, names[mount.Name])
		}
		for _, text := range texts {
			if i := strings.Index(text, mount.MountPath+"/"); i >= 0 {
				all[secretKey{names[mount.Name], path.Base(text[i:])}] = text[i:]
			}
		}
	}
	return all
}

func (k secretKey) String() string { return fmt.Sprintf("%s of the Secret %s", k.key, k.secret) }
