package transforms_test

import (
	"os"
	"testing"

	"pulseboard/e2e/testenv"
)

// Beam tells of each plan and step: of a failed run one page is enough.
func TestMain(m *testing.M) { os.Exit(testenv.Quietly(m)) } //nolint:forbidigo // As TestMain must.
