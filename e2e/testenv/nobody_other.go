//go:build !linux

package testenv

import "errors"

// ErrNotRoot is returned by AsNobody to those who cannot become another user.
var ErrNotRoot = errors.New("only root on Linux can become another user for a moment")

// AsNobody runs do as another user of this machine.
func AsNobody(func() error) error { return ErrNotRoot }
