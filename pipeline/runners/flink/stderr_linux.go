package flink

import "syscall"

// redirect makes descriptor to mean what descriptor from does.
func redirect(from, to int) error { return syscall.Dup3(from, to, 0) }
