package health

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// diskEvery is how often a disk is written to.
const diskEvery = 5 * time.Second

// Disk is the check of a folder that must be written to: there is room on its
// disk, and a file can be written through to it.
func Disk(name, dir string) Check {
	return Check{Name: name, Every: diskEvery, Probe: func(context.Context) error { return probeDisk(dir) }}
}

// How much must be free: the smaller of the two, so that a small disk can be enough.
const (
	freeBytes = 32 << 20
	freeShare = 20 // A twentieth.
	probeSize = 64 << 10
)

func probeDisk(dir string) error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return fmt.Errorf("cannot look at the folder %s: %w", dir, err)
	}
	block := uint64(fs.Bsize)
	free, all := fs.Bavail*block, fs.Blocks*block
	if least := min(freeBytes, all/freeShare); free < least {
		return fmt.Errorf("only %d KiB are free on the disk of %s, and %d KiB should be: make room there", free>>10, dir, least>>10)
	}
	return writeProbe(filepath.Join(dir, ".pulseboard-probe"))
}

// writeProbe writes through to the disk: a quota, or one that is read-only, shows so alone.
func writeProbe(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write to the disk: %w", err)
	}
	defer os.Remove(path) //nolint:errcheck // The next probe writes over it.
	_, err = f.Write(make([]byte, probeSize))
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("cannot write to the disk: %w", err)
	}
	return nil
}
