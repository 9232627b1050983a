// Package reader holds many WebSocket connections that only read, as cheaply as
// they can share the machine with the server that is measured: a goroutine and a
// small buffer each, no message is decoded. It counts the results in update
// frames, whether they come as they are or inside the messages of another server.
package reader
