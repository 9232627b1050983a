package main

import (
	"context"

	"pulseboard/bench/broker"
	"pulseboard/internal/embedded"
	"pulseboard/wire"
)

const (
	topic      = wire.Topic
	partitions = 16
)

// startKafka starts a broker with the topics and returns its address.
func (s *servers) startKafka(ctx context.Context, jars string, keepAll bool) (addr string, err error) {
	k := broker.Kafka{Jars: jars, Dir: s.dir, KeepAll: keepAll, Partitions: partitions, Start: func(name, path string, args ...string) (*embedded.Child, error) {
		s.all = s.all[:0] // What formats the folder has ended, as it should.
		one, err := s.start(name, path, nil, nil, args...)
		if err != nil {
			return nil, err
		}
		return one.Child, nil
	}}
	addr, _, err = k.Run(ctx)
	return addr, err
}
