package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"

	"pairgate.dev/deploy/internal/secrets"
	"pairgate.dev/pkg/service"
)

// workload is what runs pods.
type workload struct {
	name     string
	replicas int32
	// selector is nil for a Job.
	selector *meta.LabelSelector
	pod      core.PodTemplateSpec
}

// cluster is everything in deploy/kubernetes.
type cluster struct {
	workloads []workload
	services  []core.Service
	budgets   []policy.PodDisruptionBudget
	config    map[string]core.ConfigMap
}

// readManifests decodes strictly: a field that Kubernetes does not know fails the test.
func readManifests(t *testing.T) cluster {
	t.Helper()
	files, err := filepath.Glob("kubernetes/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("manifests: %v, %v", files, err)
	}
	c := cluster{config: map[string]core.ConfigMap{}}
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range strings.SplitSeq(string(content), "\n---\n") {
			if err := c.add([]byte(document)); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
	return c
}

func (c *cluster) add(document []byte) error {
	var kind meta.TypeMeta
	if err := yaml.Unmarshal(document, &kind); err != nil {
		return err
	}
	switch kind.APIVersion + "/" + kind.Kind {
	case "apps/v1/Deployment":
		var d apps.Deployment
		err := yaml.UnmarshalStrict(document, &d)
		c.workloads = append(c.workloads, workload{d.Name, *d.Spec.Replicas, d.Spec.Selector, d.Spec.Template})
		return err
	case "apps/v1/StatefulSet":
		var s apps.StatefulSet
		err := yaml.UnmarshalStrict(document, &s)
		c.workloads = append(c.workloads, workload{s.Name, *s.Spec.Replicas, s.Spec.Selector, s.Spec.Template})
		return err
	case "batch/v1/Job":
		var j batch.Job
		err := yaml.UnmarshalStrict(document, &j)
		c.workloads = append(c.workloads, workload{j.Name, 1, nil, j.Spec.Template})
		return err
	case "v1/Service":
		var s core.Service
		err := yaml.UnmarshalStrict(document, &s)
		c.services = append(c.services, s)
		return err
	case "v1/ConfigMap":
		var m core.ConfigMap
		err := yaml.UnmarshalStrict(document, &m)
		c.config[m.Name] = m
		return err
	case "policy/v1/PodDisruptionBudget":
		var b policy.PodDisruptionBudget
		err := yaml.UnmarshalStrict(document, &b)
		c.budgets = append(c.budgets, b)
		return err
	case "networking.k8s.io/v1/NetworkPolicy":
		return yaml.UnmarshalStrict(document, &networking.NetworkPolicy{})
	}
	return fmt.Errorf("kind %q of %q is checked by nothing", kind.Kind, kind.APIVersion)
}

// TestManifestsAreWhatKubernetesTakes checks what a cluster would refuse, and what
// it would take and not do.
func TestManifestsAreWhatKubernetesTakes(t *testing.T) {
	c := readManifests(t)
	if len(c.workloads) != 7 {
		t.Fatalf("there are %d workloads; five services, NATS and the provisioning are seven", len(c.workloads))
	}
	for _, w := range c.workloads {
		t.Run(w.name, func(t *testing.T) {
			checkPod(t, w.pod.Spec)
			if w.selector == nil {
				return
			}
			if !maps.Equal(w.selector.MatchLabels, map[string]string{"app.kubernetes.io/name": w.name}) || w.pod.Labels["app.kubernetes.io/name"] != w.name {
				t.Errorf("selects %v, and its pods have %v", w.selector.MatchLabels, w.pod.Labels)
			}
			checkProbes(t, w.pod.Spec.Containers[0])
			if w.replicas < 2 {
				t.Errorf("runs %d times", w.replicas)
			}
			if !slices.ContainsFunc(c.budgets, func(b policy.PodDisruptionBudget) bool {
				return maps.Equal(b.Spec.Selector.MatchLabels, w.selector.MatchLabels) && *b.Spec.MaxUnavailable == intstr.FromInt32(1)
			}) {
				t.Error("has no PodDisruptionBudget that takes one pod at a time")
			}
		})
	}
	for _, s := range c.services {
		i := slices.IndexFunc(c.workloads, func(w workload) bool { return w.selector != nil && maps.Equal(w.selector.MatchLabels, s.Spec.Selector) })
		if i < 0 {
			t.Errorf("service %s selects nothing", s.Name)
			continue
		}
		for _, p := range s.Spec.Ports {
			if !slices.ContainsFunc(c.workloads[i].pod.Spec.Containers[0].Ports, func(have core.ContainerPort) bool {
				return have.Name == p.TargetPort.StrVal || have.ContainerPort == p.Port
			}) {
				t.Errorf("service %s: nothing listens on port %s", s.Name, p.Name)
			}
		}
	}
}

func checkPod(t *testing.T, pod core.PodSpec) {
	t.Helper()
	if s := pod.SecurityContext; s == nil || s.RunAsNonRoot == nil || !*s.RunAsNonRoot || s.RunAsUser == nil || *s.RunAsUser == 0 || s.SeccompProfile == nil {
		t.Error("may run as root, or without a seccomp profile")
	}
	if pod.AutomountServiceAccountToken == nil || *pod.AutomountServiceAccountToken {
		t.Error("gets a token of the cluster that it does not need")
	}
	if pod.TerminationGracePeriodSeconds != nil && *pod.TerminationGracePeriodSeconds < 15 {
		t.Error("is killed before it has drained")
	}
	for _, container := range pod.Containers {
		s := container.SecurityContext
		if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation ||
			s.Capabilities == nil || !slices.Equal(s.Capabilities.Drop, []core.Capability{"ALL"}) {
			t.Errorf("container %s may do more than it needs", container.Name)
		}
		checkImage(t, container.Image)
		if container.Resources.Limits.Memory().IsZero() || container.Resources.Requests.Cpu().IsZero() {
			t.Errorf("container %s says nothing of its size", container.Name)
		}
		for _, mount := range container.VolumeMounts {
			claimed := mount.Name == "data"
			if !claimed && !slices.ContainsFunc(pod.Volumes, func(v core.Volume) bool { return v.Name == mount.Name }) {
				t.Errorf("container %s mounts %s, which is no volume", container.Name, mount.Name)
			}
		}
		for _, e := range container.Env {
			if !strings.HasPrefix(e.Name, "NATS_") && !slices.Contains(service.AllVariables(), e.Name) {
				t.Errorf("container %s sets %s, which nothing reads", container.Name, e.Name)
			}
		}
	}
}

func checkProbes(t *testing.T, container core.Container) {
	t.Helper()
	if container.LivenessProbe == nil || container.ReadinessProbe == nil {
		t.Fatal("has no probes")
	}
	if live := container.LivenessProbe.HTTPGet; live != nil {
		if live.Path != "/healthz" || container.ReadinessProbe.HTTPGet.Path != "/readyz" || live.Port.StrVal != "metrics" {
			t.Error("the probes ask something else than /healthz and /readyz on the metrics port")
		}
		if !slices.ContainsFunc(container.Ports, func(p core.ContainerPort) bool { return p.Name == "metrics" && p.ContainerPort == 9090 }) {
			t.Error("has no metrics port")
		}
	}
}

// TestManifestsConfigureTheServices checks the environment with the parser of the
// services, and that each secret has a source in what deployment-secrets makes.
func TestManifestsConfigureTheServices(t *testing.T) {
	c := readManifests(t)
	made := generate(t)
	for _, w := range c.workloads {
		for _, v := range w.pod.Spec.Volumes {
			if v.Secret == nil {
				continue
			}
			user, ok := strings.CutPrefix(v.Secret.SecretName, "nats-")
			if !ok || !slices.Contains(secrets.Users, user) || "pairgate-"+user != strings.TrimSuffix(w.pod.Spec.Containers[0].Image, ":dev") {
				t.Errorf("%s is given the secret %s", w.name, v.Secret.SecretName)
			}
		}
		environ := map[string]string{}
		for _, from := range w.pod.Spec.Containers[0].EnvFrom {
			switch {
			case from.ConfigMapRef != nil:
				maps.Copy(environ, c.config[from.ConfigMapRef.Name].Data)
			case from.SecretRef != nil:
				maps.Copy(environ, readEnv(t, filepath.Join(made, strings.TrimPrefix(from.SecretRef.Name, "keys-"), secrets.Env)))
			}
		}
		for _, e := range w.pod.Spec.Containers[0].Env {
			environ[e.Name] = e.Value
		}
		if w.name != "nats" {
			checkEnvironment(t, w.name, environ, made, strings.TrimPrefix(w.name, "pairgate-"))
		}
	}
}
