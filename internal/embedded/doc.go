// Package embedded runs what Pulseboard needs beside itself, so that one
// command is enough on one machine: a Kafka broker in this process (kfake, kept
// in a folder), Redis as a child or in this process, and children in general.
// None of it is for more than one machine: a power cut may cost the last
// records, and there is one copy of everything.
package embedded
