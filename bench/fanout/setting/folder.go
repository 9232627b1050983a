package setting

import (
	"fmt"
	"os"
	"path/filepath"
)

// Folder makes dir absolute and makes it, or a temporary one when it is empty,
// which cleanUp deletes.
func Folder(dir *string) (cleanUp func(), err error) {
	if *dir == "" {
		if *dir, err = os.MkdirTemp("", "pulseboard-fanout-"); err != nil {
			return nil, fmt.Errorf("cannot make a temporary folder: %w", err)
		}
		temporary := *dir
		return func() { _ = os.RemoveAll(temporary) }, nil // What stays is swept with the system's temporary files.
	}
	if *dir, err = filepath.Abs(*dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(*dir, 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the folder of --dir: %w", err)
	}
	return func() {}, nil
}

// WriteFile replaces a file in one step, so that a reader that waits for it never
// reads a part.
func WriteFile(path string, text []byte) error {
	part := path + ".part"
	if err := os.WriteFile(part, text, 0o600); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	if err := os.Rename(part, path); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}
