// Package deploy starts what deploy/compose.yaml says as local processes, with
// its commands, settings and files, so that none of them is stale; and compares
// those files with the code, the Makefile and docs/operations.md.
//
// What deploy/kubernetes says is rendered by tools/kustomize and compared with
// compose.yaml; its containers are started as local processes too, each with what
// its pod gives it, and Flink's as far as Java.
package deploy
