// Command build bundles the widget into dist, from the folder that holds it:
// go generate ./widget.
//
// With -release VERSION it also keeps the bundle as that version's, so that a
// site that has pinned it finds it on every later server.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"statustail/widget/internal/bundle"
)

func main() {
	release := flag.String("release", "", "keep the bundle as this version's")
	flag.Parse()
	if err := run(*release); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(release string) error {
	files, err := bundle.Build(".")
	if err != nil {
		return err
	}
	if release != "" {
		files["released/"+filepath.Base(release)+".js"] = files["widget.js"]
	}
	for name, content := range files {
		name = filepath.Join("dist", name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
		if err := os.WriteFile(name, content, 0o644); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
	}
	return nil
}
