package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestNpmComponents(t *testing.T) {
	const lock = `{"packages":{"":{},
		"node_modules/uplot":{"version":"1.6.32"},
		"node_modules/esbuild":{"version":"1.0.0","dev":true},
		"node_modules/@scope/name":{"version":"2.0.0","integrity":"sha512-AAEC"}}}`
	got, err := npmComponents([]byte(lock))
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if c := got[0]; c.PURL != "pkg:npm/%40scope/name@2.0.0" || c.Name != "@scope/name" || c.Hashes[0] != (hash{"SHA-512", "000102"}) {
		t.Errorf("the first is %+v", c)
	}
	if c := got[1]; c.PURL != "pkg:npm/uplot@1.6.32" || len(c.Hashes) != 0 {
		t.Errorf("the second is %+v", c)
	}
	if _, err := npmComponents([]byte(`{"packages":{"node_modules/x":{"integrity":"sha512-?"}}}`)); err == nil || !strings.Contains(err.Error(), "x") {
		t.Errorf("an integrity that is none gives %v", err)
	}
}

// What is of the machine that made it is left out, and the same input gives the same bytes.
func TestJoin(t *testing.T) {
	const bom = `{"bomFormat":"CycloneDX","metadata":{"tools":[{"name":"x"}],"component":{"name":"p"}},"components":[{"name":"a"}]}`
	more := []component{{Type: "library", Name: "uplot", Version: "1.6.32", PURL: "pkg:npm/uplot@1.6.32"}}
	first, err := join([]byte(bom), more)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(first, []byte("pkg:npm/uplot@1.6.32")) || !bytes.Contains(first, []byte(`"name": "a"`)) || bytes.Contains(first, []byte("tools")) {
		t.Errorf("%s", first)
	}
	for range 20 {
		if again, err := join([]byte(bom), more); err != nil || !bytes.Equal(first, again) {
			t.Fatalf("%s, %v", again, err)
		}
	}
}
