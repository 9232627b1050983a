// Package deploy starts what deploy/compose.yaml says as local processes, with
// its commands, settings and files, so that none of them is stale; and compares
// those files with the code, the Makefile and docs/operations.md.
package deploy
