package command

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/seed-2ba35074/trellis/host"
	"github.com/seed-2ba35074/trellis/host/config/read"
)

// deployment is a tree over many machines, as a scheduler of containers is to run it: one root, which has the config file, and agents,
// on which it starts actors.
type deployment struct {
	name, image string
	config      string        // the text of the file
	ends        time.Duration // how long the root's actors may take to end
	agents      int
	labels      []string // of the agents, KEY=VALUE
	capacity    int
	accept      bool // programs that the root sends
	port        int
}

// schedulers are those for which manifests are written.
var schedulers = map[string]func(d *deployment, p *program) error{
	"kubernetes": func(d *deployment, p *program) error {
		out := yaml.NewEncoder(p.stdout)
		out.SetIndent(2)
		for _, one := range d.kubernetes() {
			if err := out.Encode(one); err != nil {
				return err
			}
		}
		return out.Close()
	},
	"nomad": func(d *deployment, p *program) error { return p.printJSON(d.nomad()) },
}

// deploymentForm is a name that both schedulers take, with what is put behind it.
var deploymentForm = regexp.MustCompile(`^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`)

// mostAgents is how many agents a generated manifest may have: Nomad keeps 64 KiB of what is in one variable, and there the certificates are.
const mostAgents = 40

func newGenerate(p *program) *cobra.Command {
	var d deployment
	cmd := &cobra.Command{
		Use:   "generate kubernetes|nomad",
		Short: "Write manifests that run the tree of a config file, and agents for it, on Kubernetes or Nomad",
		Long: "Write manifests that run the tree of a config file on Kubernetes (YAML) or Nomad (JSON): one root, which has the\n" +
			"file, and agents, on which it starts the actors whose \"on\" says so. Both are containers of one image, which has host in\n" +
			"its PATH, and the programs of the file. How certificates get there is in docs/machines.md. The containers get as much\n" +
			"time to end as the file lets its actors take.",
		Example:   "  host generate kubernetes --image registry.example/tree:1 | kubectl apply -f -\n  host generate nomad --image registry.example/tree:1 --agents 5 --label disk=ssd > tree.json && nomad job run -json tree.json",
		Args:      withArgs(1, 1),
		ValidArgs: slices.Sorted(maps.Keys(schedulers)),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, known := schedulers[args[0]]
			if !known {
				return &usageError{fmt.Errorf("expected kubernetes or nomad, got %q", args[0])}
			}
			if err := d.check(); err != nil {
				return &usageError{err}
			}
			tree, err := p.load(cmd.Context(), read.Options{})
			if err != nil {
				return err
			}
			text, err := os.ReadFile(p.settings.GetString("config"))
			if err != nil {
				return err
			}
			d.config, d.ends = string(text), host.TeardownBound(tree.Actors)
			return write(&d, p)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.image, "image", "", "the containers' image")
	flags.StringVar(&d.name, "name", "trellis", "what names begin with: NAME-root, NAME-agents")
	flags.IntVar(&d.agents, "agents", 2, "how many agents, 40 at most")
	flags.StringArrayVar(&d.labels, "label", nil, "KEY=VALUE by which actors choose the agents")
	flags.IntVar(&d.capacity, "capacity", 0, "how many actors an agent runs at once; 0: as many as are wanted")
	flags.BoolVar(&d.accept, "accept-programs", false, "let the root send programs to the agents")
	flags.IntVar(&d.port, "port", 7077, "where the root listens for agents")
	return cmd
}

func (d *deployment) check() error {
	switch {
	case d.image == "":
		return errors.New("--image: expected the image of the containers")
	case !deploymentForm.MatchString(d.name):
		return fmt.Errorf("--name: expected up to 40 of a-z, 0-9 and -, a letter first, got %q", d.name)
	case d.agents < 1 || d.agents > mostAgents:
		return fmt.Errorf("--agents: expected 1 to %d, got %d", mostAgents, d.agents)
	case d.capacity < 0:
		return fmt.Errorf("--capacity: expected 0 or more, got %d", d.capacity)
	case d.port < 1 || d.port > 65535:
		return fmt.Errorf("--port: expected 1 to 65535, got %d", d.port)
	}
	_, err := labelsOf(d.labels)
	return err
}

// The two roles of a deployment, as names end.
const (
	roleRoot   = "root"
	roleAgents = "agents"
)

// serving is the root's command line, with the folders of the file and of its credentials.
func (d *deployment) serving(file, credentials string) []string {
	return []string{"serve", "--config", file, "--set", "fleet.listen=0.0.0.0:" + strconv.Itoa(d.port), "--set", "fleet.credentials=" + credentials}
}

// joining is an agent's command line.
func (d *deployment) joining(root, credentials string) []string {
	args := []string{"agent", "--join", root, "--credentials", credentials}
	if d.capacity > 0 {
		args = append(args, "--capacity", strconv.Itoa(d.capacity))
	}
	if d.accept {
		args = append(args, "--accept-programs")
	}
	for _, label := range d.labels {
		args = append(args, "--label", label)
	}
	return args
}

// slack is what a container gets beyond the time that its actors may take to end, for the host itself. An agent is not told how long
// those may take that it runs: when it has drained for as long as it does (host.AgentOptions), it uses force.
const (
	slack    = 5 * time.Second
	draining = 30 * time.Second
)

// patience is how long the container of a role may take to end.
func (d *deployment) patience(role string) time.Duration {
	if role == roleRoot {
		return (d.ends + slack).Round(time.Second)
	}
	return draining + 2*slack
}

// Where a container has what it is given.
const (
	configFolder      = "/etc/trellis/config"
	credentialsFolder = "/etc/trellis/credentials" //nolint:gosec // a folder, and no secret
	configFile        = "config.yaml"
)

// kubernetes are the manifests for it. Nothing of them speaks to Kubernetes itself: the account has no rights, and no token.
func (d *deployment) kubernetes() []object {
	labels := object{"app.kubernetes.io/name": d.name, "app.kubernetes.io/managed-by": "trellis"}
	meta := func(name string) object { return object{"name": name, "labels": labels} }
	return []object{
		{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(d.name), "automountServiceAccountToken": false},
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta(d.name), "data": object{configFile: d.config}},
		{"apiVersion": "v1", "kind": "Service", "metadata": meta(d.name), "spec": object{
			"clusterIP": "None", "selector": object{"app.kubernetes.io/name": d.name, "app.kubernetes.io/component": roleRoot},
			"publishNotReadyAddresses": true, // the root is ready when its actors are, and they may need agents
			"ports":                    []object{{"name": "fleet", "port": d.port, "targetPort": "fleet"}},
		}},
		d.statefulSet(roleRoot, 1, labels),
		d.statefulSet(roleAgents, d.agents, labels),
	}
}

// statefulSet has the containers of one role. Each has a name that stays, which is that in its certificate.
func (d *deployment) statefulSet(role string, replicas int, common object) object {
	name := d.name + "-" + role
	labels := maps.Clone(common)
	labels["app.kubernetes.io/component"] = role
	pod := object{
		"serviceAccountName": d.name, "automountServiceAccountToken": false, "enableServiceLinks": false,
		"terminationGracePeriodSeconds": int(d.patience(role).Seconds()),
		"shareProcessNamespace":         true, // so that there is a first process that waits for orphans
		"securityContext":               object{"seccompProfile": object{"type": "RuntimeDefault"}},
		"containers":                    []object{d.container(role)},
		"volumes":                       d.volumes(role, name, replicas),
	}
	spec := object{
		"serviceName": d.name, "replicas": replicas, "podManagementPolicy": "Parallel",
		"selector": object{"matchLabels": object{"app.kubernetes.io/name": d.name, "app.kubernetes.io/component": role}},
		"template": object{"metadata": object{"labels": labels}, "spec": pod},
	}
	if role == roleAgents {
		pod["topologySpreadConstraints"] = []object{{
			"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": spec["selector"],
		}}
	}
	return object{"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": object{"name": name, "labels": labels}, "spec": spec}
}

func (d *deployment) container(role string) object {
	mounts := []object{
		{"name": "credentials", "mountPath": credentialsFolder, "subPathExpr": "$(HOST)", "readOnly": true},
		{"name": "tmp", "mountPath": "/tmp"},
	}
	c := object{
		"name": "host", "image": d.image, "command": []string{"host"},
		"env": []object{
			{"name": "HOST", "valueFrom": object{"fieldRef": object{"fieldPath": "metadata.name"}}},
			{"name": "XDG_CACHE_HOME", "value": "/tmp/cache"},
		},
		"securityContext": object{"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": object{"drop": []string{"ALL"}}},
	}
	if role == roleRoot {
		c["args"] = d.serving(configFolder+"/"+configFile, credentialsFolder)
		c["ports"] = []object{{"name": "fleet", "containerPort": d.port}}
		c["readinessProbe"] = object{"exec": object{"command": []string{"host", "ps", "--timeout", "5s"}}, "periodSeconds": 10, "timeoutSeconds": 6}
		mounts = append(mounts, object{"name": "config", "mountPath": configFolder, "readOnly": true})
	} else {
		c["args"] = d.joining(fmt.Sprintf("tls://%s-%s-0.%s:%d", d.name, roleRoot, d.name, d.port), credentialsFolder)
	}
	c["volumeMounts"] = mounts
	return c
}

// volumes are those of a pod. Each pod of a role sees its own folder of the role's secret.
func (d *deployment) volumes(role, name string, replicas int) []object {
	var items []object
	for i := range replicas {
		pod := name + "-" + strconv.Itoa(i)
		for _, f := range [][2]string{{"ca.pem", "ca.pem"}, {pod + ".pem", "host.pem"}, {pod + ".key", "host.key"}} {
			items = append(items, object{"key": f[0], "path": pod + "/" + f[1], "mode": 0o400})
		}
	}
	all := []object{
		{"name": "credentials", "secret": object{"secretName": name, "items": items}},
		{"name": "tmp", "emptyDir": object{}},
	}
	if role == roleRoot {
		all = append(all, object{"name": "config", "configMap": object{"name": d.name}})
	}
	return all
}

// nomad is a job for it, as nomad job run -json takes it.
func (d *deployment) nomad() object {
	root := d.group(roleRoot, 1, d.serving("/local/"+configFile, "/secrets"), object{
		"EmbeddedTmpl": d.config, "DestPath": "local/" + configFile, "ChangeMode": "restart",
		"LeftDelim": "[[[", "RightDelim": "]]]", // what else stands in braces is the file's own
	})
	root["Networks"] = []object{{"ReservedPorts": []object{{"Label": "fleet", "Value": d.port}}}}
	root["Services"] = []object{{
		"Name": d.name + "-root", "Provider": "nomad", "PortLabel": "fleet",
		"Checks": []object{{"Type": "tcp", "Interval": 10 * time.Second, "Timeout": 2 * time.Second}},
	}}
	agents := d.group(roleAgents, d.agents, d.joining("${TRELLIS_ROOT}", "/secrets"), object{
		"EmbeddedTmpl": fmt.Sprintf("TRELLIS_ROOT={{ range nomadService %q }}tls://{{ .Address }}:{{ .Port }}{{ end }}\n", d.name+"-root"),
		"DestPath":     "local/root.env", "Envvars": true, "ChangeMode": "restart",
	})
	agents["Spreads"] = []object{{"Attribute": "${node.unique.id}", "Weight": 100}}
	return object{"Job": object{"ID": d.name, "Name": d.name, "Type": "service", "TaskGroups": []object{root, agents}}}
}

// group has the containers of one role, with a file each, and its certificate.
func (d *deployment) group(role string, count int, args []string, file object) object {
	settings := object{"image": d.image, "command": "host", "args": args, "init": true}
	if role == roleRoot {
		settings["ports"] = []string{"fleet"}
	}
	task := object{
		"Name": "host", "Driver": "docker", "KillSignal": "SIGTERM", "KillTimeout": d.patience(role), "Config": settings,
		"Templates": []object{
			file, d.secret(role, "ca.pem", `print "ca"`), d.secret(role, "host.pem", `printf "cert_%s" (env "NOMAD_ALLOC_INDEX")`),
			d.secret(role, "host.key", `printf "key_%s" (env "NOMAD_ALLOC_INDEX")`),
		},
	}
	return object{"Name": role, "Count": count, "Tasks": []object{task}}
}

// secret is a file with an item of the role's variable. The name of the item is an expression, which may have the number of the container.
func (d *deployment) secret(role, file, item string) object {
	return object{
		"EmbeddedTmpl": fmt.Sprintf("{{ with nomadVar %q }}{{ index . (%s) }}{{ end }}\n", "nomad/jobs/"+d.name+"/"+role, item),
		"DestPath":     "secrets/" + file, "Perms": "0400", "ChangeMode": "noop",
	}
}
