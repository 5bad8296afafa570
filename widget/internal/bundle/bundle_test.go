package bundle

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"
)

// maxScript is how much an English widget may take to load, gzipped.
const maxScript = 6400

func TestCommittedBundleIsWhatTheSourceGives(t *testing.T) {
	files, err := Build("../..")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("../../dist", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("dist/%s is not what its source gives; run: go generate ./widget", name)
		}
	}
	committed, err := filepath.Glob("../../dist/lang/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range committed {
		if files["lang/"+filepath.Base(name)] == nil {
			t.Errorf("%s has no source; delete it", name)
		}
	}
}

func TestScriptIsSmall(t *testing.T) {
	files, err := Build("../..")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(files["widget.js"]); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	t.Logf("widget.js: %d bytes, %d gzipped", len(files["widget.js"]), b.Len())
	if b.Len() > maxScript {
		t.Errorf("widget.js is %d bytes gzipped, want at most %d", b.Len(), maxScript)
	}
}

func TestBuildSaysWhatIsWrong(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("src/main.ts", "let x = ;")
	if _, err := Build(dir); err == nil {
		t.Error("a syntax error is not reported")
	}
	write("src/main.ts", "export let x = 1")
	write("src/lang/en.json", `{"a": "A {}"}`)
	if _, err := Build(dir); err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{`{}`, `{"a": ""}`, `{"a": "A"}`, `{"a": "A {}", "b": "B"}`, `[`} {
		write("src/lang/de.json", broken)
		if _, err := Build(dir); err == nil {
			t.Errorf("language file %s is not reported", broken)
		}
	}
}
