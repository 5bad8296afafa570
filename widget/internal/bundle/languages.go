package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// buildLanguages reads every language file of dir and makes it compact. Each
// must have the keys of en.json, no others, no empty value, and a place for a
// value ("{}") exactly where English has one.
func buildLanguages(dir string) (map[string][]byte, error) {
	english, err := readLanguage(filepath.Join(dir, "en.json"))
	if err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, fmt.Errorf("list languages: %w", err)
	}
	files := map[string][]byte{}
	for _, name := range names {
		strs, err := readLanguage(name)
		if err != nil {
			return nil, err
		}
		if err := compare(english, strs); err != nil {
			return nil, fmt.Errorf("language %s: %w", filepath.Base(name), err)
		}
		compact, err := encode(strs)
		if err != nil {
			return nil, fmt.Errorf("language %s: %w", filepath.Base(name), err)
		}
		files["lang/"+filepath.Base(name)] = compact
	}
	return files, nil
}

func readLanguage(name string) (map[string]string, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("read language: %w", err)
	}
	strs := map[string]string{}
	if err := json.Unmarshal(b, &strs); err != nil {
		return nil, fmt.Errorf("language %s: %w", filepath.Base(name), err)
	}
	return strs, nil
}

func compare(english, strs map[string]string) error {
	for key, value := range english {
		got, ok := strs[key]
		switch {
		case !ok:
			return fmt.Errorf("%q is missing", key)
		case strings.TrimSpace(got) == "":
			return fmt.Errorf("%q is empty", key)
		case strings.Count(got, "{}") != strings.Count(value, "{}"):
			return fmt.Errorf("%q: want {} as often as in English", key)
		}
	}
	for key := range strs {
		if _, ok := english[key]; !ok {
			return fmt.Errorf("%q is not in English", key)
		}
	}
	return nil
}

// encode writes JSON in the order of its keys, with its text as it is.
func encode(strs map[string]string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(strs); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
