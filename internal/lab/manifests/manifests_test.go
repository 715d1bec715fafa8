// Package manifests holds what host generate writes against the types of those who read it: of Kubernetes and of Nomad. It is a module of its
// own, so that nobody who uses Trellis has to download these.
package manifests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/seed-2ba35074/trellis/internal/command"
)

const commandVar = "MANIFESTS_COMMAND"

// This program is also the command host.
func TestMain(m *testing.M) {
	if os.Getenv(commandVar) != "" {
		command.Main()
	}
	os.Exit(m.Run())
}

// file is a tree whose end may take 0.5 + 60 + 1.6 s, and then 0.5 + 5 + 1.6 s.
const file = `
name: shop
actors:
  - {name: database, command: [/bin/database], grace: 60s}
  - {name: web, command: [/bin/web], depends_on: {database: started}, env: {GREETING: "{{ \"$${HOME}\" }}"}}
`

// generate runs host generate with a file, and returns what it prints.
func generate(t *testing.T, args ...string) (out []byte, err error) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(config, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"generate", "-c", config}, args...)...)
	cmd.Env = append(os.Environ(), commandVar+"=1")
	out, err = cmd.Output()
	if exit, failed := errors.AsType[*exec.ExitError](err); failed {
		return out, fmt.Errorf("%w: %s", err, exit.Stderr)
	}
	return out, err
}

var agents = []string{"--image", "registry.example/shop:7", "--agents", "3", "--label", "disk=ssd", "--label", "zone=a", "--capacity", "8"}

// What Kubernetes gets has no field that it does not know, and says what was wanted.
func TestKubernetes(t *testing.T) {
	out, err := generate(t, append([]string{"kubernetes", "--name", "shop"}, agents...)...)
	if err != nil {
		t.Fatal(err)
	}
	var config corev1.ConfigMap
	var account corev1.ServiceAccount
	var service corev1.Service
	var root, workers appsv1.StatefulSet
	all := []any{&account, &config, &service, &root, &workers}
	documents := bytes.Split(out, []byte("\n---\n"))
	if len(documents) != len(all) {
		t.Fatalf("%d documents, want %d", len(documents), len(all))
	}
	for i, document := range documents {
		if err := yaml.UnmarshalStrict(document, all[i]); err != nil {
			t.Errorf("%T: %v\n%s", all[i], err, document)
		}
	}
	if config.Data["config.yaml"] != file {
		t.Errorf("the config file is %q", config.Data["config.yaml"])
	}
	if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
		t.Error("the account has a token, which nothing needs")
	}
	for name, set := range map[string]appsv1.StatefulSet{"shop-root": root, "shop-agents": workers} {
		pod := set.Spec.Template
		if set.Name != name || set.Spec.ServiceName != service.Name || pod.Spec.ServiceAccountName != account.Name {
			t.Errorf("%s: %s, of the service %s and the account %s", name, set.Name, set.Spec.ServiceName, pod.Spec.ServiceAccountName)
		}
		for key, value := range set.Spec.Selector.MatchLabels {
			if pod.Labels[key] != value {
				t.Errorf("%s: the pods have no label %s=%s, by which they are found", name, key, value)
			}
		}
		mounted(t, name, pod.Spec, int(*set.Spec.Replicas))
	}
	for key, value := range service.Spec.Selector {
		if root.Spec.Template.Labels[key] != value {
			t.Errorf("the root has no label %s=%s, by which the service finds it", key, value)
		}
	}
	if *root.Spec.Replicas != 1 || *workers.Spec.Replicas != 3 {
		t.Errorf("%d roots, %d agents", *root.Spec.Replicas, *workers.Spec.Replicas)
	}
	// 62.1 s for the database, 7.1 s for web before it, 5 s for the host.
	if got := *root.Spec.Template.Spec.TerminationGracePeriodSeconds; got != 74 {
		t.Errorf("the root has %d s to end, want 74", got)
	}
	want := "agent --join tls://shop-root-0.shop:7077 --credentials /etc/trellis/credentials --capacity 8 --label disk=ssd --label zone=a"
	if got := strings.Join(workers.Spec.Template.Spec.Containers[0].Args, " "); got != want {
		t.Errorf("an agent runs host %s, want host %s", got, want)
	}
}

// mounted compares what a container mounts with the volumes that there are: each pod finds its three files.
func mounted(t *testing.T, name string, pod corev1.PodSpec, replicas int) {
	t.Helper()
	for _, mount := range pod.Containers[0].VolumeMounts {
		i := slices.IndexFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name })
		if i < 0 {
			t.Errorf("%s: there is no volume %s", name, mount.Name)
			continue
		}
		if secret := pod.Volumes[i].Secret; secret != nil {
			var paths []string
			for _, item := range secret.Items {
				paths = append(paths, item.Path)
			}
			for i := range replicas {
				for _, file := range []string{"ca.pem", "host.pem", "host.key"} {
					if path := fmt.Sprintf("%s-%d/%s", name, i, file); !slices.Contains(paths, path) {
						t.Errorf("%s: %s is not in the secret's volume, which has %v", name, path, paths)
					}
				}
			}
		}
	}
}

// What Nomad gets has no field that it does not know, and says what was wanted.
func TestNomad(t *testing.T) {
	out, err := generate(t, append([]string{"nomad", "--name", "shop"}, agents...)...)
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Job api.Job }
	in := json.NewDecoder(bytes.NewReader(out))
	in.DisallowUnknownFields()
	if err := in.Decode(&file); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := in.Token(); err != io.EOF { //nolint:errorlint // it is never wrapped
		t.Error("there is more behind the job")
	}
	file.Job.Canonicalize()
	if *file.Job.ID != "shop" || len(file.Job.TaskGroups) != 2 {
		t.Fatalf("%s has %d groups", *file.Job.ID, len(file.Job.TaskGroups))
	}
	root, workers := file.Job.TaskGroups[0], file.Job.TaskGroups[1]
	if *root.Count != 1 || *workers.Count != 3 {
		t.Errorf("%d roots, %d agents", *root.Count, *workers.Count)
	}
	if got := *root.Tasks[0].KillTimeout; got != 74*time.Second {
		t.Errorf("the root has %v to end, want 74 s", got)
	}
	if root.Services[0].PortLabel != root.Networks[0].ReservedPorts[0].Label || root.Networks[0].ReservedPorts[0].Value != 7077 {
		t.Errorf("the service is at %s, the network has %v", root.Services[0].PortLabel, root.Networks[0].ReservedPorts)
	}
	for _, group := range file.Job.TaskGroups {
		var files []string
		for _, template := range group.Tasks[0].Templates {
			files = append(files, *template.DestPath)
		}
		for _, want := range []string{"secrets/ca.pem", "secrets/host.pem", "secrets/host.key"} {
			if !slices.Contains(files, want) {
				t.Errorf("%s has no %s, but %v", *group.Name, want, files)
			}
		}
	}
}

// What makes no sense is told.
func TestWrongCommandLines(t *testing.T) {
	for _, args := range [][]string{
		{"kubernetes"}, {"swarm", "--image", "x"}, {"kubernetes", "--image", "x", "--name", "Shop"}, {"nomad", "--image", "x", "--agents", "41"},
		{"kubernetes", "--image", "x", "--capacity", "-1"}, {"kubernetes", "--image", "x", "--port", "0"}, {"kubernetes", "--image", "x", "--label", "ssd"},
	} {
		if out, err := generate(t, args...); err == nil || len(out) > 0 {
			t.Errorf("%v: %v, %q", args, err, out)
		}
	}
}
