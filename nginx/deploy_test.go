package nginx

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"statustail/cmd/statustail/programtest"
)

// documents reads every document of a YAML file.
func documents(t *testing.T, name string) []map[string]any {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []map[string]any
	for d := yaml.NewDecoder(f); ; {
		var doc map[string]any
		if err := d.Decode(&doc); err != nil {
			if err.Error() == "EOF" {
				return all
			}
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, doc)
	}
}

// pinned is an image of one version: not of whatever is newest.
var pinned = regexp.MustCompile(`^[a-z0-9./-]+:\d+\.\d+\.\d+(-[a-z0-9.]+)?(@sha256:[0-9a-f]{64})?$`)

// What compose.yaml names is there, and what it refers to.
func TestCompose(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Image       string
			Build       struct{ Context string }
			Command     any
			CapDrop     []string `yaml:"cap_drop"`
			CapAdd      []string `yaml:"cap_add"`
			SecurityOpt []string `yaml:"security_opt"`
			ReadOnly    bool     `yaml:"read_only"`
			Tmpfs       []string
			Volumes     []string
			DependsOn   map[string]struct{ Condition string } `yaml:"depends_on"`
			Healthcheck struct{ Test []string }
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(read(t, "../compose.yaml")), &file); err != nil {
		t.Fatal(err)
	}
	for name, s := range file.Services {
		switch {
		case s.Build.Context != "" && s.Image == "statustail:local":
		case !pinned.MatchString(s.Image):
			t.Errorf("%s: the image %q is not pinned", name, s.Image)
		}
		if !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") || !s.ReadOnly {
			t.Errorf("%s may more than it needs: %+v", name, s)
		}
		// Only nginx begins as root, to become another user.
		if len(s.CapAdd) > 0 && name != "nginx" {
			t.Errorf("%s has %v", name, s.CapAdd)
		}
		for other, on := range s.DependsOn {
			if _, ok := file.Services[other]; !ok {
				t.Errorf("%s depends on %s, which is not there", name, other)
			}
			if on.Condition == "service_healthy" && file.Services[other].Healthcheck.Test == nil && file.Services[other].Build.Context == "" {
				t.Errorf("%s waits for the health of %s, which has no check", name, other)
			}
		}
		for _, v := range s.Volumes {
			source, _, _ := strings.Cut(v, ":")
			if strings.HasPrefix(source, ".") {
				if _, err := os.Stat(filepath.Join("..", source)); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			} else if _, ok := file.Volumes[source]; !ok {
				t.Errorf("%s: there is no volume %s", name, source)
			}
		}
		// Our own commands are what the program understands.
		if args, ok := s.Command.([]any); ok && s.Build.Context != "" {
			if !understood(t, args) {
				t.Errorf("%s: the program does not understand %v", name, args)
			}
		}
	}
	// nginx writes only where it may.
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:proxy_cache_path|pid) (/[^ ;]+)`).FindAllStringSubmatch(read(t, "statustail.conf"), -1) {
		if !slices.ContainsFunc(file.Services["nginx"].Tmpfs, func(at string) bool { return m[1] == at || strings.HasPrefix(m[1], at+"/") }) {
			t.Errorf("nginx may not write to %s", m[1])
		}
	}
	if len(file.Services) < 5 {
		t.Errorf("%d services", len(file.Services))
	}
}

// understood runs the program with arguments and --help, which fails on
// commands and flags that do not exist, and does nothing.
func understood(t *testing.T, args []any) bool {
	t.Helper()
	var words []string
	for _, a := range args {
		words = append(words, a.(string))
	}
	_, err := programtest.Run(t, "", append(words, "--help")...)
	return err == nil
}

// nginx with the files that compose.yaml gives it.
func TestComposeNginx(t *testing.T) {
	path := nginxPath(t)
	dir := folder(t)
	s := &site{
		dir:    dir,
		listen: strings.ReplaceAll(read(t, "../deploy/compose/listen.conf"), "listen 80 ", "listen 127.0.0.1:"+freePort(t)+" "),
		// Names of containers: nobody knows them here.
		upstream: regexp.MustCompile(`statustail-[12]:`).ReplaceAllString(read(t, "../deploy/compose/upstream.conf"), "127.0.0.1:"),
	}
	if out, err := exec.Command(path, "-t", "-p", dir, "-c", s.write(t), "-e", filepath.Join(dir, "start.log")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

var instruction = regexp.MustCompile(`(?m)^([A-Z]+) +(.*)$`)

// The image is built by a command that works, starts as somebody else than
// root from a base of one version, and its health check tells the truth.
func TestImage(t *testing.T) {
	text := strings.ReplaceAll(read(t, "../Dockerfile"), "\\\n", " ")
	of := map[string][]string{}
	for _, m := range instruction.FindAllStringSubmatch(text, -1) {
		of[m[1]] = append(of[m[1]], m[2])
	}
	if syntax, _, _ := strings.Cut(text, "\n"); !pinned.MatchString(strings.TrimPrefix(syntax, "# syntax=")) {
		t.Errorf("%q is not pinned", syntax)
	}
	for _, from := range of["FROM"] {
		image := strings.Fields(from)[0]
		if image != "scratch" && !pinned.MatchString(image) {
			t.Errorf("the base %q is not pinned", image)
		}
	}
	if user := of["USER"]; len(user) != 1 || !regexp.MustCompile(`^[1-9]\d*(:[1-9]\d*)?$`).MatchString(user[0]) {
		t.Errorf("USER %q", user)
	}
	for _, name := range []string{"ENTRYPOINT", "CMD"} {
		if len(of[name]) != 1 || !json.Valid([]byte(of[name][0])) {
			t.Errorf("%s %q is not in the exec form", name, of[name])
		}
	}

	// The same build, of what .dockerignore lets through.
	context := folder(t)
	if err := copyContext(t, context); err != nil {
		t.Fatal(err)
	}
	build := ""
	for _, command := range of["RUN"] {
		if strings.Contains(command, "go build") {
			build = command
		}
	}
	binary := filepath.Join(context, "image")
	build = strings.Replace(build, "-o /statustail", "-o "+binary, 1)
	cmd := exec.Command("sh", "-c", build)
	cmd.Dir = context
	cmd.Env = append(os.Environ(), "VERSION=v1.2.3-4-gabcdef") // as --build-arg does
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	if !slices.Contains(of["ARG"], "VERSION=") {
		t.Errorf("ARG %q: a build cannot say its version", of["ARG"])
	}
	if out, err := exec.Command(binary, "version").CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "statustail v1.2.3-4-gabcdef\n") {
		t.Errorf("the image does not know its version: %v %s", err, out)
	}
	if runtime.GOOS == "linux" {
		if out, _ := exec.Command("ldd", binary).CombinedOutput(); !strings.Contains(string(out), "not a dynamic executable") {
			t.Errorf("the program is not static: %s", out)
		}
	}
	var check []string
	_, exec1, ok := strings.Cut(of["HEALTHCHECK"][0], "CMD ")
	if err := json.Unmarshal([]byte(exec1), &check); !ok || err != nil {
		t.Fatalf("HEALTHCHECK %q", of["HEALTHCHECK"])
	}
	s := startServer(t)
	healthy := func(ops string) error {
		cmd := exec.Command(binary, check[1:]...)
		cmd.Env = append(os.Environ(), "STATUSTAIL_OPS_LISTEN="+ops)
		return cmd.Run()
	}
	if err := healthy(strings.TrimPrefix(s.OpsURL, "http://")); err != nil {
		t.Errorf("a ready server is not healthy: %v", err)
	}
	if healthy("127.0.0.1:"+freePort(t)) == nil {
		t.Error("a server that is not there is healthy")
	}
}

// copyContext copies what .dockerignore lets into an image's build: here, what
// its lines that begin with ! name, without what later lines take out again.
func copyContext(t *testing.T, to string) error {
	t.Helper()
	var in, out []string
	for line := range lines(read(t, "../.dockerignore")) {
		switch name, let := strings.CutPrefix(line, "!"); {
		case let:
			in = append(in, name)
		case line != "*":
			out = append(out, line)
		}
	}
	ignored := func(path string) bool {
		return slices.ContainsFunc(out, func(pattern string) bool {
			if base, anywhere := strings.CutPrefix(pattern, "**/"); anywhere {
				match, _ := filepath.Match(base, filepath.Base(path))
				return match
			}
			return path == pattern
		})
	}
	for _, name := range in {
		err := filepath.WalkDir(filepath.Join("..", name), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			inside := strings.TrimPrefix(path, "../")
			target := filepath.Join(to, inside)
			switch {
			case ignored(inside) && d.IsDir():
				return fs.SkipDir
			case ignored(inside):
				return nil
			case d.IsDir():
				return os.MkdirAll(target, 0o755)
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(target, b, 0o644)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

var metric = regexp.MustCompile(`\b(?:statustail|process)_[a-z0-9_]+`)

// Alerts, dashboard and manual name no metric that there is not.
func TestMetricsExist(t *testing.T) {
	s := startServer(t)
	_, text := get(t, s.OpsURL+"/metrics")
	// The vectors of these have no value before there is something to count.
	exists := map[string]bool{"statustail_tail_skipped_total": true, "statustail_invalid_documents_total": true}
	for _, m := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		exists[m[1]] = true
		if m[2] == "histogram" {
			exists[m[1]+"_bucket"] = true
		}
	}
	for _, name := range []string{"../deploy/prometheus/alerts.yaml", "../deploy/grafana/statustail.json", "../docs/operations.md"} {
		used := metric.FindAllString(read(t, name), -1)
		slices.Sort(used)
		used = slices.Compact(used)
		if len(used) == 0 {
			t.Errorf("%s names no metric", name)
		}
		for _, m := range used {
			if !exists[m] && !strings.HasPrefix(m, "statustail_streams") {
				t.Errorf("%s: there is no metric %s", name, m)
			}
		}
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(read(t, "../deploy/grafana/statustail.json")), &dashboard); err != nil || len(dashboard.Panels) == 0 {
		t.Errorf("the dashboard: %v", err)
	}
	if !strings.Contains(read(t, "../deploy/prometheus/alerts.yaml"), "statustail_tail_skipped_total") {
		t.Error("no alert says that documents are skipped")
	}
	manual := read(t, "../docs/operations.md")
	for _, doc := range documents(t, "../deploy/prometheus/alerts.yaml") {
		for _, g := range doc["groups"].([]any) {
			for _, r := range g.(map[string]any)["rules"].([]any) {
				if name := r.(map[string]any)["alert"].(string); !strings.Contains(manual, name) {
					t.Errorf("docs/operations.md does not say what %s means", name)
				}
			}
		}
	}
}

// The Kubernetes example is what it should be: kinds with names, a pod that
// has time to drain, and no root.
func TestKubernetes(t *testing.T) {
	kinds := map[string]map[string]any{}
	for _, doc := range documents(t, "../deploy/kubernetes/statustail.yaml") {
		if doc["apiVersion"] == nil || doc["metadata"].(map[string]any)["name"] == nil {
			t.Errorf("%v has no version or no name", doc)
		}
		kinds[doc["kind"].(string)] = doc
	}
	for _, kind := range []string{"Deployment", "Service", "Ingress", "PodDisruptionBudget", "NetworkPolicy"} {
		if kinds[kind] == nil {
			t.Errorf("there is no %s", kind)
		}
	}
	pod := kinds["Deployment"]["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	if pod["terminationGracePeriodSeconds"].(int) < 5+20+10 {
		t.Error("the pod is killed before it has drained")
	}
	if pod["automountServiceAccountToken"] != false {
		t.Error("the pod is given a token of Kubernetes")
	}
	confined := func(what any, want string) {
		t.Helper()
		b, err := json.Marshal(what)
		if err != nil || string(b) != want {
			t.Errorf("it may %s, want %s (%v)", b, want, err)
		}
	}
	confined(pod["securityContext"], `{"runAsGroup":65532,"runAsNonRoot":true,"runAsUser":65532,"seccompProfile":{"type":"RuntimeDefault"}}`)
	ports := map[string]bool{}
	for _, c := range pod["containers"].([]any) {
		confined(c.(map[string]any)["securityContext"], `{"allowPrivilegeEscalation":false,"capabilities":{"drop":["ALL"]},"readOnlyRootFilesystem":true}`)
		for _, port := range c.(map[string]any)["ports"].([]any) {
			ports[port.(map[string]any)["name"].(string)] = true
		}
		if !understood(t, c.(map[string]any)["args"].([]any)) {
			t.Error("the program does not understand its arguments")
		}
	}
	policy := kinds["NetworkPolicy"]["spec"].(map[string]any)
	labels := kinds["Deployment"]["spec"].(map[string]any)["template"].(map[string]any)["metadata"].(map[string]any)["labels"]
	if chosen := policy["podSelector"].(map[string]any)["matchLabels"]; !reflect.DeepEqual(chosen, labels) {
		t.Errorf("the policy is for pods with %v, and these have %v", chosen, labels)
	}
	confined(policy["policyTypes"], `["Ingress","Egress"]`)
	for _, rule := range policy["ingress"].([]any) {
		if rule.(map[string]any)["from"] == nil {
			t.Errorf("%v lets everybody in", rule)
		}
		for _, port := range rule.(map[string]any)["ports"].([]any) {
			if name := port.(map[string]any)["port"].(string); !ports[name] {
				t.Errorf("the policy names the port %s, which the pod does not have", name)
			}
			delete(ports, port.(map[string]any)["port"].(string))
		}
	}
	if len(ports) > 0 {
		t.Errorf("nothing may reach %v", ports)
	}
	for _, rule := range policy["egress"].([]any) {
		if rule.(map[string]any)["ports"] == nil {
			t.Errorf("%v lets it reach everything", rule)
		}
	}
}

// The units, as far as systemd can tell where the program is not installed.
func TestUnit(t *testing.T) {
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := folder(t)
	unit := filepath.Join(dir, "statustail.service")
	put(t, unit, strings.ReplaceAll(read(t, "../deploy/systemd/statustail.service"), "/usr/local/bin/statustail", programtest.Build(t)))
	socket := filepath.Join(dir, "statustail.socket")
	put(t, socket, read(t, "../deploy/systemd/statustail.socket"))
	if out, err := exec.Command(path, "verify", "--man=no", unit, socket).CombinedOutput(); err != nil || strings.Contains(string(out), "statustail.s") {
		t.Errorf("%v\n%s", err, out)
	}
	// The smaller, the less it may; 10 is a unit that says nothing.
	if out, err := exec.Command(path, "security", "--offline=yes", "--threshold=12", "--no-pager", unit).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
