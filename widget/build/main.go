// Command build bundles the widget into dist, from the folder that holds it: go generate ./widget.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"statustail/widget/internal/bundle"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	files, err := bundle.Build(".")
	if err != nil {
		return err
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
