// Command kustomize renders a kustomization of this repository as kubectl kustomize
// does, refuses fields that Kubernetes does not know, and prints the objects:
//
//	go -C tools/kustomize run . ../../deploy/kubernetes/base          # YAML, as kubectl apply takes it
//	go -C tools/kustomize run . -json ../../deploy/kubernetes/base    # a list, as e2e/deploy reads it
//
// It is a module of its own, as Kubernetes' types and kustomize are 36 modules that
// nothing of what is shipped needs.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "kustomize: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	f := flag.NewFlagSet("kustomize", flag.ContinueOnError)
	asJSON := f.Bool("json", false, "print a JSON list in place of YAML")
	if err := f.Parse(args); err != nil {
		return err
	}
	if f.NArg() != 1 {
		return fmt.Errorf("name one folder that holds a kustomization.yaml")
	}
	objects, err := render(f.Arg(0))
	if err != nil {
		return err
	}
	if *asJSON {
		return json.NewEncoder(out).Encode(objects)
	}
	for _, o := range objects {
		text, err := yaml.JSONToYAML(o)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}

// render returns the objects of a kustomization, in the order in which they are applied.
func render(dir string) ([]json.RawMessage, error) {
	o := krusty.MakeDefaultOptions()
	o.Reorder = krusty.ReorderOptionLegacy // As kubectl: namespaces and accounts first.
	made, err := krusty.MakeKustomizer(o).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, err
	}
	var objects []json.RawMessage
	for _, r := range made.Resources() {
		text, err := r.AsYAML()
		if err != nil {
			return nil, err
		}
		if err := check(text); err != nil {
			return nil, fmt.Errorf("%s: %w", r.CurId(), err)
		}
		object, err := yaml.YAMLToJSONStrict(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.CurId(), err)
		}
		objects = append(objects, bytes.TrimSpace(object))
	}
	return objects, nil
}
