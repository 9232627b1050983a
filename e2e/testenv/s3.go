package testenv

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// S3 is a storage that speaks S3, in memory, with one bucket.
type S3 struct {
	URL    string
	Bucket string
	away   atomic.Bool
}

// StartS3 starts one, until the test ends.
func StartS3(t *testing.T) *S3 {
	t.Helper()
	s := &S3{Bucket: "pulseboard"}
	backend := s3mem.New()
	if err := backend.CreateBucket(s.Bucket); err != nil {
		t.Fatal(err)
	}
	store := gofakes3.New(backend).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.away.Load() {
			http.Error(w, "the storage is away", http.StatusServiceUnavailable)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Away lets every request fail, or no more.
func (s *S3) Away(away bool) { s.away.Store(away) }
