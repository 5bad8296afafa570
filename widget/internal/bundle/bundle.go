// Package bundle makes the one file that browsers load out of the widget's
// TypeScript. It is part of building, never of the server: it must not be
// imported by anything that goes into the product.
package bundle

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/evanw/esbuild/pkg/api"
)

// Target is the oldest JavaScript that the bundle may need. Browsers that
// have light-dark() of CSS, which the widget's colours are made with, have it.
const Target = api.ES2022

// Build makes everything that belongs into dist of the widget folder dir, by
// name: widget.js and lang/*.json. The same source and the same version of
// esbuild give the same bytes.
func Build(dir string) (map[string][]byte, error) {
	script, err := buildScript(dir)
	if err != nil {
		return nil, err
	}
	files, err := buildLanguages(filepath.Join(dir, "src", "lang"))
	if err != nil {
		return nil, err
	}
	files["widget.js"] = script
	return files, nil
}

// buildScript bundles and minifies src/main.ts.
func buildScript(dir string) ([]byte, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("bundle widget: %w", err)
	}
	result := api.Build(api.BuildOptions{
		AbsWorkingDir:     dir,
		EntryPoints:       []string{"src/main.ts"},
		Bundle:            true,
		Format:            api.FormatIIFE,
		Platform:          api.PlatformBrowser,
		Target:            Target,
		Charset:           api.CharsetUTF8,
		MinifyWhitespace:  true,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		// Names of our own that no page and no other tab sees.
		MangleProps:   "^(listen|check|subscribe|affected|only|start|stop)$",
		LegalComments: api.LegalCommentsNone,
		TsconfigRaw:   `{"compilerOptions":{"useDefineForClassFields":true}}`,
		Plugins:       []api.Plugin{styles},
	})
	if len(result.Errors) > 0 {
		lines := api.FormatMessages(result.Errors, api.FormatMessagesOptions{Kind: api.ErrorMessage})
		return nil, fmt.Errorf("bundle widget: %s", strings.TrimSpace(strings.Join(lines, "")))
	}
	if len(result.OutputFiles) != 1 {
		return nil, errors.New("bundle widget: want exactly one output file")
	}
	return result.OutputFiles[0].Contents, nil
}

// styles turns an imported style sheet into its minified text.
var styles = api.Plugin{
	Name: "styles",
	Setup: func(build api.PluginBuild) {
		build.OnLoad(api.OnLoadOptions{Filter: `\.css$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
			source, err := os.ReadFile(args.Path)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			out := api.Transform(string(source), api.TransformOptions{
				Loader:           api.LoaderCSS,
				MinifyWhitespace: true,
				MinifySyntax:     true,
				Charset:          api.CharsetUTF8,
			})
			// esbuild leaves the values of custom properties as they are.
			text := strings.ReplaceAll(strings.TrimSpace(string(out.Code)), ", ", ",")
			return api.OnLoadResult{
				Contents: &text,
				Errors:   out.Errors,
				Warnings: out.Warnings,
				Loader:   api.LoaderText,
			}, nil
		})
	},
}
