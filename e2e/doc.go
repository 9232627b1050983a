// Package e2e tests the real program through its sockets. Its oracle imports
// nothing of ours: it reads the topic and computes every window from its
// definition in plain Go.
package e2e
