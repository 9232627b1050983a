package flinkapi

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
)

// A new secret at each start, for this user alone, which goes with each request and into no text.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "conf"), 0o750); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "conf", "secret")
	// What somebody made with another mode, or an older start.
	if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := NewSecret(dir)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its file has the mode %v, %v", info.Mode(), err)
	}
	if again := SecretIn(dir); again != s || len(s) < 20 {
		t.Errorf("the file holds %q, and the secret is %q", string(again), string(s))
	}
	if text := fmt.Sprintf("%v %s", s, s); text != "(secret) (secret)" {
		t.Errorf("it is printed as %q", text)
	}
	if got := SecretIn(t.TempDir()); got != "" {
		t.Errorf("a folder without Flink has the secret %q", string(got))
	}

	var header string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header.Get("Authorization")
		_, _ = w.Write([]byte(`{"jobs": []}`))
	}))
	t.Cleanup(server.Close)
	for secret, want := range map[Secret]string{s: "Bearer " + string(s), "": ""} {
		if _, err := NewClient(server.URL, secret).Jobs(t.Context()); err != nil || header != want {
			t.Errorf("Authorization is %q, %v", header, err)
		}
		all, err := secret.GetRequestMetadata(t.Context())
		if err != nil || all["authorization"] != want {
			t.Errorf("authorization is %q, %v", all["authorization"], err)
		}
	}
}
