package main

import (
	"context"
	"testing"
	"time"
)

func TestDateOfTheDatabase(t *testing.T) {
	got, err := dateOf("v0.0.0-20261105234957-e22db6528018")
	if want := time.Date(2026, 11, 5, 23, 49, 57, 0, time.UTC); err != nil || !got.Equal(want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, version := range []string{"v1.2.3", "latest", "v0.0.0-yesterday-e22db6528018"} {
		if _, err := dateOf(version); err == nil {
			t.Errorf("%s has a date", version)
		}
	}
}

func TestNothingToCheckIsAnError(t *testing.T) {
	if err := run(context.Background(), "latest", nil); err == nil {
		t.Error("no program is checked, and nothing is said")
	}
}
