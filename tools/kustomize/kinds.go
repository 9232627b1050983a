package main

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// kinds are those that our manifests have. A field that a type has not is an error.
var kinds = map[string]func() any{
	"v1 Namespace":                             func() any { return new(corev1.Namespace) },
	"v1 ServiceAccount":                        func() any { return new(corev1.ServiceAccount) },
	"v1 Service":                               func() any { return new(corev1.Service) },
	"v1 ConfigMap":                             func() any { return new(corev1.ConfigMap) },
	"v1 PersistentVolumeClaim":                 func() any { return new(corev1.PersistentVolumeClaim) },
	"apps/v1 Deployment":                       func() any { return new(appsv1.Deployment) },
	"apps/v1 StatefulSet":                      func() any { return new(appsv1.StatefulSet) },
	"policy/v1 PodDisruptionBudget":            func() any { return new(policyv1.PodDisruptionBudget) },
	"networking.k8s.io/v1 NetworkPolicy":       func() any { return new(networkingv1.NetworkPolicy) },
	"networking.k8s.io/v1 Ingress":             func() any { return new(networkingv1.Ingress) },
	"rbac.authorization.k8s.io/v1 Role":        func() any { return new(rbacv1.Role) },
	"rbac.authorization.k8s.io/v1 RoleBinding": func() any { return new(rbacv1.RoleBinding) },
	"flink.apache.org/v1beta1 FlinkDeployment": func() any { return new(flinkDeployment) },
}

// flinkDeployment has what ours uses of the operator's own type, by its CRD.
type flinkDeployment struct {
	metav1.TypeMeta `json:",inline"`

	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     struct {
		Image              string                 `json:"image"`
		FlinkVersion       string                 `json:"flinkVersion"`
		Mode               string                 `json:"mode"`
		ServiceAccount     string                 `json:"serviceAccount"`
		FlinkConfiguration map[string]string      `json:"flinkConfiguration"`
		PodTemplate        corev1.PodTemplateSpec `json:"podTemplate"`
		JobManager         flinkPods              `json:"jobManager"`
		TaskManager        flinkPods              `json:"taskManager"`
	} `json:"spec"`
}

type flinkPods struct {
	Replicas int `json:"replicas"`
	Resource struct {
		CPU    float64 `json:"cpu"`
		Memory string  `json:"memory"`
	} `json:"resource"`
	PodTemplate corev1.PodTemplateSpec `json:"podTemplate"`
}

// check decodes an object strictly into the type of its kind.
func check(text []byte) error {
	var head metav1.TypeMeta
	if err := yaml.Unmarshal(text, &head); err != nil {
		return err
	}
	of, ok := kinds[head.APIVersion+" "+head.Kind]
	if !ok {
		return fmt.Errorf("the kind %s of %s is none that is known here", head.Kind, head.APIVersion)
	}
	return yaml.UnmarshalStrict(text, of())
}
